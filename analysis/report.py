"""The report: one HTML file that needs nothing else, read from top to bottom."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import jinja2
import pandas as pd

from analysis.estimators import CAUTIONS
from analysis.figures import inline_svg
from analysis.result import Analysis
from analysis.wording import ZEROSHOT, counted, interval, size_name, transferred, whole_bytes

ESTIMATOR_TEXTS = {
    "loglog": (
        "loglog: log loss interpolated linearly over log bytes of the scratch ladder; D_E is the "
        "fewest bytes at which the ladder is at or under the finetuned loss. Off the ladder it is "
        "a bound, never an extrapolation."
    ),
    "linear": (
        "linear: bytes interpolated linearly over perplexity of the scratch ladder (what the "
        "method's authors set out to compute). Off the ladder it is a bound."
    ),
    "law": (
        "law: inverse of the fitted L = E + B·D^-β, led through the scratch loss at D_F so that "
        "its sign is that of the comparison at equal size. Off the ladder it is a bound."
    ),
    "reference": f"reference: {CAUTIONS['reference']}.",
}


@dataclass(frozen=True)
class Drawing:
    """A figure of the report."""

    kind: Literal["map", "ladder"]
    model: str
    what: str  # the size of a map, the target of a ladder
    name: str  # of its file, and unique in the report
    svg: bytes


def render(analysis: Analysis, drawings: Sequence[Drawing], when: datetime) -> str:
    """The HTML of an analysis, with its figures in the order given."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("analysis"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    several = analysis.effective["model"].nunique() > 1
    figures: dict[str, list[dict[str, str]]] = {"map": [], "ladder": []}
    for drawing in drawings:
        caption = drawing.what + (f" · {drawing.model}" if several else "")
        if drawing.kind == "map":
            zeroshot = drawing.what == ZEROSHOT
            caption = f"{caption}: not finetuned" if zeroshot else f"finetuned on {caption}"
            text = f"D_T of every source and target, {caption}"
        else:
            text = f"Loss over bytes of {caption}, from scratch and finetuned"
        svg = inline_svg(drawing.svg, drawing.name, text)
        figures[drawing.kind].append({"svg": svg, "caption": caption})
    return environment.get_template("report.html.j2").render(
        a=analysis,
        date=when.strftime("%Y-%m-%d"),
        confidence=f"{analysis.methods.confidence:.0%}",
        any_interval=bool(analysis.effective["transferred_low_bytes"].notna().any()),
        alarms_count=counted(len(analysis.alarms), "alarm"),
        transfer=_transfer(analysis.effective, several),
        maps=figures["map"],
        curves=figures["ladder"],
        laws=[_law(row, several) for row in analysis.laws.to_dict("records")],
        missing=[
            {key: "" if pd.isna(value) else value for key, value in row.items()}
            for row in analysis.missing[["cell_id", "status", "reason"]].to_dict("records")
        ],
        methods=_methods(analysis, when),
    )


def _transfer(effective: pd.DataFrame, several: bool) -> list[dict[str, Any]]:
    parts = []
    for (model, target), mine in effective.groupby(["model", "target"], sort=True):
        rows, last = [], None
        for row in mine.sort_values(["finetune_bytes", "loss"]).to_dict("records"):
            first = row["finetune_bytes"] != last
            last = row["finetune_bytes"]
            mark = {"inside": "", "below": "< ", "above": "> "}[row["range"]]
            rows.append(
                {
                    "first": first,
                    "leads": row["leads"],
                    "size": size_name(row) if first else "",
                    "source": row["source"],
                    "transferred": _minus(transferred(row)),
                    "interval": _minus(interval(row)),
                    "effective": mark + whole_bytes(row["effective_bytes"]),
                    "loss": f"{row['loss']:.4f}",
                    "scratch": _scratch(row),
                    "seeds": row["num_seeds"],
                }
            )
        parts.append({"name": f"{target} · {model}" if several else target, "rows": rows})
    return parts


def _scratch(row: Mapping[Any, Any]) -> str:
    read, observed = row["scratch_loss"], row["scratch_loss_observed"]
    if math.isnan(read):
        return "–"
    if math.isnan(observed) or math.isclose(read, observed, rel_tol=1e-9):
        return f"{read:.4f}"
    return f"{read:.4f} (observed {observed:.4f})"


def _law(row: Mapping[Any, Any], several: bool) -> dict[str, object]:
    def value(name: str) -> str:
        if math.isnan(row[name]) or (name == "E" and row["irreducible"] is False):
            return "–"
        text = f"{row[name]:.3g}"
        if not math.isnan(row[f"{name}_low"]):
            text += f" [{row[f'{name}_low']:.3g}, {row[f'{name}_high']:.3g}]"
        return text

    return {
        "name": f"{row['target']} · {row['model']}" if several else row["target"],
        "rungs": row["num_rungs"],
        **{name: value(name) for name in ("E", "B", "beta")},
        "rmse": "–" if math.isnan(row["rmse_log"]) else f"{row['rmse_log']:.2%}",
        "note": row["note"],
    }


def _methods(analysis: Analysis, when: datetime) -> list[tuple[str, str]]:
    methods = analysis.methods
    noise = "; ".join(
        f"{one.family}: sd of log loss {one.sd_log_loss:.4f} with "
        f"{counted(one.degrees_of_freedom, 'degree')} of freedom"
        if one.degrees_of_freedom
        else f"{one.family}: one seed, unknown"
        for one in methods.noise.values()
    )
    if analysis.effective["transferred_low_bytes"].notna().any():
        intervals = (
            f"{methods.confidence:.0%} percentile intervals of {methods.num_resamples} resamples "
            "(parametric bootstrap). The residuals of log loss around cell means are pooled per "
            "family of stages; each resample draws a variance (scaled inverse χ²), then every "
            "cell's mean, and passes through ladder, pooling and estimator like the data. They "
            "hold the noise of seeds only, not of the choice of corpus or of the estimator."
        )
    else:
        intervals = "One seed: no interval."
    launch = f"{analysis.store_uri}, newest launch {analysis.launch_run_id}"
    return [
        ("Estimator", ESTIMATOR_TEXTS.get(methods.estimator, methods.estimator)),
        (
            "Ladder",
            "Per rung the mean of log loss over seeds. Where loss rises with size, neighbouring "
            "rungs are pooled (isotonic regression, weighted by seeds), and the scratch loss shown "
            "is the pooled one.",
        ),
        ("Intervals", intervals),
        ("Noise of seeds", noise),
        (
            "Losses",
            "On the test split, of the checkpoint with the best validation loss; nats per byte "
            "(divide by ln 2 for bits per byte).",
        ),
        ("Sizes", "True bytes; k, M, G are powers of ten. A label is only a name."),
        ("Law", "Variable projection over β, E and B not negative, residuals relative to loss."),
        ("Sweep", analysis.sweep),
        ("Store", launch),
        *(("Note", note) for note in analysis.notes),
        ("Written", f"{when.strftime('%Y-%m-%d %H:%M')} UTC, {versions()}"),
    ]


def versions() -> str:
    """The versions behind a report, "raydt 0.1.0, Python 3.11.7, ..."."""
    found = []
    for name in ("raydt", "mlflow", "numpy", "scipy", "pandas"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:  # raydt run from its folder, not installed
            found.append(f"{name} (not installed)")
    return ", ".join([*found, f"Python {platform.python_version()}"])


def _minus(text: str) -> str:
    return text.replace("-", "−")
