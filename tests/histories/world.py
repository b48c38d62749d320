"""A small world: a clock, processes that are switched where they touch the storage, and faults.

The code under test is the real one and knows nothing of it. Every process is a greenlet (or
several, its threads); whatever it does to the storage or to MLflow goes through `World.do`, where
another process may have its turn, and where it may be killed, be paused or lose an answer. All of
it is drawn from one seed, so one seed is one history.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from greenlet import getcurrent, greenlet

FoundT = TypeVar("FoundT")

_SECONDS_OF_AN_ANSWER = 0.03
_MOST_STEPS = 60_000
_SHARE_OF_MACHINES = 0.3  # of all pauses, that a machine sleeps and not one process alone


class Killed(BaseException):
    """In a process that is dead: as of SIGKILL it does nothing more, and no handler helps."""


class ViolationError(Exception):
    """What must not happen has happened."""


@dataclass(frozen=True)
class Faults:
    """How often what goes wrong, a thousandth of the steps. And what people do, by the names of
    `History`'s methods: each is as likely as it stands here often."""

    kill: float = 0.0
    lost_answer: float = 0.0
    no_answer: float = 0.0
    pause: float = 0.0
    pause_at: str = ""  # only of steps whose names have this
    power: float = 0.0  # of the steps on a disk, that its power goes
    cell: float = 10.0  # of a cell's reports, that it fails instead
    switch: float = 0.3  # of all steps, whether another process has its turn
    people: tuple[str, ...] = ("launch", "launch", "launch", "retry", "cancel", "remove", "sync")

    @classmethod
    def drawn(cls, seed: random.Random) -> Faults:
        """Of a history: most have few kinds."""

        def some(most: float) -> float:
            return seed.choice((0.0, 0.3, 1.0)) * most

        return cls(
            kill=some(12), lost_answer=some(10), no_answer=some(6), pause=some(12), power=some(4),
            switch=seed.choice((0.05, 0.3, 0.7)),
        )  # fmt: skip


@dataclass(eq=False)
class Process:
    """A process of a machine; its threads are fibers."""

    name: str
    machine: str
    pid: int
    is_alive: bool = True
    is_interrupted: bool = False  # Ctrl-C, for its first fiber
    paused_until: float = 0.0
    has_slept: bool = False
    never_sleeps: bool = False
    children: list[Process] = field(default_factory=list)
    may_be_hurt: bool = True


class Fiber(greenlet):
    """A thread of a process."""

    process: Process
    is_main: bool
    wakes: float = 0.0
    waits_for: Callable[[], bool] | None = None


