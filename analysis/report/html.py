"""The report: one HTML file that needs nothing else, read from top to bottom."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import get_args

import jinja2
import pandas as pd

from analysis.estimators.registry import CAUTIONS
from analysis.report.added_seeds import added_seeds
from analysis.report.bilingual_table import bilingual_table
from analysis.report.claim_tables import claims
from analysis.report.crossover_table import crossover_table
from analysis.report.drawing import Drawing, Kind
from analysis.report.forgetting_table import forgetting_table
from analysis.report.inline_svg import inline_svg
from analysis.report.opening import legend, opening, title
from analysis.report.predicted_table import left_out_table, predicted_table
from analysis.report.probe_tables import probe_tables
from analysis.report.shown_table import ShownTable, shown_table
from analysis.report.tables import estimator_spread, ladder_law, one_law, transfer, transfer_law
from analysis.result import Analysis
from analysis.unseen import SHOWN_SHARE, unseen_shares
from analysis.wording import ZEROSHOT, counted

ESTIMATOR_TEXTS = {
    "guided": (
        "guided: a monotone cubic (PCHIP) through the rungs of the scratch ladder, over the log "
        "loss that the ladder's law has at each size; D_E is the smallest number of bytes at which "
        "it is at or below the finetuned loss. Exact where the ladder follows the law; elsewhere "
        "the law is only an axis. Off the ladder it is a bound, never an extrapolation."
    ),
    "pchip": (
        "pchip: a monotone cubic of log loss over log bytes of the scratch ladder. Off the ladder "
        "it is a bound."
    ),
    "loglog": (
        "loglog: log loss interpolated linearly over log bytes of the scratch ladder. On a convex "
        "ladder this overestimates D_E, just above D_F by up to a third where rungs are a factor "
        "of four apart. Off the ladder it is a bound."
    ),
    "linear": (
        "linear: bytes interpolated linearly over perplexity of the scratch ladder (what the "
        "method's authors set out to compute). Off the ladder it is a bound."
    ),
    "law": (
        "law: inverse of the fitted L = E + B·D^-β, shifted to pass through the scratch loss at "
        "D_F, so that its sign is that of the comparison at equal size. Off the ladder it is a "
        "bound."
    ),
    "pooled": (
        "pooled: inverse of L = E + B·D^-β of the scratch ladder, whose β and E are shrunk towards "
        "those of the model's other targets (fitted together by marginal likelihood); its sign is "
        "that of the comparison at equal size. Off the ladder it is a bound."
    ),
    "reference": f"reference: {CAUTIONS['reference']}.",
}


MAX_FIGURES_CHARACTERS = 2_200_000  # so that a page stays under 3 MB
FEW_TARGETS = 4  # beyond this, tables and sentences of single targets are collapsed


def render(analysis: Analysis, drawings: Sequence[Drawing], when: datetime, drawn_note: str) -> str:
    """The HTML of an analysis, with its figures in the given order; `drawn_note` says which were
    not drawn."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("analysis.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    several = analysis.effective["model"].nunique() > 1
    parts = transfer(analysis.effective, several)
    first = opening(analysis)
    return environment.get_template("report.html.j2").render(
        a=analysis,
        date=when.strftime("%Y-%m-%d"),
        confidence=f"{analysis.methods.confidence:.0%}",
        any_interval=bool(analysis.effective["transferred_low_bytes"].notna().any()),
        any_unfinished=any(row.if_trained_on for part in parts for row in part.rows),
        probes=probe_tables(analysis.probes),
        unseen=_unseen(analysis.cells),
        added=_added(analysis.cells),
        alarms_count=counted(len(analysis.alarms), "alarm"),
        claims=claims(analysis.claims),
        transfer=parts,
        many=len(parts) > FEW_TARGETS,
        figures=_figures(drawings),
        opening=first,
        opening_title="" if first is None else title(first, several),
        opening_legend=""
        if first is None
        else " ".join(legend(first, analysis.methods.confidence)),
        drawn_note=drawn_note,
        laws=[ladder_law(row, several) for row in analysis.laws.to_dict("records")],
        transfer_laws=[transfer_law(row) for row in analysis.transfer_laws.to_dict("records")],
        one_law=one_law(analysis.one_law, several),
        crossovers=crossover_table(analysis.crossovers, several),
        bilingual=bilingual_table(analysis.bilingual, several),
        forgetting=forgetting_table(analysis.forgetting, several),
        predicted=predicted_table(analysis.completed.predicted, several),
        left_out=left_out_table(analysis.completed.left_out, several),
        estimates=_spread(analysis.estimates),
        missing=[
            {key: "" if pd.isna(value) else value for key, value in row.items()}
            for row in analysis.missing[["cell_id", "status", "reason"]].to_dict("records")
        ],
        methods=_methods(analysis, when),
    )


