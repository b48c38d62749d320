from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import pytest

from raydt.config.protocol import RECIPES, Protocol
from raydt.config.recipe import FREE_RECIPE_FIELDS, Recipe
from raydt.config.sweep import Sweep
from raydt.errors import InputError
from raydt.grid.build import build_grid
from raydt.grid.cell import Cell
from raydt.grid.cost import ASSUMED_EPOCHS, cell_cost, seen_bytes, workers_of
from raydt.grid.identity import fingerprint
from raydt.grid.journal import RESULT
from raydt.grid.ledger import (
    Ledger,
    cell_folder,
    check_name_is_free,
    record_sweep,
    recorded_sweep,
    recorded_sweeps,
)
from raydt.grid.result import write_result
from raydt.grid.schedule import Schedule, simulate
from raydt.tracking.schema import Stage, Status
from tests.grid.results import result_of


def test_the_demo_is_the_whole_product_of_its_axes() -> None:
    sweep = Sweep()
    cells = build_grid(sweep)
    assert Counter(cell.stage for cell in cells) == {
        Stage.PRETRAIN: 6 * 2,
        Stage.SCRATCH: 6 * 3 * 2,
        Stage.ZEROSHOT: 6 * 5 * 2,
        Stage.FINETUNE: 6 * 5 * 2,
    }
    assert len({cell.cell_id for cell in cells}) == len(cells)


def test_parents_come_before_children_and_share_seed_and_model() -> None:
    sweep = Sweep(models=("nano", "micro"))
    seen = {}
    for cell in build_grid(sweep):
        if cell.stage in (Stage.FINETUNE, Stage.ZEROSHOT):
            parent = seen[cell.parent_id]
            assert parent.stage is Stage.PRETRAIN
            assert (parent.source, parent.seed, parent.model) == (
                cell.source,
                cell.seed,
                cell.model,
            )
        else:
            assert cell.parent_id is None
        seen[cell.cell_id] = cell


def test_a_source_that_meets_no_target_is_not_pretrained() -> None:
    cells = build_grid(Sweep(sources=("alba", "related"), targets=("alba",), seeds=(0,)))
    assert [cell.source for cell in cells if cell.stage is Stage.PRETRAIN] == ["related"]


def test_pairs_whose_names_run_together_are_refused() -> None:
    with pytest.raises(InputError, match="finetune/a-b-c"):
        build_grid(Sweep(sources=("a", "a-b"), targets=("b-c", "c")))


def test_names_for_people() -> None:
    names = {cell.cell_id: cell.run_name for cell in build_grid(Sweep(seeds=(0,), sizes=("8k",)))}
    assert names["finetune/related-alba/8k/nano/s0"] == "related→alba 8k s0"
    assert names["scratch/alba/8k/nano/s0"] == "scratch→alba 8k s0"
    assert names["pretrain/related/400k/nano/s0"] == "pretrain related s0"


def test_cost_is_bytes_times_flops() -> None:
    protocol = Protocol(
        evaluation_growth=1, evaluations=8, val_bytes="8k", test_bytes="32k", test_stride_bytes=128
    )
    sweep = Sweep(seeds=(0,), sizes=("8k",), protocol=protocol)
    cells = {cell.cell_id: cell for cell in build_grid(sweep)}
    zeroshot = cell_cost(cells["zeroshot/related-alba/0/nano/s0"], sweep, {}, {})
    finetune = cell_cost(cells["finetune/related-alba/8k/nano/s0"], sweep, {"nano": 1e9}, {})
    assert zeroshot.budget_bytes == 0
    # width 64, one layer, hidden 192, window 128, vocabulary 256; forward 2 FLOPs a weight.
    forward = 2 * (4 * 64**2 + 2 * 64 * 192 + 64 * 256) + 4 * 64 * 128
    # Whole windows: 63 of 128 for the 8,000 bytes of `val`; 250 for the 32,000 of `test`.
    assert zeroshot.flops == (63 + 250) * 128 * forward
    # A finetune has an evaluation before its first step, besides the eight, and is tested on its
    # source, too.
    evaluated = (9 * 63 + 2 * 250) * 128
    assert finetune.flops == finetune.budget_bytes * 3 * forward + evaluated * forward
    # It is expected to end before its cap.
    assert finetune.expected_bytes == ASSUMED_EPOCHS * 8_000 < finetune.budget_bytes
    expected = finetune.expected_bytes * 3 * forward + evaluated * forward
    assert finetune.seconds == finetune.expected_flops / 1e9 == expected / 1e9