class World:
    """The clock, the processes and the faults of one history."""

    def __init__(self, seed: int, faults: Faults | None = None) -> None:
        self.random = random.Random(seed)
        self.faults = Faults.drawn(self.random) if faults is None else faults
        self.now = 1_000_000.0
        self.story: list[str] = []
        self.is_quiet = False  # no faults any more
        self.lose_power: Callable[[], None] | None = None  # where there is a disk
        self.fibers: list[Fiber] = []
        self.processes: list[Process] = []
        self._steps = 0
        self._hub = getcurrent()
        self.error: BaseException | None = None

    # Of the harness

    def start(
        self,
        name: str,
        machine: str,
        work: Callable[[], object],
        parent: Process | None = None,
        may_be_hurt: bool = True,
    ) -> Process:
        """A new process that does `work`."""
        process = Process(name, machine, len(self.processes) + 100, may_be_hurt=may_be_hurt)
        self.processes.append(process)
        if parent is not None:
            parent.children.append(process)
        self._spawn(process, work, is_main=True)
        return process

    def thread(self, work: Callable[[], object]) -> Fiber:
        """Another fiber of the process that asks."""
        return self._spawn(self.process, work, is_main=False)

    def _spawn(self, process: Process, work: Callable[[], object], is_main: bool) -> Fiber:
        def run() -> None:
            try:
                work()
            except Killed:
                pass
            except Exception as error:  # noqa: BLE001 - the end of a process, whatever it is
                self.tell(f"ended by {type(error).__name__}: {str(error)[:100]}", process)
                if isinstance(error, (ViolationError, AssertionError, TypeError, AttributeError)):
                    self.error = self.error or error
            except KeyboardInterrupt:
                self.tell("interrupted", process)
            if is_main:
                self.kill(process, "ends")

        fiber = Fiber(run, self._hub)
        fiber.process, fiber.is_main = process, is_main
        self.fibers.append(fiber)
        return fiber

    def run(self, until: Callable[[], bool]) -> None:
        """Give everybody their turns until it is so, or nobody has anything left to do."""
        while not until():
            if self.error is not None:
                raise self.error
            self.fibers = [fiber for fiber in self.fibers if not fiber.dead]
            ready = [fiber for fiber in self.fibers if self._is_ready(fiber)]
            if not ready:
                times = [t for fiber in self.fibers if (t := self._ready_at(fiber)) is not None]
                if not times:
                    return
                self.now = max(self.now, min(times))
                continue
            fiber = ready[0] if len(ready) == 1 else self.random.choice(ready)
            fiber.switch()
        if self.error is not None:
            raise self.error

    def _is_ready(self, fiber: Fiber) -> bool:
        process = fiber.process
        if not process.is_alive:
            return True  # to be told
        if process.paused_until > self.now or fiber.wakes > self.now:
            return False
        if fiber.is_main and process.is_interrupted:
            return True
        return fiber.waits_for is None or fiber.waits_for()

    def _ready_at(self, fiber: Fiber) -> float | None:
        if fiber.waits_for is not None and not fiber.waits_for():
            return None
        return max(fiber.process.paused_until, fiber.wakes)

    def kill(self, process: Process, how: str = "is killed") -> None:
        """It does nothing more. Its children die with it or, for a while, do not."""
        if process.is_alive:
            process.is_alive = False
            self.tell(how, process)
            for child in process.children:
                if self.is_quiet or self.random.random() < 0.7:
                    self.kill(child, "dies with its driver")

    def cut(self, what: str) -> None:
        """The power goes, for all."""
        assert self.lose_power is not None
        self.tell(f"the power goes at {what}")
        for process in self.processes:
            process.is_alive = process.is_alive and not process.may_be_hurt
        self.lose_power()
        raise Killed

    def in_the_middle(self) -> None:
        """Of a write that is not one step: it may end here."""
        fiber = getcurrent()
        if not isinstance(fiber, Fiber) or self.is_quiet or not fiber.process.may_be_hurt:
            return
        drawn = self.random.random() * 1000
        if drawn < self.faults.power:
            self.cut("a sync")
        if drawn < self.faults.power + self.faults.kill:
            self.kill(fiber.process, "is killed before a sync")
            raise Killed

    def tell(self, text: str, process: Process | None = None) -> None:
        """A line of the story."""
        name = (process or self.process).name
        if name == "time":
            return
        self.story.append(f"{self.now - 1_000_000:9.2f}  {name:<12} {text}")

    # Of the code under test

    @property
    def process(self) -> Process:
        """Whose turn it is."""
        fiber = getcurrent()
        assert isinstance(fiber, Fiber), "only processes do this"
        return fiber.process

    def do(
        self, what: str, effect: Callable[[], FoundT], may_die_after_sleep: bool = True
    ) -> FoundT:
        """A step that others see: whole, or not at all, or without an answer."""
        fiber = getcurrent()
        if not isinstance(fiber, Fiber):
            return effect()  # the harness itself
        process = fiber.process
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise ViolationError("the history does not end")
        self.now += _SECONDS_OF_AN_ANSWER
        if self.random.random() < self.faults.switch:
            self._give_way(fiber)
        self._check(fiber)
        if self.is_quiet or not process.may_be_hurt:
            return effect()
        drawn = self.random.random() * 1000
        faults = self.faults
        if self.lose_power is not None and self.random.random() * 1000 < faults.power:
            if self.random.random() < 0.5:
                effect()
            self.cut(what)
        pause = faults.pause if faults.pause_at in what else 0.0
        if drawn >= faults.kill + faults.lost_answer + faults.no_answer + pause:
            return effect()
        if drawn < faults.kill:
            if process.has_slept and not may_die_after_sleep:
                return effect()
            if self.random.random() < 0.5:
                effect()
                what += ", which was done"
            self.kill(process, f"is killed at {what}")
            raise Killed
        drawn -= faults.kill
        if drawn < faults.lost_answer:
            effect()
            self.tell(f"loses the answer to {what}")
            raise OSError(f"{what}: the answer was lost")
        drawn -= faults.lost_answer
        if drawn < faults.no_answer:
            self.tell(f"gets no answer to {what}")
            raise OSError(f"{what}: no answer")
        if process.never_sleeps:
            return effect()
        self._pause(process, what)
        self._give_way(fiber)
        self._check(fiber)
        return effect()

    def _pause(self, process: Process, what: str) -> None:
        """Alone, or with all of its machine."""
        seconds = self.random.choice((5.0, 90.0, 400.0))
        of_machine = self.random.random() < _SHARE_OF_MACHINES
        self.tell(f"is paused at {what} for {seconds:.0f} s{', as is all here' * of_machine}")
        for each in self.processes if of_machine else (process,):
            if each.machine == process.machine and not each.never_sleeps:
                each.has_slept = True
                each.paused_until = max(each.paused_until, self.now + seconds)

    def sleep(self, seconds: float) -> None:
        """As `time.sleep`."""
        fiber = getcurrent()
        assert isinstance(fiber, Fiber)
        fiber.wakes = self.now + seconds
        self._give_way(fiber)
        self._check(fiber)

    def wait(self, is_so: Callable[[], bool], seconds: float | None = None) -> bool:
        """Until it is so; whether it is, after so many seconds."""
        fiber = getcurrent()
        assert isinstance(fiber, Fiber)
        end = None if seconds is None else self.now + seconds
        if end is not None:
            while not is_so() and self.now < end:
                self.sleep(min(5.0, seconds or 0.0))
        elif not is_so():
            fiber.waits_for = is_so
            self._give_way(fiber)
            fiber.waits_for = None
            self._check(fiber)
        return is_so()

    def interrupt(self) -> None:
        """Ctrl-C, for the process that asks."""
        self.process.is_interrupted = True

    def _give_way(self, fiber: Fiber) -> None:
        self._hub.switch()

    def _check(self, fiber: Fiber) -> None:
        if not fiber.process.is_alive:
            raise Killed
        if fiber.is_main and fiber.process.is_interrupted:
            fiber.process.is_interrupted = False
            raise KeyboardInterrupt
