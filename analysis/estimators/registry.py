"""Estimators of D_E: how many bytes would the scratch model need to reach a loss?

An estimator is one function from a ladder, losses and D_F to an `Estimate`, registered in
`ESTIMATORS` under the name used in every output.
"""

from __future__ import annotations

from analysis.estimators.answer import Estimator
from analysis.estimators.by_law import law
from analysis.estimators.interpolated import guided, linear, loglog, pchip
from analysis.estimators.pooled import pooled
from analysis.estimators.reference import CAUTION, reference
from raydt.errors import bad

ESTIMATORS: dict[str, Estimator] = {
    "guided": guided,
    "pchip": pchip,
    "loglog": loglog,
    "linear": linear,
    "law": law,
    "pooled": pooled,
    "reference": reference,
}
DEFAULT = "guided"
# The credible ones, nearly as good as any on simulated D_T (docs/statistics.md): reports show how
# far the choice between them moves a result. Linear interpolation overestimates on a convex ladder,
# and a law is as far off on a ladder that does not follow it.
BELIEVED = ("guided", "pchip")
# Those whose results must not be used, and why.
CAUTIONS = {"reference": CAUTION}
# Those that use the model's other targets, and require enough of them.
POOLED = {"pooled"}
# Those that get nominal sizes (from labels) instead of true bytes.
NOMINAL = {"reference"}


def estimator_named(name: str) -> Estimator:
    """The estimator of a name; `InputError` that lists the names if there is none."""
    if name not in ESTIMATORS:
        raise bad("estimator", "one of " + ", ".join(sorted(ESTIMATORS)), repr(name))
    return ESTIMATORS[name]
