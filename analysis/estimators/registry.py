"""Estimators of D_E: how many bytes would the scratch model need to reach a loss?

An estimator is one function from a ladder, losses and D_F to an `Estimate`, registered in
`ESTIMATORS` under the name that stands in every output.
"""

from __future__ import annotations

from analysis.estimators.answer import Estimator
from analysis.estimators.by_law import law
from analysis.estimators.interpolated import linear, loglog
from analysis.estimators.reference import CAUTION, reference
from raydt.errors import bad

ESTIMATORS: dict[str, Estimator] = {
    "loglog": loglog,
    "linear": linear,
    "law": law,
    "reference": reference,
}
# Those whose answer must not be believed, and why; they take no part in the spread.
CAUTIONS = {"reference": CAUTION}
# Those that are given the sizes that labels name, and not the true bytes.
NOMINAL = {"reference"}


def estimator_named(name: str) -> Estimator:
    """The estimator of a name; `InputError` that lists the names if there is none."""
    if name not in ESTIMATORS:
        raise bad("estimator", "one of " + ", ".join(sorted(ESTIMATORS)), repr(name))
    return ESTIMATORS[name]
