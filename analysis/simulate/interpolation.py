"""The interpolation error of D_E between rungs, without noise.

python -m analysis.simulate.interpolation
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.arrays import Floats
from analysis.estimators.registry import CAUTIONS, ESTIMATORS, POOLED
from analysis.ladder import Ladder
from analysis.simulate.world import Curve, law, sigmoid, step_limited

RUNGS: Floats = np.array([8_000.0 * 4**rung for rung in range(6)])
NEAR = (1.05, 1.1, 1.2, 1.5)  # D_E / D_F
FAR = (*NEAR, 2.2, 3.0, 6.0, 12.0, 30.0)
# B gives each law 2.4 nats at the smallest rung where E is 0.9.
CURVES: dict[str, Curve] = {
    **{
        f"law, beta {beta}": law(E=0.9, B=1.5 * 8_000**beta, beta=beta)
        for beta in (0.2, 0.35, 0.5, 0.7)
    },
    "sigmoid": sigmoid,
    "limited by steps": step_limited,
}


def interpolation_errors() -> pd.DataFrame:
    """Largest |error| of D_T as a share of D_F: columns curve, reach (near | all), estimators."""
    rows = []
    for name, curve in CURVES.items():
        ladder = Ladder(RUNGS, curve(RUNGS), np.ones(len(RUNGS)))
        for reach, folds in (("near", NEAR), ("all", FAR)):
            row: dict[str, object] = {"curve": name, "reach": reach}
            for estimator, read in ESTIMATORS.items():
                if estimator in CAUTIONS or estimator in POOLED:
                    continue
                errors = []
                for finetune_bytes in RUNGS[:3]:
                    true = finetune_bytes * np.array(folds)
                    true = true[true < RUNGS[-1]]
                    answer = read(ladder, curve(true), float(finetune_bytes))
                    errors.append(np.abs(answer.effective_bytes - true) / finetune_bytes)
                row[estimator] = float(np.concatenate(errors).max())
            rows.append(row)
    return pd.DataFrame(rows)


def main() -> None:
    """Print the table in per cent."""
    table = interpolation_errors()
    print("| " + " | ".join(table.columns) + " |")
    print("|" + "---|" * len(table.columns))
    for row in table.to_dict("records"):
        cells = [f"{v:.0%}" if isinstance(v, float) else str(v) for v in row.values()]
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
