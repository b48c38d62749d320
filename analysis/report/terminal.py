"""The analysis in a terminal: the answer, D_T, the ladders and their laws, the alarms."""

from __future__ import annotations

import numpy as np
import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from analysis.alarms.alarm import Alarm, Kind
from analysis.claims.claim import Verdict
from analysis.completion.completed import ALL_SIZES
from analysis.probes import ALL_KINDS
from analysis.report.forgetting_table import print_forgetting
from analysis.report.plain_table import fits, plain_table
from analysis.report.probe_tables import by_accuracy, by_loss, scratch_accuracy
from analysis.result import Analysis
from analysis.wording import (
    LEGEND,
    UNFINISHED_LEGEND,
    counted,
    size_name,
    transferred_with_interval,
    unfinished_mark,
)

MOST_ALARMS = 12  # the report has them all


def print_findings(analysis: Analysis, out: Console) -> None:
    """Print the findings; readable from 80 columns on, with and without a terminal."""
    done = f"{analysis.num_done} of {analysis.table.num_expected} cells done"
    out.print(f"[bold]{escape(analysis.sweep)}[/] · {done} · {analysis.seeds}", highlight=False)
    out.print()
    _lines(out, [analysis.answer.headline], style="bold")
    _lines(out, analysis.answer.per_target)
    out.print()
    _print_claims(out, analysis)
    if not analysis.effective.empty:
        _print_transfer(out, analysis)
    _print_probes(out, analysis)
    print_forgetting(analysis.forgetting, out)
    _lines(out, _predicted(analysis), style="dim")
    if analysis.ladders:
        _print_ladders(out, analysis)
    _lines(out, _noise_of_seeds(analysis), style="dim")
    _print_alarms(out, analysis)


def print_report(analysis: Analysis, out: Console) -> None:
    """Print what remains once the report is written, and where it is."""
    _lines(out, analysis.notes, style="dim")
    # Not wrapped, so that it can be clicked and copied.
    out.print(Text(f"Report: {analysis.report_path}", style="bold"), soft_wrap=True)


def _lines(out: Console, sentences: list[str], style: str = "") -> None:
    for sentence in sentences:
        out.print(Text(sentence, style=style))


def _print_claims(out: Console, analysis: Analysis) -> None:
    """One paragraph per claim: the question, the verdict, the answer."""
    several = len({one.model for one in analysis.claims}) > 1
    for one in analysis.claims:
        asked = f"{one.question} " + (f"({one.model}) " if several else "")
        style = "dim" if one.verdict is Verdict.UNDECIDED else "bold"
        out.print(Text(asked) + Text(str(one.verdict), style=style))
        out.print(Padding(Text(one.full_sentence, style="dim"), (0, 0, 0, 2)))
    if analysis.claims:
        out.print()


def _print_transfer(out: Console, analysis: Analysis) -> None:
    rows = analysis.effective
    has_interval = rows["transferred_low_bytes"].notna().any()
    ends = f" [ ]: {analysis.methods.confidence:.0%} interval." if has_interval else ""
    out.print(Text(f"{LEGEND}{ends} <, >: a bound, off the ladder.", style="dim"))
    out.print()
    several = rows["model"].nunique() > 1
    for (model, target), mine in rows.groupby(["model", "target"], sort=True):
        title = f"D_T into {target}" + (f" · {model}" if several else "")
        table = _wide(mine, title)
        if not fits(out, table):
            table = _long(mine, title)
        out.print(table)
        out.print()
    if any(unfinished_mark(row) for row in rows.to_dict("records")):
        out.print(Text(f"{UNFINISHED_LEGEND} The report says how far.", style="dim"))
        out.print()


def _style(row: dict[object, object]) -> str:
    if row["leads"]:
        return "bold"
    return "dim" if row["range"] == "below" else ""


def _wide(mine: pd.DataFrame, title: str) -> Table:
    """Sources as rows, the best on average first; sizes as columns."""
    table = plain_table(title)
    table.add_column("source", no_wrap=True)
    sizes = sorted(mine["finetune_bytes"].unique())
    by_size = {size: mine[mine["finetune_bytes"] == size] for size in sizes}
    for size in sizes:
        name = size_name(by_size[size].iloc[0].to_dict())
        table.add_column(name if size == 0 else f"on {name}", no_wrap=True)
    rows = {(row["finetune_bytes"], row["source"]): row for row in mine.to_dict("records")}
    ranks = mine["loss"].groupby(mine["finetune_bytes"]).rank()
    for source in ranks.groupby(mine["source"]).mean().sort_values(kind="stable").index:
        texts = []
        for size in sizes:
            row = rows.get((size, source))
            shown = Text("-")
            if row is not None:
                shown = Text(transferred_with_interval(row), style=_style(row))
            texts.append(shown)
        table.add_row(Text(str(source)), *texts)
    return table