def test_cells_that_are_done_say_what_others_of_their_kind_will_see() -> None:
    sweep = Sweep(seeds=(0, 1), sizes=("2k", "8k"))
    cells = build_grid(sweep)
    done, same = (c for c in cells if c.cell_id.startswith("scratch/alba/8k/"))
    seen = seen_bytes(cells, {done.cell_id: result_of(done.cell_id, bytes_seen=123_456)})
    assert cell_cost(same, sweep, {}, seen).expected_bytes == 123_456
    other = next(c for c in cells if c.cell_id.startswith("scratch/alba/2k/"))
    assert cell_cost(other, sweep, {}, seen) == cell_cost(other, sweep, {}, {})


def test_a_budget_that_a_schedule_is_spread_over_is_what_a_cell_sees() -> None:
    annealed = Recipe(budget_bytes="60k", budget_at_bytes="8k")
    sweep = Sweep(seeds=(0,), sizes=("8k",), protocol=Protocol(scratch=annealed))
    cell = next(c for c in build_grid(sweep) if c.cell_id.startswith("scratch/alba/8k/"))
    cost = cell_cost(cell, sweep, {}, {})
    assert cost.expected_bytes == cost.budget_bytes


def chain() -> tuple[list, dict[str, float]]:
    """Two pretrains, one short with a long child and one long without, and a scratch."""
    sources = ("related", "nonsense")
    cells = build_grid(
        Sweep(
            sources=sources,
            targets=("alba",),
            sizes=("8k",),
            seeds=(0,),
            pretrain_size="800k",
        )
    )
    return cells, dict.fromkeys((cell.cell_id for cell in cells), 1.0)


def test_a_cell_comes_after_its_parent_and_urgent_ones_first() -> None:
    cells, seconds = chain()
    seconds["finetune/nonsense-alba/8k/nano/s0"] = 10.0
    schedule = Schedule(cells, seconds)
    assert schedule.next().cell_id == "pretrain/nonsense/800k/nano/s0"
    handed = [schedule.next() for _ in range(3)]
    assert {cell.stage for cell in handed[:2]} == {Stage.PRETRAIN, Stage.SCRATCH}
    assert handed[2] is None
    assert not schedule.exhausted
    schedule.done("pretrain/nonsense/800k/nano/s0")
    assert schedule.next().cell_id == "finetune/nonsense-alba/8k/nano/s0"


def test_children_of_a_failed_parent_are_blocked_and_the_rest_goes_on() -> None:
    cells, seconds = chain()
    schedule = Schedule(cells, seconds)
    while schedule.next() is not None:
        pass
    blocked = schedule.failed("pretrain/related/800k/nano/s0")
    assert {cell.stage for cell in blocked} == {Stage.FINETUNE, Stage.ZEROSHOT}
    assert all(cell.source == "related" for cell in blocked)
    assert not schedule.exhausted
    schedule.done("pretrain/nonsense/800k/nano/s0")
    rest = [schedule.next(), schedule.next()]
    assert all(cell.source == "nonsense" for cell in rest)
    assert schedule.exhausted


def test_makespan_of_two_slots() -> None:
    cells, seconds = chain()
    # pretrain, pretrain | scratch, child | child, child | child
    assert len(cells) == 7
    assert simulate(cells, seconds, 1).makespan_seconds == 7
    assert simulate(cells, seconds, 2).makespan_seconds == 4
    assert simulate([], seconds, 2).makespan_seconds == 0


