"""What an analysis leaves in its folder: tables in three formats, figures in two, the report."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from analysis.alarms.every import alarms_table
from analysis.claims import commutative, explained, hurt, similar, specific
from analysis.claims.claim import ClaimAnswer
from analysis.ladder import above_uniform
from analysis.report.added_seeds import added_seeds
from analysis.report.claim_figures import correlates_figure, effects_figure
from analysis.report.curve_figures import crossover_figure
from analysis.report.figures import encoded, source_styles, target_figure
from analysis.report.folder import MARKER, written_whole
from analysis.report.html import Drawing, Kind, render, versions
from analysis.report.law_figures import transfer_law_figure
from analysis.report.maps import share_heatmap, transfer_heatmap
from analysis.result import REPORT, Analysis
from analysis.unseen import unseen_shares
from analysis.wording import size_name

# Long lists of cells are for machines; what a paper prints is in LaTeX too.
FOR_MACHINES = ("cells", "missing")
_CLAIMS = (similar, explained, commutative, specific, hurt)


def write_outputs(analysis: Analysis) -> None:
    """Write tables, figures and report into `analysis.out_dir`, whole or not at all."""
    when = datetime.now(UTC)
    with written_whole(analysis.out_dir) as folder:
        written: list[str] = []
        for name, table in tables_of(analysis).items():
            table.to_parquet(folder / f"{name}.parquet", index=False)
            table.to_csv(folder / f"{name}.csv", index=False)
            written += [f"{name}.parquet", f"{name}.csv"]
            if name not in FOR_MACHINES:
                (folder / f"{name}.tex").write_text(latex(table), encoding="utf-8")
                written.append(f"{name}.tex")
        drawings = _draw(analysis, folder)
        (folder / REPORT).write_text(render(analysis, drawings, when), encoding="utf-8")
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
    if len(analysis.estimates):
        found["estimates"] = analysis.estimates
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
    """One row a claim: model, claim, question, verdict, answer, n, unit, tested."""
    return pd.DataFrame(
        [
            {
                "model": one.model,
                "claim": one.name,
                "question": one.question,
                "verdict": str(one.verdict),
                "answer": one.told,
                "n": one.n,
                "unit": one.unit,
                "tested": one.tested,
                "notes": " ".join(one.notes),
            }
            for one in claims
        ],
        columns=["model", "claim", "question", "verdict", "answer", "n", "unit", "tested", "notes"],
    )


def latex(table: pd.DataFrame) -> str:
    """The table for a paper: booktabs rules, everything escaped, a dash where nothing is known."""
    style = table.style.hide(axis="index")
    style = style.format(escape="latex", na_rep="--", precision=4)
    return str(style.format_index(escape="latex", axis=1).to_latex(hrules=True))


def _draw(analysis: Analysis, folder: Path) -> list[Drawing]:
    """Draw and save every figure, numbered: a language's name need not be a file's name."""
    effective = analysis.effective
    drawings: list[Drawing] = []
    (folder / "figures").mkdir()

    def save(kind: Kind, model: str, what: str, figure: Figure | None) -> None:
        if figure is None:
            return
        name = f"{kind}-{len(drawings) + 1:02d}"
        svg = encoded(figure, "svg")
        (folder / "figures" / f"{name}.svg").write_bytes(svg)
        (folder / "figures" / f"{name}.pdf").write_bytes(encoded(figure, "pdf"))
        drawings.append(Drawing(kind, model, what, name, svg))

    for (model, _), rows in effective.groupby(["model", "finetune_bytes"], sort=True):
        size = size_name(rows.iloc[0].to_dict())
        save("map", str(model), size, transfer_heatmap(rows))
        if rows["finetune_bytes"].iloc[0] > 0:  # of a zeroshot all is transferred
            save("share", str(model), size, share_heatmap(rows))
    styles = source_styles(sorted(effective["source"].unique()))
    for (model, target), ladder in analysis.ladders.items():
        rows = effective[(effective["model"] == model) & (effective["target"] == target)]
        law = analysis.law_fits.get((model, target))
        save("ladder", model, target, target_figure(ladder, law, rows, styles))
        laws = analysis.transfer_laws
        if len(laws):
            mine = laws[
                (laws["model"] == model)
                & (laws["target"] == target)
                & laws["level"].isin(["pair", "target"])
            ]
            save("transfer-law", model, target, transfer_law_figure(rows, mine, styles))
    for curves in analysis.drawn_curves:
        cost = analysis.flops_per_byte.get(curves.model, math.nan)
        figure = crossover_figure(curves, analysis.crossovers, cost, styles)
        save("crossover", curves.model, f"{curves.target}, {curves.size}", figure)
    for answer in analysis.claims:
        if similar.EFFECTS in answer.tables:
            figure = effects_figure(answer.tables[similar.EFFECTS])
            save("effects", answer.model, "effects of source and target", figure)
        if explained.PAIRS in answer.tables:
            pairs, results = answer.tables[explained.PAIRS], answer.tables[explained.CORRELATES]
            save("distances", answer.model, "distances", correlates_figure(pairs, results))
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
        "claims": claims_table(analysis.claims).to_dict("records"),
        "alarms": analysis.alarms,
        "notes": analysis.notes,
    }
