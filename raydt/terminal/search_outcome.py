"""What a search found, as a table, and the command that uses it."""

from __future__ import annotations

import io
import shlex
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from raydt.tuning.cost import SearchCost
from raydt.tuning.found import StageFound
from raydt.tuning.plan import SearchPlan
from raydt.units import approximate_bytes


def found_table(plan: SearchPlan, found: Sequence[StageFound]) -> Table:
    """A row per stage and searched size: validation bits per byte on fresh seeds, before and
    after, and the values that are to be used. Bytes are a budget or, where cells end by
    themselves, what they saw on those seeds."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("stage")
    for column in (
        "size",
        "before",
        "rule",
        "difference",
        "lr",
        "emb lr",
        "batch",
        "warm-up",
        "decay",
        "bytes",
    ):
        table.add_column(column, justify="right", no_wrap=True)
    for each in found:
        compared = {comparison.size: comparison for comparison in each.comparisons}
        for study in plan.studies(each.stage):
            size = study.size.num_bytes
            recipe = each.recipe.for_size(size)
            comparison = compared.get(study.size)
            numbers = ("", "", "")
            if not plan.ends_by_itself(each.stage):
                num_bytes = approximate_bytes(each.recipe.budget(size))
            elif comparison is None:
                num_bytes = ""
            else:
                used = comparison.after_bytes if each.is_tuned else comparison.before_bytes
                num_bytes = approximate_bytes(used)
            if comparison is not None:
                numbers = (
                    f"{comparison.before_bpb:.4f}",
                    f"{comparison.after_bpb:.4f}",
                    f"{comparison.difference_bpb:+.4f} ± {comparison.stderr_bpb:.4f}",
                )
            table.add_row(
                each.stage if each.is_tuned else f"{each.stage} (as it was)",
                study.size.label,
                *numbers,
                f"{recipe.learning_rate:.3g}",
                f"{recipe.embedding_learning_rate:.3g}",
                str(each.recipe.batch_windows(size, plan.window_bytes)),
                str(recipe.warmup_steps),
                f"{recipe.weight_decay:.3g}",
                num_bytes,
            )
    return table


def table_text(plan: SearchPlan, found: Sequence[StageFound]) -> str:
    """The table as plain text."""
    console = Console(file=io.StringIO(), width=120, no_color=True)
    console.print(found_table(plan, found))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def show_found(
    plan: SearchPlan,
    found: Sequence[StageFound],
    bytes_trained: int,
    file: str,
    not_recorded: Mapping[str, str],
    console: Console,
) -> None:
    """Print the table, where the file is, and what to do with it."""
    console.print(found_table(plan, found))
    for each in found:
        console.print(f"{each.stage}: {each.why}", markup=False)
    console.print(
        f"{approximate_bytes(bytes_trained)} bytes trained, of at most "
        f"{approximate_bytes(SearchCost(plan).most_bytes)}. In {escape(file)}"
    )
    if not_recorded:
        what, reason = next(iter(not_recorded.items()))
        console.print(
            f"[yellow]Not in MLflow yet: {len(not_recorded)}[/] "
            f"(first: {escape(f'{what}: {reason}')}). The same command writes them."
        )
    sweep = plan.sweep
    words = ["raydt", "run", "--hparams", file, "--corpus", sweep.corpus]
    words += ["--sources", *sweep.sources, "--targets", *sweep.targets]
    words += ["--sizes", *(f"{s.label}={s.num_bytes}" for s in sweep.sizes)]
    if sweep.scratch_sizes:
        words += ["--scratch-sizes", *(f"{s.label}={s.num_bytes}" for s in sweep.scratch_sizes)]
    size = sweep.pretrain_size
    words += ["--pretrain-size", f"{size.label}={size.num_bytes}", "--models", plan.model_name]
    if sweep.storage != "runs":
        words += ["--storage", sweep.storage]
    words += ["--name", f"{sweep.name}-tuned"]
    console.print(f"Next:  {shlex.join(words)}", markup=False)
