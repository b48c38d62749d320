"""Writing what a search found as a TOML file, for `--hparams` and for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tomli_w

from raydt import __version__
from raydt.config.recipe import FREE_RECIPE_FIELDS
from raydt.grid.identity import NUMERICS_VERSION
from raydt.tuning.found import StageFound
from raydt.tuning.plan import SearchPlan
from raydt.tuning.rule import CONFIDENCE

# Of a recipe whose cells end by themselves: a cap, which was not searched.
_CAP = {"budget_bytes", "budget_exponent", "epochs"}
# A recipe is only good with the end for which it was found.
_ENDING = {"evaluation_growth", "evaluations", "tolerance", "patience"}


def hparams_text(plan: SearchPlan, found: Sequence[StageFound], command: str) -> str:
    """The file, whole."""
    parts = [
        "# Hyperparameters as `raydt hparams` found them, for\n"
        "#   raydt run --hparams FILE\n"
        f"# Found by: {command}\n"
        "# Values are those at `budget_at_bytes`; the exponents say how they follow the size.\n"
        + _toml({"protocol": plan.sweep.protocol.model_dump(mode="json", include=_ENDING)})
    ]
    for each in found:
        left_out = set(
            FREE_RECIPE_FIELDS
        )  # a sweep decides these for itself: they change no result
        if plan.ends_by_itself(each.stage):
            left_out |= _CAP
        recipe = each.recipe.model_dump(mode="json", exclude=left_out)
        table = {"protocol": {str(each.stage): recipe}}
        parts.append(f"# {each.stage}: {each.why}\n{_toml(table)}")
    parts.append(_toml({"found": _evidence(plan, found)}))
    return "\n".join(parts)


def _evidence(plan: SearchPlan, found: Sequence[StageFound]) -> dict[str, object]:
    sweep = plan.sweep
    return {
        "model": plan.model_name,
        "corpus": sweep.corpus,
        "sources": list(sweep.sources),
        "targets": list(sweep.targets),
        "raydt": __version__,
        "numerics_version": NUMERICS_VERSION,
        "trials_per_stage_and_size": plan.num_trials,
        "confidence": CONFIDENCE,
        **{str(each.stage): _stage_evidence(plan, each) for each in found},
    }


def _stage_evidence(plan: SearchPlan, found: StageFound) -> dict[str, object]:
    table: dict[str, object] = {
        "is_tuned": found.is_tuned,
        "why": found.why,
        "num_trials": found.num_trials,
        "price_of_a_doubling": round(plan.price(found.stage), 5),
    }
    if found.rule is not None:
        rule = found.rule
        table["factors"] = _rounded(rule.factors)
        table["factor_intervals"] = {
            name: [float(f"{low:.3g}"), float(f"{high:.3g}")]
            for name, (low, high) in rule.factor_intervals.items()
        }
        table["factors_at_bytes"] = round(rule.pivot_bytes)
        table["growths"] = _rounded(rule.growths)
        table["growth_intervals"] = {
            name: [round(low, 3), round(high, 3)] for name, (low, high) in rule.intervals.items()
        }
    table["sizes"] = [
        {
            "size": each.size.label,
            "size_bytes": each.size.num_bytes,
            "before_val_bpb": round(each.before_bpb, 5),
            "after_val_bpb": round(each.after_bpb, 5),
            "difference_bpb": round(each.difference_bpb, 5),
            "difference_stderr_bpb": round(each.stderr_bpb, 5),
            "before_bytes_seen": round(each.before_bytes),
            "after_bytes_seen": round(each.after_bytes),
            "num_pairs": len(each.scores),
        }
        for each in found.comparisons
    ]
    return table


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: float(f"{value:.3g}") for name, value in values.items()}


def _toml(table: Mapping[str, Any]) -> str:
    return tomli_w.dumps(table)
