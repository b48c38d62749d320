"""The files of an analysis: tables in three formats, figures in two, the report."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import asdict
from datetime import UTC, datetime

import pandas as pd

from analysis.alarms.every import alarms_table
from analysis.claims import commutative, explained, hurt, similar, specific
from analysis.claims.claim import ClaimAnswer
from analysis.ladder import above_uniform
from analysis.probes import SCORED_COLUMNS
from analysis.report.added_seeds import added_seeds
from analysis.report.drawing import Drawings
from analysis.report.folder import MARKER, written_whole
from analysis.report.html import render, versions
from analysis.report.latex import latex
from analysis.result import REPORT, Analysis
from analysis.unseen import unseen_shares

# Long lists of cells are for machines; what a paper prints is in LaTeX too.
FOR_MACHINES = ("cells", "missing", "probe_cells")
_CLAIMS = (similar, explained, commutative, specific, hurt)


def write_outputs(
    analysis: Analysis,
    executor: Executor,
    meanwhile: Iterable[Callable[[], None]] = (),
    on_step: Callable[[str], None] = lambda _: None,
) -> None:
    """Write tables, figures and report into `analysis.out_dir`, all or nothing.

    `executor` draws; the tasks in `meanwhile` run before waiting for it. `on_step` receives the
    current step.
    """
    when = datetime.now(UTC)
    with written_whole(analysis.out_dir) as folder:
        drawings = Drawings(analysis, executor)
        on_step("writing tables")
        written: list[str] = []
        for name, table in tables_of(analysis).items():
            table.to_parquet(folder / f"{name}.parquet", index=False)
            table.to_csv(folder / f"{name}.csv", index=False)
            written += [f"{name}.parquet", f"{name}.csv"]
            if name not in FOR_MACHINES:
                (folder / f"{name}.tex").write_text(latex(table), encoding="utf-8")
                written.append(f"{name}.tex")
        for work in meanwhile:
            work()
        (folder / "figures").mkdir()
        done = []
        for number, one in enumerate(drawings, 1):
            on_step(f"drawing figure {number} of {drawings.number}")
            (folder / "figures" / f"{one.name}.svg").write_bytes(one.svg)
            (folder / "figures" / f"{one.name}.pdf").write_bytes(one.pdf)
            done.append(one)
        page = render(analysis, done, when, drawings.chosen.note)
        (folder / REPORT).write_text(page, encoding="utf-8")
        (folder / MARKER).write_text(
            json.dumps(_record(analysis, when), indent=2, ensure_ascii=False) + "\n",
            encoding="utf-8",
        )
    analysis.tables = [analysis.out_dir / name for name in written]
    analysis.figures = sorted((analysis.out_dir / "figures").glob("*"))


def tables_of(analysis: Analysis) -> dict[str, pd.DataFrame]:
    """The tables that are written, by the name of their file."""
    found = {
        "cells": analysis.cells.assign(above_uniform=above_uniform(analysis.cells)),
        "missing": analysis.missing,
        "effective": analysis.effective,
        "laws": analysis.laws,
        "claims": claims_table(analysis.claims),
        "alarms": alarms_table(analysis.raised),
    }
    added = added_seeds(analysis.cells)
    if len(added):
        found["seeds"] = added
    unseen = unseen_shares(analysis.cells)
    if len(unseen):
        found["unseen"] = unseen
    if len(analysis.transfer_laws):
        found["transfer_laws"] = analysis.transfer_laws
    if len(analysis.one_law):
        found["one_law"] = analysis.one_law
    if len(analysis.crossovers):
        found["crossovers"] = analysis.crossovers
    if len(analysis.bilingual):
        found["bilingual"] = analysis.bilingual
    if len(analysis.forgetting):
        found["forgetting"] = analysis.forgetting
    if len(analysis.completed.predicted):
        found["predicted"] = analysis.completed.predicted
    if len(analysis.completed.left_out):
        found["predicted_r2"] = analysis.completed.left_out
    if len(analysis.estimates):
        found["estimates"] = analysis.estimates
    if len(analysis.probes.scores):
        found["probe_cells"] = analysis.probes.scores[list(SCORED_COLUMNS)]
    if len(analysis.probes.table):
        found["probes"] = analysis.probes.table
    for module in _CLAIMS:
        mine = [answer for answer in analysis.claims if answer.name == module.NAME]
        titles = {title: None for answer in mine for title in answer.tables}
        for number, title in enumerate(titles, 1):
            parts = [
                answer.tables[title].assign(model=answer.model)
                for answer in mine
                if title in answer.tables
            ]
            found[f"claim_{module.NAME}_{number}"] = pd.concat(parts, ignore_index=True)
    return found


def claims_table(claims: list[ClaimAnswer]) -> pd.DataFrame:
    """One row per claim: model, claim, question, verdict, answer, n, unit, tested."""
    return pd.DataFrame(
        [
            {
                "model": one.model,
                "claim": one.name,
                "question": one.question,
                "verdict": str(one.verdict),
                "answer": one.full_sentence,
                "n": one.n,
                "unit": one.unit,
                "tested": one.tested,
                "notes": " ".join(one.notes),
            }
            for one in claims
        ],
        columns=["model", "claim", "question", "verdict", "answer", "n", "unit", "tested", "notes"],
    )


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
        "claims": claims_table(analysis.claims).to_dict("records"),
        "alarms": analysis.alarms,
        "notes": analysis.notes,
    }
