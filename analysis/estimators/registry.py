"""Estimators of D_E: how many bytes would the scratch model need to reach a loss?

An estimator is one function from a ladder, losses and D_F to an `Estimate`, registered in
`ESTIMATORS` under the name that stands in every output.
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
# Those that read planted D_T nearly as well as any (docs/statistics.md): how far the choice between
# them moves an answer is shown beside it. Chords read high on a convex ladder, and a law read far
# from the rungs of a ladder that is none errs by as much.
BELIEVED = ("guided", "pchip")
# Those whose answer must not be believed, and why.
CAUTIONS = {"reference": CAUTION}
# Those that read a ladder with the help of the model's other targets, and refuse too few of them.
POOLED = {"pooled"}
# Those that are given the sizes that labels name, and not the true bytes.
NOMINAL = {"reference"}


def estimator_named(name: str) -> Estimator:
    """The estimator of a name; `InputError` that lists the names if there is none."""
    if name not in ESTIMATORS:
        raise bad("estimator", "one of " + ", ".join(sorted(ESTIMATORS)), repr(name))
    return ESTIMATORS[name]
