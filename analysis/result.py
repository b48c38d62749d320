"""The result of an analysis: the value that the report, the terminal and callers read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from analysis.alarms.alarm import Alarm
from analysis.answer import Answer
from analysis.claims.claim import ClaimAnswer
from analysis.completion.completed import Completed
from analysis.curves.drawn import DrawnCurves
from analysis.ladder import Ladder
from analysis.laws.scaling import ScalingLaw
from analysis.probes import Probes
from analysis.table import CellTable
from analysis.uncertainty.noise import Noise

REPORT = "report.html"


@dataclass(frozen=True)
class Methods:
    """The choices behind the numbers."""

    estimator: str
    confidence: float
    num_resamples: int
    random_seed: int
    noise: dict[str, Noise]
    num_permutations: int


@dataclass
class Analysis:
    """Everything found in one sweep; paths are filled in once the files are written."""

    store_uri: str  # without password
    sweep: str
    experiment_id: str
    launch_run_id: str
    table: CellTable
    means: pd.DataFrame  # of `analysis.ladder.cell_means`
    ladders: dict[tuple[str, str], Ladder]  # by (model, target)
    effective: pd.DataFrame  # columns `analysis.effective.COLUMNS`
    law_fits: dict[tuple[str, str], ScalingLaw]
    laws: pd.DataFrame  # columns `analysis.laws.ladders.LAW_COLUMNS`
    answer: Answer
    alarms: list[str]
    notes: list[str]  # how the store was read
    methods: Methods
    out_dir: Path
    report_path: Path
    claims: list[ClaimAnswer] = field(default_factory=list)
    # Columns `analysis.laws.transfer_table.TRANSFER_LAW_COLUMNS`; where empty, the report has no
    # such section.
    transfer_laws: pd.DataFrame = field(default_factory=pd.DataFrame)
    # Columns `analysis.laws.one_law.ONE_LAW_COLUMNS`: does one law hold for all sources?
    one_law: pd.DataFrame = field(default_factory=pd.DataFrame)
    # Columns `analysis.curves.crossover.CROSSOVER_COLUMNS`: from where on scratch is ahead.
    crossovers: pd.DataFrame = field(default_factory=pd.DataFrame)
    drawn_curves: list[DrawnCurves] = field(default_factory=list)
    # Columns `analysis.curves.bilingual.BILINGUAL_COLUMNS`, empty without joint cells.
    bilingual: pd.DataFrame = field(default_factory=pd.DataFrame)
    # Columns `analysis.forgetting.FORGETTING_COLUMNS`, empty where it was not measured.
    forgetting: pd.DataFrame = field(default_factory=pd.DataFrame)
    mixtures: dict[str, str] = field(default_factory=dict)  # sources that are several languages
    flops_per_byte: dict[str, float] = field(default_factory=dict)  # of training, by model
    # Pairs that were not measured, predicted; in no other table.
    completed: Completed = field(default_factory=Completed)
    tables: list[Path] = field(default_factory=list)
    figures: list[Path] = field(default_factory=list)
    # Columns `analysis.effective.ESTIMATES_COLUMNS`: every estimator side by side.
    estimates: pd.DataFrame = field(default_factory=pd.DataFrame)
    raised: list[Alarm] = field(default_factory=list)  # `alarms` with kind and place
    probes: Probes = field(default_factory=Probes)  # by minimal pairs, where cells were scored
    logged: bool = False  # whether the folder is also an artifact of the newest launch

    @property
    def cells(self) -> pd.DataFrame:
        """One row per cell, columns `analysis.table.COLUMNS`."""
        return self.table.cells

    @property
    def missing(self) -> pd.DataFrame:
        """Expected cells that are not done, with status and reason."""
        return self.table.not_done

    @property
    def num_done(self) -> int:
        """Expected cells that are done."""
        return self.table.num_expected - len(self.table.not_done)

    @property
    def seeds(self) -> str:
        """ "3 seeds", "1 to 3 seeds": runs behind a mean."""
        counts = self.means["num_seeds"]
        if counts.empty:
            return "no seed"
        low, high = int(counts.min()), int(counts.max())
        if low == high:
            return "one seed" if low == 1 else f"{low} seeds"
        return f"{low} to {high} seeds"
