"""What is written beside the training, and what is written again."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from raydt.orchestration.run import recorder as module
from raydt.orchestration.run.recorder import Recorder, UnreadableError


class Store:
    """Answers or does not."""

    def __init__(self) -> None:
        self.answers = True
        self.written: list[str] = []

    def write(self, what: str) -> Callable[[], None]:
        def written() -> None:
            if not self.answers:
                raise ConnectionError("no answer\nat all")
            self.written.append(what)

        return written


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_in_order_and_the_end_last() -> None:
    store, recorder = Store(), Recorder()
    recorder.put("plan", store.write("plan"))
    recorder.start()
    recorder.put("a", store.write("a"))
    recorder.finish("this launch", store.write("end"))
    assert store.written == ["plan", "a", "end"]
    assert recorder.not_recorded == {}


def test_what_a_store_that_was_away_missed_is_written_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_SECONDS_BETWEEN_TRIES", 0.01)
    store, recorder = Store(), Recorder()
    store.answers = False
    recorder.start()
    recorder.put("a", store.write("a, first"))
    recorder.put("a", store.write("a, then"))
    recorder.put("b", store.write("b"))
    wait_until(lambda: set(recorder.not_recorded) == {"a", "b"})
    store.answers = True
    wait_until(lambda: len(store.written) == 2)
    recorder.finish("this launch", store.write("end"))
    assert sorted(store.written) == ["a, then", "b", "end"], "of one name the newest"
    assert recorder.not_recorded == {}


def test_a_store_that_stays_away_costs_the_launch_nothing() -> None:
    store, recorder = Store(), Recorder()
    store.answers = False
    recorder.start()
    for name in "abcde":
        recorder.put(name, store.write(name))
    recorder.finish("this launch", store.write("end"))
    assert store.written == []
    assert set(recorder.not_recorded) == set("abcde")
    assert recorder.not_recorded["a"] == "ConnectionError: no answer"


def test_what_cannot_be_read_is_not_the_stores_trouble() -> None:
    def damaged() -> None:
        raise UnreadableError("journal.jsonl:2: damage")

    store, recorder = Store(), Recorder()
    recorder.start()
    recorder.put("a", damaged)
    recorder.put("b", store.write("b"))
    recorder.finish("this launch", store.write("end"))
    assert store.written == ["b", "end"]
    assert recorder.not_recorded == {"a": "journal.jsonl:2: damage"}