def test_a_fingerprint_holds_what_decides_and_nothing_else() -> None:
    sweep = Sweep(seeds=(0,))
    cell = next(cell for cell in build_grid(sweep) if cell.stage is Stage.SCRATCH)
    base = fingerprint(cell, sweep, "data", None)
    moved = Sweep(seeds=(0,), name="other", storage=Path("/elsewhere"), slots=7)
    assert fingerprint(cell, moved, "data", None) == base
    assert fingerprint(cell, sweep, "other data", None) != base
    assert fingerprint(cell, sweep, "data", "a parent") != base
    faster = sweep.protocol.scratch.model_copy(update={"learning_rate": 0.5})
    changed = sweep.model_copy(
        update={"protocol": sweep.protocol.model_copy(update={"scratch": faster})}
    )
    assert fingerprint(cell, changed, "data", None) != base
    pretrain = next(cell for cell in build_grid(sweep) if cell.stage is Stage.PRETRAIN)
    assert fingerprint(pretrain, changed, "d", None) == fingerprint(pretrain, sweep, "d", None)


def test_the_fingerprints_of_sweeps_without_mixtures_are_those_of_before_there_were_any() -> None:
    """As commit 8353042 made them: what was trained then is resumed."""
    files = Sweep(corpus="files:/texts", sources=("en", "zh"), targets=("de",), sizes=("8k",))
    for sweep, expected in (
        (Sweep(), "e7d98a953aef1c6d4325f2402b848f191b942884d7f4ff411e6743e46cb938d3"),
        (files, "5ec57bdd8693ebfeaa5d47061919e6c493312fb04cb93bc9406d804b8e8aeacf"),
    ):
        lines = [
            f"{cell.cell_id} {fingerprint(cell, sweep, 'data', 'parent')}"
            for cell in build_grid(sweep)
        ]
        assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == expected


def test_the_shares_of_a_mixture_are_in_the_fingerprint_of_its_pretrain() -> None:
    prints = set()
    for source in ("en+pt", "en*0.7+pt*0.3", "en"):
        sweep = Sweep(sources=(source,), targets=("de",), seeds=(0,), sizes=("2k",))
        pretrain = build_grid(sweep)[0]
        assert pretrain.cell_id == f"pretrain/{source}/400k/nano/s0"
        prints.add(fingerprint(pretrain, sweep, "data", None))
    assert len(prints) == 3
    renamed = Sweep(sources=("a+b",), targets=("de",), seeds=(0,), sizes=("2k",))
    assert fingerprint(build_grid(renamed)[0], renamed, "data", None) in prints


def put_result(sweep: Sweep, cell: Cell, status: Status) -> None:
    result = result_of(cell.cell_id, status, fingerprint="f", training_seconds=2.0)
    write_result(cell_folder(sweep, cell.cell_id), RESULT, result)


def test_the_ledger_reads_results_alone(tmp_path: Path) -> None:
    sweep = Sweep(storage=tmp_path, seeds=(0,))
    cells = build_grid(sweep)
    done, failed = cells[0], cells[1]
    put_result(sweep, done, Status.DONE)
    put_result(sweep, failed, Status.FAILED)
    # Held by an attempt of a launch that is over.
    cell_folder(sweep, cells[2].cell_id).write_json(
        "lease.json", {"attempt": "1-a", "launch": "gone", "time": 0}
    )
    ledger = Ledger.read(sweep, cells)
    statuses = {cell.cell_id: ledger.status(cell) for cell in cells}
    assert statuses[done.cell_id] is Status.DONE
    assert statuses[failed.cell_id] is Status.FAILED
    assert statuses[cells[2].cell_id] is Status.WAITING
    children = [cell for cell in cells if cell.parent_id == failed.cell_id]
    assert children
    assert all(statuses[cell.cell_id] is Status.BLOCKED for cell in children)
    forward = 2 * (4 * 64**2 + 2 * 64 * 192 + 64 * 256) + 4 * 64 * 128
    assert ledger.flops_per_second(sweep) == {"nano": 1000 / 2.0 * 3 * forward}


