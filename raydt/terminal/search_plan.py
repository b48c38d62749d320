"""The plan of a search: stages, sizes, ranges of values and cost."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from raydt.grid.cost import ASSUMED_EPOCHS, planned_gpu
from raydt.terminal.amounts import duration, short
from raydt.terminal.gpu_plan import gpu_hours_of, time_basis
from raydt.tuning.cost import SearchCost
from raydt.tuning.plan import NUM_CHECK_SEEDS, SearchPlan
from raydt.tuning.space import BUDGET, recipe_at
from raydt.units import approximate_bytes


def show_search_plan(plan: SearchPlan, console: Console) -> None:
    """Print a row per stage and size, and the totals."""
    console.print(
        f"[bold]search {escape(plan.sweep.name)}[/]: model {plan.model_name} on "
        f"{escape(plan.sweep.corpus)}"
    )
    cost = SearchCost(plan)
    table = _table()
    for column in ("stage", "size"):
        table.add_column(column)
    for column in ("languages", "trials", "baselines", "checks", "bytes of trials", "at most"):
        table.add_column(column, justify="right")
    for stage in plan.stages:
        for study in plan.studies(stage):
            trials, num_languages = cost.trials_bytes(study), len(study.languages)
            num_checks = 2 * NUM_CHECK_SEEDS * num_languages
            runs = [num_languages, plan.num_trials, num_languages, num_checks]
            amounts = [approximate_bytes(trials.expected), approximate_bytes(trials.max)]
            table.add_row(stage, study.size.label, *map(str, runs), *amounts)
    console.print(table)
    console.print(_space(plan))
    whole = cost.whole
    stated = f"{approximate_bytes(cost.expected_bytes)} bytes"
    if whole.total.expected < whole.total.max:
        stated += f" expected, at most {approximate_bytes(cost.max_bytes)}"
    if cost.is_limited:
        stated += f" by --budget, where all runs could take {approximate_bytes(whole.total.max)}"
    console.print(
        f"At most {whole.num_runs} runs and {stated}. "
        f"{approximate_bytes(whole.baselines.expected)} for baselines, "
        f"{approximate_bytes(whole.parents.expected)} for pretrains that finetunes start from, "
        f"{approximate_bytes(whole.checks.expected)} for the check on fresh seeds, the rest for "
        "trials."
    )
    rate = planned_gpu(plan.sweep).assumed_flops_per_second
    console.print(
        f"{short(cost.flops())} FLOPs, about {duration(cost.seconds())} with "
        f"{plan.sweep.num_slots} at a time, or "
        f"{gpu_hours_of(plan.sweep, cost.flops() / rate / 3600)}"
    )
    notes = [time_basis(plan.sweep, {})]
    ends = [plan.ends_by_itself(stage) for stage in plan.stages]
    if any(ends):
        notes.append(
            f"Bytes: assumes that a run converges after {ASSUMED_EPOCHS:g} epochs, or hits its cap."
        )
    if not all(ends):
        notes.append(
            "ASHA stops half of the trials halfway through their budget, and patience stops others "
            "early: about half of the budget is likely to be used."
        )
    console.print(" ".join(notes), style="dim")


def _space(plan: SearchPlan) -> Table:
    table = _table()
    for column in ("stage", "size"):
        table.add_column(column)
    names = list(dict.fromkeys(each.shown for stage in plan.stages for each in plan.space(stage)))
    for name in names:
        table.add_column(name, justify="right")
    for stage in plan.stages:
        for study in plan.studies(stage):
            size = study.size.num_bytes
            here = recipe_at(plan.recipe(stage), size, plan.window_bytes, {})
            cells = dict.fromkeys(names, "·")
            for each in plan.space(stage):
                number = float(here.budget(size) if each is BUDGET else getattr(here, each.name))
                cells[each.shown] = f"{_shown(number * each.low)}–{_shown(number * each.high)}"
            table.add_row(stage, study.size.label, *cells.values())
    return table


def _shown(value: float) -> str:
    return approximate_bytes(value) if value >= 1000 else f"{value:.3g}"


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
