"""Power laws of ladders and of transfer, one model a file.

Below `analysis.estimators` and `analysis.uncertainty`, which both use it: it imports neither.
"""

from analysis.laws.concerns import BoundaryWarning, ConvergenceWarning, LawWarning
from analysis.laws.draws import TransferDraws
from analysis.laws.epochs import R_STAR_EPOCHS, effective_unique_bytes
from analysis.laws.ladders import LAW_COLUMNS, fit_ladders
from analysis.laws.one_law import ONE_LAW_COLUMNS, one_law_tests
from analysis.laws.scaling import ScalingLaw
from analysis.laws.transfer import TransferLaw
from analysis.laws.transfer_table import TRANSFER_LAW_COLUMNS, transfer_laws

__all__ = [
    "LAW_COLUMNS",
    "ONE_LAW_COLUMNS",
    "R_STAR_EPOCHS",
    "TRANSFER_LAW_COLUMNS",
    "BoundaryWarning",
    "ConvergenceWarning",
    "LawWarning",
    "ScalingLaw",
    "TransferDraws",
    "TransferLaw",
    "effective_unique_bytes",
    "fit_ladders",
    "one_law_tests",
    "transfer_laws",
]
