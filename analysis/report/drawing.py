"""The figures of a report, drawn by an executor.

This file does not import matplotlib, which takes half a second: the process that draws does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from math import nan
from typing import Any, Literal

from analysis.claims import explained, similar
from analysis.report.chosen import Chosen, chosen, source_order
from analysis.report.opening import Opening, opening
from analysis.result import Analysis
from analysis.wording import size_name

Kind = Literal[
    "opening",
    "map",
    "share",
    "ladder",
    "transfer-law",
    "crossover",
    "bilingual",
    "effects",
    "distances",
]
Files = tuple[bytes, bytes]  # SVG and PDF


@dataclass(frozen=True)
class Drawing:
    """A figure of the report."""

    kind: Kind
    model: str
    what: str  # the size of a map, the target of a ladder or law
    name: str  # of its file, and unique in the report
    svg: bytes
    pdf: bytes


@dataclass(frozen=True)
class _Wanted:
    """A figure to be drawn from `facts`."""

    kind: Kind
    model: str
    what: str
    facts: tuple[Any, ...]


class Drawings:
    """The figures of an analysis, being drawn by `executor`."""

    def __init__(self, analysis: Analysis, executor: Executor) -> None:
        self.chosen = chosen(analysis.effective, analysis.ladders)
        self._futures: list[tuple[_Wanted, Future[Files | None]]] = [
            (one, executor.submit(drawn, one.kind, *one.facts))
            for one in _wanted(analysis, self.chosen)
        ]

    @property
    def number(self) -> int:
        """An upper bound of their number."""
        return len(self._futures)

    def __iter__(self) -> Iterator[Drawing]:
        """The figures in the order of the page, except empty ones; waits for each.

        File names are numbered, because a language's name may not be a valid file name.
        """
        number = 0
        for one, future in self._futures:
            files = future.result()
            if files is not None:
                number += 1
                name = f"{one.kind}-{number:02d}"
                yield Drawing(one.kind, one.model, one.what, name, *files)


def drawn(kind: Kind, *facts: Any) -> Files | None:
    """The files of a figure; None if there is nothing to draw."""
    from analysis.report.claim_figures import correlates_figure, effects_figure
    from analysis.report.curve_figures import crossover_figure
    from analysis.report.figures import encoded, target_figure
    from analysis.report.law_figures import transfer_law_figure
    from analysis.report.maps import bilingual_heatmap, share_heatmap, transfer_heatmap

    draw: dict[Kind, Any] = {
        "opening": _draw_opening,
        "map": transfer_heatmap,
        "share": share_heatmap,
        "ladder": target_figure,
        "transfer-law": transfer_law_figure,
        "crossover": crossover_figure,
        "bilingual": bilingual_heatmap,
        "effects": effects_figure,
        "distances": correlates_figure,
    }
    figure = draw[kind](*facts)
    return None if figure is None else encoded(figure)


def _draw_opening(shown: Opening, order: Sequence[str]) -> Any:
    from analysis.report.dots import dots_figure
    from analysis.report.maps import opening_heatmap

    if shown.as_map:
        return opening_heatmap(shown.rows, shown.predicted, shown.place, order)
    return dots_figure(shown.rows, shown.predicted, shown.place)


def _wanted(analysis: Analysis, picked: Chosen) -> Iterator[_Wanted]:
    effective = analysis.effective
    first = opening(analysis)
    if first is not None:
        order = source_order(effective, first.place.model)
        yield _Wanted("opening", first.place.model, first.size, (first, order))
    for (model, num_bytes), rows in effective.groupby(["model", "finetune_bytes"], sort=True):
        if model not in picked.models or num_bytes not in picked.sizes:
            continue
        size = size_name(rows.iloc[0].to_dict())
        guesses = analysis.completed.predicted
        mine = guesses[(guesses["model"] == model) & (guesses["finetune_bytes"] == num_bytes)]
        order = source_order(effective, str(model))
        if first is None or not first.as_map or (model, num_bytes) != first.at:
            yield _Wanted("map", str(model), size, (rows, mine, order))
        if num_bytes > 0:  # for zeroshot, all of D_E is transferred
            yield _Wanted("share", str(model), size, (rows, order))
    sources = sorted(effective["source"].unique())
    for (model, target), ladder in analysis.ladders.items():
        if target not in picked.targets.get(model, ()):
            continue
        rows = effective[(effective["model"] == model) & (effective["target"] == target)]
        law = analysis.law_fits.get((model, target))
        yield _Wanted("ladder", model, target, (ladder, law, rows, sources))
        laws = analysis.transfer_laws
        if len(laws):
            mine = laws[
                (laws["model"] == model)
                & (laws["target"] == target)
                & laws["level"].isin(["pair", "target"])
            ]
            yield _Wanted("transfer-law", model, target, (rows, mine, sources))
    for curves in analysis.drawn_curves:
        cost = analysis.flops_per_byte.get(curves.model, nan)
        facts = (curves, analysis.crossovers, cost, sources)
        yield _Wanted("crossover", curves.model, f"{curves.target}, {curves.size}", facts)
    if len(analysis.bilingual):
        for (model, _), rows in analysis.bilingual.groupby(["model", "target_bytes"], sort=True):
            yield _Wanted("bilingual", str(model), f"{rows['size'].iloc[0]} of the target", (rows,))
    for answer in analysis.claims:
        if similar.EFFECTS in answer.tables:
            about = "effects of source and target"
            yield _Wanted("effects", answer.model, about, (answer.tables[similar.EFFECTS],))
        if explained.PAIRS in answer.tables:
            pairs, results = answer.tables[explained.PAIRS], answer.tables[explained.CORRELATES]
            yield _Wanted("distances", answer.model, "distances", (pairs, results))