def _long(mine: pd.DataFrame, title: str) -> Table:
    """One row per source and size."""
    table = plain_table(title)
    table.add_column("on", no_wrap=True)
    table.add_column("source", overflow="fold")
    table.add_column("D_T", no_wrap=True)
    table.add_column("loss", justify="right", no_wrap=True)
    table.add_column("scratch", justify="right", no_wrap=True)
    last = None
    for row in mine.sort_values(["finetune_bytes", "loss"]).to_dict("records"):
        if last not in (None, row["finetune_bytes"]):
            table.add_section()
        table.add_row(
            "" if last == row["finetune_bytes"] else size_name(row),
            Text(str(row["source"])),
            Text(transferred_with_interval(row), style=_style(row)),
            f"{row['loss']:.4f}",
            "" if np.isnan(row["scratch_loss"]) else f"{row['scratch_loss']:.4f}",
        )
        last = row["finetune_bytes"]
    return table


def _print_probes(out: Console, analysis: Analysis) -> None:
    """D_T by minimal pairs, over all kinds."""
    rows = analysis.probes.table
    rows = rows[rows["kind"] == ALL_KINDS]
    several = rows["model"].nunique() > 1
    for (model, target), mine in rows.groupby(["model", "target"], sort=True):
        title = f"By {mine['num_pairs'].iloc[0]} minimal pairs, into {target}"
        table = plain_table(title + (f" · {model}" if several else ""))
        table.add_column("on", no_wrap=True)
        table.add_column("source", overflow="fold")
        table.add_column("right", justify="right", no_wrap=True)
        table.add_column("scratch", justify="right", no_wrap=True)
        table.add_column("D_T by accuracy", overflow="fold")
        table.add_column("by loss", overflow="fold")
        for row in mine.to_dict("records"):
            table.add_row(
                size_name(row),
                Text(str(row["source"])),
                f"{row['accuracy']:.3f}",
                scratch_accuracy(row),
                Text(by_accuracy(row), style="bold" if row["apart"] else ""),
                Text(by_loss(row)),
            )
        out.print(table)
        out.print()
    if rows["apart"].any():
        out.print(Text("Bold: the two intervals do not overlap.", style="dim"))
        out.print()


def _print_ladders(out: Console, analysis: Analysis) -> None:
    table = plain_table("Scratch ladders: loss in nats per byte")
    several = len({model for model, _ in analysis.ladders}) > 1
    table.add_column("target", overflow="fold")
    table.add_column("ladder", overflow="fold")
    table.add_column("law", overflow="fold")
    notes = analysis.laws.set_index(["model", "target"])["note"]
    for key, ladder in analysis.ladders.items():
        labels = _labels(analysis.means, key)
        rungs = [
            f"{label} {loss:.3f}"
            for label, loss in zip(labels, np.exp(ladder.log_loss), strict=True)
        ]
        law = analysis.law_fits.get(key)
        formula = str(notes[key]) if law is None else law_text(law.E_, law.B_, law.beta_)
        name = f"{key[1]} ({key[0]})" if several else key[1]
        table.add_row(Text(name), Text("  ".join(rungs)), Text(formula))
    out.print(table)
    out.print()


def law_text(E: float, B: float, beta: float) -> str:
    """ "1.20 + 31.4·D^-0.41"; without E if it is 0."""
    power = f"{B:.3g}·D^-{beta:.3g}"
    return f"{E:.3g} + {power}" if E > 0 else power


def _predicted(analysis: Analysis) -> list[str]:
    """A line on pairs that were predicted instead of measured, if there are any."""
    found = analysis.completed
    if found.predicted.empty:
        return []
    whole = found.left_out[found.left_out["size"] == ALL_SIZES]
    judged = whole if len(whole) else found.left_out
    r2 = ", ".join(f"{value:.2f}" for value in judged["r2"])
    pairs = found.predicted[["source", "target"]].drop_duplicates()
    return [
        f"{counted(len(pairs), 'pair')} not measured: the report has predictions of D_T, marked ≈ "
        f"and used nowhere else (leave-one-out R² of the measured pairs: {r2}).",
        "",
    ]


def _noise_of_seeds(analysis: Analysis) -> list[str]:
    """One line, or none if there is one seed, so that the noise is unknown."""
    known = [
        f"{one.family} {one.sd_log_loss:.2%}"
        for one in analysis.methods.noise.values()
        if one.degrees_of_freedom
    ]
    return [f"Seeds: sd of log loss {', '.join(known)}."] if known else []


def _labels(means: pd.DataFrame, key: tuple[str, str]) -> list[str]:
    scratch = means[
        (means["stage"] == "scratch") & (means["model"] == key[0]) & (means["target"] == key[1])
    ]
    return [str(label) for label in scratch.sort_values("size_bytes")["size"]]


def _print_alarms(out: Console, analysis: Analysis) -> None:
    if not analysis.alarms:
        out.print(Text("No alarms."))
    # Only the first of each kind: one per target would hide the others.
    kinds: dict[Kind, list[Alarm]] = {}
    for alarm in analysis.raised:
        kinds.setdefault(alarm.kind, []).append(alarm)
    shown = list(kinds.values())[:MOST_ALARMS]
    for first, *others in shown:
        more = f" ({len(others)} more of this kind)" if others else ""
        out.print(Text("! ", style="yellow") + Text(f"{first}{more}"))
    hidden = len(analysis.raised) - sum(map(len, shown))
    if hidden > 0:
        out.print(Text(f"! {hidden} more in the report.", style="yellow"))
    out.print()
