"""Seeds that disagree: told from the noise of a whole grid, however large the grid is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.alarms.alarm import Alarm, Kind
from analysis.alarms.seeds import seed_alarms
from analysis.ladder import cell_means
from analysis.table import COLUMNS
from analysis.uncertainty.noise import pooled_noise

SIZES = (2_000, 8_000, 32_000, 128_000)


def grid(
    random: np.random.Generator,
    *,
    languages: int = 5,
    seeds: int = 3,
    own: float = 0.03,
    shared: float = 0.0,
    noisy_at: dict[int, float] | None = None,
) -> pd.DataFrame:
    """Every source into every target at every size; noise of log loss of each run and, `shared`, of
    each pretrain; `noisy_at` multiplies that of a run by size."""
    names = [f"l{number:02d}" for number in range(languages)]
    factor = noisy_at or {}
    rows = []

    def add(source: str | None, target: str, size: int, seed: int, lucky: float) -> None:
        noise = lucky + own * factor.get(size, 1.0) * random.standard_normal()
        stage = "scratch" if source is None else "finetune"
        rows.append(
            {
                "cell_id": f"{stage}/{source}-{target}/{size}/s{seed}",
                "stage": stage,
                "source": source,
                "target": target,
                "size": str(size),
                "size_bytes": size,
                "seed": seed,
                "model": "tiny",
                "status": "done",
                "test_loss": 10 * size**-0.2 * np.exp(noise),
            }
        )

    for seed in range(seeds):
        for source in (None, *names):
            lucky = 0.0 if source is None else shared * random.standard_normal()
            for target in names:
                if source != target:
                    for size in SIZES:
                        add(source, target, size, seed, lucky)
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def disagreeing(cells: pd.DataFrame) -> list[Alarm]:
    noise = pooled_noise(cell_means(cells), cells)
    return [one for one in seed_alarms(cells, noise) if one.kind is Kind.SEEDS_DISAGREE]


@pytest.mark.parametrize(
    ("settings", "most"),
    [
        ({"seeds": 2}, 0.05),
        ({"seeds": 3}, 0.05),
        ({"seeds": 5, "languages": 4}, 0.05),
        ({"seeds": 3, "own": 0.02, "shared": 0.04}, 0.05),  # a lucky pretrain moves all its cells
        # Small rungs are noisier than the family. Few of a size are known, so more than 5 %.
        ({"seeds": 3, "noisy_at": {2_000: 2.0}}, 0.15),
    ],
)
def test_a_large_grid_raises_none_by_chance(settings: dict[str, object], most: float) -> None:
    """80 to 100 groups a sweep; to raise one in a sweep by chance is allowed 1 time in 20."""
    random = np.random.default_rng(1)
    trials = 60
    found = sum(bool(disagreeing(grid(random, **settings))) for _ in range(trials))  # type: ignore[arg-type]
    assert found <= trials * most + 2 * np.sqrt(trials * most * (1 - most))


def test_two_bad_groups_do_not_hide_each_other() -> None:
    cells = grid(np.random.default_rng(2), own=0.004)
    for cell_id in (
        "finetune/l00-l01/8000/s1",
        "finetune/l02-l03/32000/s0",
        "scratch/None-l04/2000/s2",
    ):
        cells.loc[cells["cell_id"] == cell_id, "test_loss"] *= 1.1
    assert {alarm.where for alarm in disagreeing(cells)} == {
        "l00→l01 8k",
        "l02→l03 32k",
        "scratch→l04 2k",
    }


def test_seeds_close_together_do_not_disagree_however_close_the_others_are() -> None:
    cells = grid(np.random.default_rng(3), own=0.0001)
    cells.loc[cells["cell_id"] == "finetune/l00-l01/8000/s1", "test_loss"] *= 1.015
    assert disagreeing(cells) == []


def test_one_group_has_nothing_to_be_compared_with() -> None:
    cells = grid(np.random.default_rng(4))
    alone = cells[(cells["cell_id"].str.startswith("scratch/None-l00/8000"))].copy()
    alone.loc[alone["seed"] == 1, "test_loss"] *= 2
    assert disagreeing(alone) == []


def test_an_odd_seed_among_identical_ones_is_named() -> None:
    cells = grid(np.random.default_rng(4), own=0.0)
    cells.loc[cells["cell_id"] == "scratch/None-l00/8000/s1", "test_loss"] *= 1.1
    assert [alarm.where for alarm in disagreeing(cells)] == ["scratch→l00 8k"]
