"""A schedule that asks for more when what was declared has ended."""

from __future__ import annotations

from raydt.grid.cell import Cell
from raydt.grid.growing import GrowingSchedule
from raydt.tracking.schema import Stage
from raydt.units import Size


def cell(seed: int, parent: Cell | None = None) -> Cell:
    if parent is None:
        return Cell(Stage.PRETRAIN, "a", None, Size(8, "8"), seed, "nano")
    return Cell(Stage.FINETUNE, "a", "b", Size(8, "8"), seed, "nano", parent.cell_id)


class Asked:
    """Gives what it was given, a list at a time, and remembers what it was told."""

    def __init__(self, *answers: list[Cell]) -> None:
        self.answers = list(answers)
        self.lost: list[frozenset[str]] = []

    def __call__(self, lost: frozenset[str]) -> list[Cell]:
        self.lost.append(lost)
        return self.answers.pop(0) if self.answers else []


class _Alike(dict[str, float]):
    def __missing__(self, cell_id: str) -> float:
        return 1.0


def test_more_is_asked_for_when_all_that_was_declared_has_ended() -> None:
    declared, parent = [cell(0), cell(1)], cell(2)
    child = cell(2, parent)
    more = Asked([parent, child])
    schedule = GrowingSchedule(declared, _Alike(), more)
    assert {schedule.next(), schedule.next()} == set(declared)
    schedule.done(declared[0].cell_id)
    assert schedule.next() is None
    assert not more.lost, "one of the declared is still trained"
    assert not schedule.exhausted
    schedule.done(declared[1].cell_id)
    assert schedule.next() == parent
    assert schedule.next() is None, "the child waits for its parent"
    assert not schedule.exhausted
    schedule.done(parent.cell_id)
    assert schedule.next() == child
    schedule.done(child.cell_id)
    assert schedule.next() is None
    assert schedule.exhausted


def test_it_is_not_asked_again_and_again_while_nothing_has_ended() -> None:
    more = Asked([cell(0)], [])
    schedule = GrowingSchedule([], _Alike(), more)
    assert schedule.next() == cell(0)
    for _ in range(3):
        assert schedule.next() is None
    assert len(more.lost) == 2
    assert not schedule.exhausted, "what runs may lead to more"
    schedule.done(cell(0).cell_id)
    assert schedule.next() is None
    assert len(more.lost) == 3
    assert schedule.exhausted


def test_what_failed_and_what_hangs_on_it_is_told_and_not_waited_for() -> None:
    parent = cell(0)
    child = cell(0, parent)
    more = Asked([parent, child], [cell(1)])
    schedule = GrowingSchedule([], _Alike(), more)
    assert schedule.next() == parent
    assert schedule.failed(parent.cell_id) == [child]
    assert schedule.next() == cell(1)
    assert more.lost[-1] == {parent.cell_id, child.cell_id}


def test_the_first_cells_of_a_launch_with_nothing_else_to_do_are_not_waited_for() -> None:
    more = Asked([cell(1)])
    schedule = GrowingSchedule([], _Alike(), more, first=[cell(0)])
    assert schedule.next() == cell(0)
    assert schedule.next() == cell(1), "another slot is free"
