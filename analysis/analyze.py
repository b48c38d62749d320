"""From a store to a report: what `raydt analyze` does."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from mlflow.exceptions import MlflowException

from analysis.alarms import alarms, alarms_table
from analysis.answer import answer
from analysis.effective import Resamples, effective_table, estimates_table
from analysis.estimators import estimator_named
from analysis.figures import encoded, source_styles, target_figure, transfer_heatmap
from analysis.folder import MARKER, require_ours, written_whole
from analysis.ladder import Floats, cell_means, ladders
from analysis.laws import fit_ladders
from analysis.report import Drawing, render, versions
from analysis.result import Analysis, Methods
from analysis.store import SweepRuns, log_report, read_sweep
from analysis.table import tidy
from analysis.uncertainty import draw_means, pooled_noise
from analysis.wording import size_name
from raydt.errors import RunError, bad
from raydt.tracking.schema import Stage

REPORT = "report.html"


def analyze(
    store_uri: str,
    sweep: str | None,
    out_dir: Path | Callable[[str], Path],
    *,
    estimator: str = "loglog",
    confidence: float = 0.90,
    num_resamples: int = 1000,
    random_seed: int = 0,
    log_to_store: bool = True,
    runs: SweepRuns | None = None,
) -> Analysis:
    """Analyse a sweep of a store (the most recently launched one if none is named).

    Writes tables, figures and report.html into `out_dir` (or the folder that it gives for the name
    of the sweep), which appears whole or not at all, and logs that folder to the newest launch.
    Where only that last step fails, the analysis stands and says so in its notes. `runs`: what
    `read_sweep` gave for this store and sweep, where it was read before.

    Raises `InputError` for a store or sweep that is not there, an unknown estimator, a confidence
    or a number of resamples out of range, or an `out_dir` with files that are not ours; `RunError`
    if no cell that bears on D_T is done yet.
    """
    estimator_named(estimator)
    if not 0 < confidence < 1:
        raise bad("confidence", "more than 0 and less than 1", confidence)
    if num_resamples < 100:
        raise bad("resamples", "at least 100", num_resamples)
    if runs is None:
        runs = read_sweep(store_uri, sweep)
    out_dir = (out_dir(runs.sweep) if callable(out_dir) else out_dir).absolute()
    require_ours(out_dir, runs.sweep)
    analysis = computed(
        runs,
        out_dir,
        estimator=estimator,
        confidence=confidence,
        num_resamples=num_resamples,
        random_seed=random_seed,
    )
    _write(analysis)
    if log_to_store:
        try:
            log_report(store_uri, analysis.launch_run_id, out_dir)
            analysis.logged = True
        except (MlflowException, OSError) as error:
            analysis.notes.append(f"The report could not be logged to the store: {error}")
    return analysis


def computed(
    runs: SweepRuns,
    out_dir: Path,
    *,
    estimator: str,
    confidence: float,
    num_resamples: int,
    random_seed: int,
) -> Analysis:
    """The analysis of runs that were read, without writing anything. `RunError` as `analyze`."""
    table = tidy(runs)
    means = cell_means(table.cells)
    if means.empty:
        states = table.cells["status"].value_counts().sort_index()
        shown = ", ".join(f"{number} {status}" for status, number in states.items())
        raise RunError(
            f"nothing to analyse in sweep {runs.sweep!r}: no scratch, finetune or zeroshot cell "
            f"is done (cells with a run: {shown or 'none'})"
        )
    noise = pooled_noise(means, table.cells)
    random = np.random.default_rng(random_seed)
    drawn = draw_means(means, noise, num_resamples=num_resamples, random=random, cells=table.cells)
    resamples = Resamples(drawn, confidence)
    effective = effective_table(means, resamples, estimator=estimator)
    found = ladders(means)
    law_fits, laws = fit_ladders(found, _drawn_ladders(means, drawn), confidence)
    raised = alarms(table, means, found, effective, laws, noise)
    return Analysis(
        store_uri=runs.store_uri,
        sweep=runs.sweep,
        experiment_id=runs.experiment_id,
        launch_run_id=runs.launches[0].run_id,
        table=table,
        means=means,
        ladders=found,
        effective=effective,
        law_fits=law_fits,
        laws=laws,
        answer=answer(effective),
        alarms=[str(alarm) for alarm in raised],
        raised=raised,
        notes=list(runs.notes),
        methods=Methods(estimator, confidence, num_resamples, random_seed, noise),
        out_dir=out_dir,
        report_path=out_dir / REPORT,
        estimates=estimates_table(means, resamples),
    )


def _drawn_ladders(means: pd.DataFrame, drawn: Floats) -> dict[tuple[str, str], Floats]:
    scratch = means[means["stage"] == Stage.SCRATCH]
    found = {}
    for (model, target), rungs in scratch.groupby(["model", "target"], sort=True):
        log_loss = drawn[:, rungs.sort_values("size_bytes").index.to_numpy()]
        if np.isfinite(log_loss).all():
            found[str(model), str(target)] = log_loss
    return found


def _write(analysis: Analysis) -> None:
    when = datetime.now(UTC)
    with written_whole(analysis.out_dir) as folder:
        tables = {
            "cells": analysis.cells,
            "missing": analysis.missing,
            "effective": analysis.effective,
            "laws": analysis.laws,
            "estimates": analysis.estimates,
            "alarms": alarms_table(analysis.raised),
        }
        written = []
        for name, table in tables.items():
            table.to_parquet(folder / f"{name}.parquet", index=False)
            table.to_csv(folder / f"{name}.csv", index=False)
            written += [f"{name}.parquet", f"{name}.csv"]
        drawings = _draw(analysis, folder)
        (folder / REPORT).write_text(render(analysis, drawings, when), encoding="utf-8")
        (folder / MARKER).write_text(
            json.dumps(_record(analysis, when), indent=2, ensure_ascii=False) + "\n",
            encoding="utf-8",
        )
    analysis.tables = [analysis.out_dir / name for name in written]
    analysis.figures = sorted((analysis.out_dir / "figures").glob("*"))


def _draw(analysis: Analysis, folder: Path) -> list[Drawing]:
    """Draw and save every figure, numbered: a language's name need not be a file's name."""
    effective = analysis.effective
    drawings: list[Drawing] = []
    (folder / "figures").mkdir()

    def save(kind: Literal["map", "ladder"], model: str, what: str, figure: Figure) -> None:
        name = f"{kind}-{len(drawings) + 1:02d}"
        svg = encoded(figure, "svg")
        (folder / "figures" / f"{name}.svg").write_bytes(svg)
        (folder / "figures" / f"{name}.pdf").write_bytes(encoded(figure, "pdf"))
        drawings.append(Drawing(kind, model, what, name, svg))

    for (model, _), rows in effective.groupby(["model", "finetune_bytes"], sort=True):
        save("map", str(model), size_name(rows.iloc[0].to_dict()), transfer_heatmap(rows))
    styles = source_styles(sorted(effective["source"].unique()))
    for (model, target), ladder in analysis.ladders.items():
        rows = effective[(effective["model"] == model) & (effective["target"] == target)]
        law = analysis.law_fits.get((model, target))
        save("ladder", model, target, target_figure(ladder, law, rows, styles))
    return drawings


def _record(analysis: Analysis, when: datetime) -> dict[str, object]:
    noise = {
        name: {
            "sd_log_loss": one.sd_log_loss if one.degrees_of_freedom else None,
            "degrees_of_freedom": one.degrees_of_freedom,
        }
        for name, one in analysis.methods.noise.items()
    }
    return {
        "sweep": analysis.sweep,
        "store": analysis.store_uri,
        "launch_run_id": analysis.launch_run_id,
        "written": when.isoformat(timespec="seconds"),
        "versions": versions(),
        "cells_expected": analysis.table.num_expected,
        "cells_done": analysis.num_done,
        "methods": {**asdict(analysis.methods), "noise": noise},
        "answer": asdict(analysis.answer),
        "alarms": analysis.alarms,
        "notes": analysis.notes,
    }
