"""How often the rule of `sweeps/hparams.py` finds a true growth, and how often a false one.

python benchmarks/tuning_rule.py
"""

from __future__ import annotations

import math

import numpy as np

from raydt.tuning.rule import Scored, fit_rule
from raydt.tuning.sampler import Sampler
from raydt.tuning.space import EVERY

_SIZES = (2_000, 32_000, 512_000)
_NUM_WORLDS = 18
_CURVATURE, _NOISE = 0.03, 0.01  # of log losses; a factor of e from the best costs 3 %


def planted(growths: dict[str, float], level: float, seed: int, num_trials: int) -> list[Scored]:
    """Trials of Optuna's TPE on a noisy quadratic whose optimum follows a power law; every second
    trial is stopped."""
    rng = np.random.default_rng(seed)
    pivot = np.log(_SIZES).mean()
    trials = []
    for size in _SIZES:
        optimum = {
            each.name: level + growths.get(each.exponent or "", 0.0) * (math.log(size) - pivot)
            for each in EVERY
        }
        sampler = Sampler(EVERY, num_startup=max(3, num_trials // 3), seed=seed * 7 + size)
        baseline = _CURVATURE * sum(x**2 for x in optimum.values()) + _NOISE * rng.normal()
        trials.append(Scored(size, "de", dict.fromkeys(optimum, 0.0), 0.0))
        seen: list[float] = []
        for number in range(num_trials):
            x = {name: math.log(f) for name, f in sampler.ask(str(number)).items()}
            score = _CURVATURE * sum((x[name] - optimum[name]) ** 2 for name in x)
            score += _NOISE * rng.normal() - baseline
            seen.append(score)
            stopped = score > np.median(seen)
            sampler.tell(str(number), score, 2 if stopped else None)
            if not stopped:
                trials.append(Scored(size, "de", x, score))
    return trials


def main() -> None:
    for num_trials in (8, 16):
        for planted_growths in ({}, {"learning_rate_exponent": -0.2, "batch_exponent": 0.2}):
            rules = [
                fit_rule(planted(planted_growths, 0.3, 100 + seed, num_trials), EVERY)
                for seed in range(_NUM_WORLDS)
            ]
            found = [rule for rule in rules if rule is not None]
            print(f"{num_trials} trials a size, planted: {planted_growths or 'no growth'}")
            for exponent in sorted(found[0].growths):
                kept = [rule.growths[exponent] for rule in found if rule.growths[exponent]]
                mean = f", on average {np.mean(kept):+.2f}" if kept else ""
                print(f"  {exponent:24} kept in {len(kept)} of {len(found)}{mean}")
            levels = [math.log(rule.factors["learning_rate"]) for rule in found]
            print(
                f"  ln of the learning rate's factor {np.mean(levels):.2f} ± {np.std(levels):.2f}"
                " (planted 0.30)"
            )


if __name__ == "__main__":
    main()