def test_a_result_of_other_data_is_not_taken(tmp_path: Path) -> None:
    sweep = Sweep(storage=tmp_path, seeds=(0,))
    cells = build_grid(sweep)[:8]
    for cell in cells:
        put_result(sweep, cell, Status.DONE)
    ledger = Ledger.read(sweep, cells)
    same = {cell.cell_id: "f" for cell in cells}
    ledger.check_fingerprints(same)
    with pytest.raises(InputError, match=f"1 of 8 that were not: {cells[3].cell_id}$"):
        ledger.check_fingerprints(same | {cells[3].cell_id: "g"})
    # Another version of raydt changes all: one message, not one a cell.
    with pytest.raises(InputError, match=r"8 of 8 that were not: .* and 3 more") as raised:
        ledger.check_fingerprints(dict.fromkeys(same, "g"))
    assert len(raised.value.problems) == 1


def test_one_name_is_one_protocol(tmp_path: Path) -> None:
    sweep = Sweep(storage=tmp_path)
    check_name_is_free(sweep)
    record_sweep(sweep)
    check_name_is_free(sweep)
    check_name_is_free(Sweep(storage=tmp_path, seeds=(0, 1, 2), targets=("alba",), slots=1))
    other = Sweep.model_validate(
        {
            "storage": tmp_path,
            "corpus": "controlled:1",
            "name": "demo",
            "protocol": {"patience": 9, "scratch": {"clip_norm": 3}},
        }
    )
    with pytest.raises(InputError) as caught:
        check_name_is_free(other)
    text = str(caught.value)
    assert "corpus: expected 'controlled'" in text
    assert "protocol.patience: expected 3" in text
    assert "protocol.scratch.clip_norm: expected 1.0" in text
    assert "--name" in text


@pytest.mark.parametrize("stage", RECIPES)
@pytest.mark.parametrize("name", sorted(FREE_RECIPE_FIELDS))
def test_what_changes_nothing_but_time_may_change_under_one_name(
    stage: str, name: str, tmp_path: Path
) -> None:
    sweep = Sweep(storage=tmp_path)
    record_sweep(sweep)
    recipe = getattr(sweep.protocol, stage)
    value = getattr(recipe, name)
    other = 16 if value is None else not value
    changed = recipe.model_copy(update={name: other})
    protocol = sweep.protocol.model_copy(update={stage: changed})
    check_name_is_free(sweep.model_copy(update={"protocol": protocol}))


def test_a_record_that_is_older_than_a_field_was_trained_by_its_default(tmp_path: Path) -> None:
    sweep = Sweep(storage=tmp_path)
    recorded = sweep.model_dump(mode="json")
    del recorded["protocol"]["scratch"]["z_loss"]
    sweep.folder.write_json("sweep.json", recorded)
    check_name_is_free(sweep)
    other = Sweep.model_validate(
        {
            "storage": tmp_path,
            "protocol": sweep.protocol.model_dump()
            | {"scratch": {**sweep.protocol.scratch.model_dump(), "z_loss": 0.5}},
        }
    )
    with pytest.raises(InputError, match=r"protocol.scratch.z_loss: expected 0.0"):
        check_name_is_free(other)


def test_a_recorded_sweep_reads_back(tmp_path: Path) -> None:
    sweep = Sweep(storage=tmp_path)
    record_sweep(sweep)
    assert recorded_sweeps(sweep.storage_folder) == [sweep.name]
    assert recorded_sweep(str(tmp_path), sweep.name) == sweep
    with pytest.raises(InputError, match=r"sweep\.json"):
        recorded_sweep(str(tmp_path), "absent")
    sweep.folder.write("sweep.json", b'{"half')
    with pytest.raises(InputError, match="readable"):
        recorded_sweep(str(tmp_path), sweep.name)


def test_workers_share_the_windows_of_a_step_evenly() -> None:
    cell = next(c for c in build_grid(Sweep(seeds=(0,))) if c.stage is Stage.PRETRAIN)
    zeroshot = next(c for c in build_grid(Sweep(seeds=(0,))) if c.stage is Stage.ZEROSHOT)
    assert workers_of(cell, Sweep(), 1e6) == 0, "by default there are no groups"
    sweep = Sweep(workers=4, large_cell_seconds=600)
    assert workers_of(cell, sweep, 599) == 0
    assert workers_of(cell, sweep, 600) == 4  # of 32 windows
    assert workers_of(cell, sweep.model_copy(update={"workers": 7}), 600) == 4
    assert workers_of(zeroshot, sweep, 1e6) == 0