@dataclass(frozen=True)
class _Figure:
    """A figure on the page; without svg if only its file is named."""

    svg: str
    caption: str


@dataclass(frozen=True)
class _Group:
    """The figures of one kind and model; `model` is empty if there is only one."""

    model: str
    open: bool
    figures: list[_Figure]


def _figures(drawings: Sequence[Drawing]) -> dict[str, list[_Group]]:
    """The models of each kind with their figures; the first model is open on the page.

    Beyond `MAX_FIGURES_CHARACTERS` only the file of a figure is named, those of the last models
    first, so that the page of a large grid still opens and nothing is omitted silently.
    """
    # The opening is of the model that the headline speaks of, which need not be the first.
    models = list(dict.fromkeys(drawing.model for drawing in drawings if drawing.kind != "opening"))
    inlined: dict[str, _Figure] = {}
    left = MAX_FIGURES_CHARACTERS
    for model in models:
        for drawing in drawings:
            if drawing.model == model:
                figure = _figure(drawing)
                left -= len(figure.svg)
                if left < 0:
                    figure = _Figure("", f"{figure.caption}: {drawing.name}.svg")
                inlined[drawing.name] = figure
    found: dict[str, list[_Group]] = {kind: [] for kind in get_args(Kind)}
    for kind, groups in found.items():
        for model in models:
            mine = [one for one in drawings if one.kind == kind and one.model == model]
            if mine:
                shown = model if len(models) > 1 else ""
                groups.append(_Group(shown, not groups, [inlined[one.name] for one in mine]))
    return found


def _figure(drawing: Drawing) -> _Figure:
    what = drawing.what
    sizes = "not finetuned (zeroshot)" if what == ZEROSHOT else f"finetuned on {what}"
    caption, text = {
        "opening": ("", f"D_T of every source and target, {sizes}"),
        "map": (sizes, f"D_T of every source and target, {sizes}"),
        "share": (sizes, f"D_T / D_E of every source and target, {sizes}"),
        "ladder": (f"into {what}", f"Loss over bytes of {what}, from scratch and finetuned"),
        "transfer-law": (f"into {what}", f"D_T into {what} over bytes finetuned on"),
        "crossover": (f"into {what}", f"Loss into {what} over the cost of training"),
        "bilingual": (what, f"Bilingual transfer score of every source and target, {what}"),
        "effects": ("", "Effects of sources and targets with intervals"),
        "distances": ("", "Transfer over each distance between languages"),
    }[drawing.kind]
    return _Figure(inline_svg(drawing.svg, drawing.name, text), caption)


def _added(cells: pd.DataFrame) -> ShownTable | None:
    """None if every cell was declared."""
    found = added_seeds(cells)
    return shown_table(found.fillna("–"), "by cell", "seeds.csv") if len(found) else None


def _unseen(cells: pd.DataFrame) -> ShownTable | None:
    """The table of pairs, if any has a share worth showing."""
    shares = unseen_shares(cells)
    if not (shares["unseen_share"] > SHOWN_SHARE).any():
        return None
    title = "share of the bytes of the target's test split, by pair"
    return shown_table(shares, title, "unseen.csv")


def _spread(estimates: pd.DataFrame) -> ShownTable | None:
    if estimates.empty:
        return None
    return shown_table(estimator_spread(estimates), "D_T by estimator", "estimates.csv")


def _methods(analysis: Analysis, when: datetime) -> list[tuple[str, str]]:
    methods = analysis.methods
    noise = "; ".join(
        f"{one.family}: sd of log loss {one.sd_log_loss:.2%} with "
        f"{counted(one.degrees_of_freedom, 'degree')} of freedom"
        if one.degrees_of_freedom
        else f"{one.family}: one seed, unknown"
        for one in methods.noise.values()
    )
    if analysis.effective["transferred_low_bytes"].notna().any():
        intervals = (
            f"{methods.confidence:.0%} percentile intervals of {methods.num_resamples} resamples "
            "(parametric bootstrap). The residuals of log loss around cell means are pooled per "
            "family of stages, and split into a part shared by all finetunes of a pretrain and a "
            "part of each cell; each resample draws both variances (scaled inverse χ²), a value "
            "for every pretrain and one for every cell, and passes through ladder, pooling and "
            "estimator like the data. They cover the noise of seeds and the interpolation error "
            "between rungs, not the choice of corpus."
        )
    else:
        intervals = "One seed: no intervals."
    launch = f"{analysis.store_uri}, newest launch {analysis.launch_run_id}"
    return [
        ("Estimator", ESTIMATOR_TEXTS.get(methods.estimator, methods.estimator)),
        (
            "Ladder",
            "The mean of log loss over seeds at each rung. Where loss rises with size, "
            "neighbouring "
            "rungs are pooled (isotonic regression, weighted by seeds), and the scratch loss shown "
            "is the pooled one.",
        ),
        ("Intervals", intervals),
        ("Noise of seeds", noise),
        (
            "Losses",
            "On the test split, for the checkpoint with the best validation loss; in nats per byte "
            "(divide by ln 2 for bits per byte).",
        ),
        *_mixtures(analysis.mixtures),
        ("Sizes", "True bytes; k, M, G are powers of ten. A label is only a name."),
        (
            "Law",
            "Variable projection over β; E and B are not negative; residuals relative to loss.",
        ),
        *(("Claim: " + one.question, one.answers[0].tested) for one in claims(analysis.claims)),
        *_probe_methods(analysis),
        (
            "Distances",
            "URIEL (Littell et al. 2017) as distributed with urielplus 1.3.2 and lang2vec 1.1.2, "
            "Glottolog's coordinates: angular distance over the features known for both languages, "
            "at least 10; geographic: great circle over half the circumference. CC BY-SA 4.0.",
        ),
        ("Random numbers", f"seed {methods.random_seed}, {methods.num_permutations} drawn"),
        ("Sweep", analysis.sweep),
        ("Store", launch),
        *(("Note", note) for note in analysis.notes),
        ("Written", f"{when.strftime('%Y-%m-%d %H:%M')} UTC, {versions()}"),
    ]


def _probe_methods(analysis: Analysis) -> list[tuple[str, str]]:
    if analysis.probes.table.empty:
        return []
    text = (
        "A pair is right if the good text has the higher probability: the sum over its bytes, "
        "after a separator; a tie counts half. D_E is read off the ladder of the share of wrong "
        "pairs, (wrong + ½) / (pairs + 1), instead of the loss; estimator, pooling and intervals "
        "are those of losses, with the noise of seeds of that share. Intervals do not cover the "
        "choice of pairs."
    )
    return [("Minimal pairs", text)]


def _mixtures(mixtures: Mapping[str, str]) -> list[tuple[str, str]]:
    if not mixtures:
        return []
    each = "; ".join(f"{name}: {shares}" for name, shares in mixtures.items())
    rule = "of the bytes pretrained on, interleaved by document: every prefix has these shares"
    return [("Mixtures", f"{each} {rule}. Their distances from languages are unknown.")]


def versions() -> str:
    """The versions behind a report: "raydt 0.2.0, ..., Python 3.11.7"."""
    found = []
    for name in ("raydt", "mlflow", "numpy", "scipy", "pandas"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:  # raydt run from its folder, not installed
            found.append(f"{name} (not installed)")
    return ", ".join([*found, f"Python {platform.python_version()}"])
