"""The processors of a machine, the threads that want them, and when neither gets any."""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from simulation.clock import Clock

PACE_SECONDS = 0.4

_Then: TypeAlias = Callable[..., None]


@dataclass(frozen=True)
class Machine:
    """What a server runs on, and whoever shares it.

    Attributes:
        stalls_per_second: how often it stands still.
        stall: for how long, in seconds, on average (exponential).
        paces: how much of its work it does in each PACE_SECONDS, 1 on average, where others take a part of it;
            again and again from the beginning.
        processors: how many threads run at the same time.
        slice: seconds of a processor that a thread gets before another one has its turn that waits for it.
    """

    stalls_per_second: float = 0.0
    stall: float = 0.0
    paces: tuple[float, ...] = (1.0,)
    processors: int = 2
    slice: float = 0.0

    def pace(self, now: float) -> float:
        """The pace at this time, in seconds."""
        return self.paces[int(now / PACE_SECONDS) % len(self.paces)]

    def stalls(self, chance: random.Random) -> "Stalls":
        """Those of one run."""
        return Stalls(chance, self.stalls_per_second, self.stall)


class Stalls:
    """When a machine stands still, because others have its processors: at random times, for lengths that are random."""

    def __init__(self, chance: random.Random, per_second: float, mean: float) -> None:
        self._chance = chance
        self._per_second = per_second
        self._mean = mean
        self._start = self._stop = 0.0
        self._next()

    def end_of(self, start: float, work: float) -> float:
        """When so much work is done that begins then; starts must not fall."""
        while self._stop <= start:
            self._next()
        end = max(start, self._stop if self._start <= start else start) + work
        while self._start < end:
            if self._start > start:
                end += self._stop - self._start
            self._next()
        return end

    def _next(self) -> None:
        if not (self._per_second and self._mean):
            self._start = self._stop = float("inf")
            return
        self._start = self._stop + self._chance.expovariate(self._per_second)
        self._stop = self._start + self._chance.expovariate(1 / self._mean)


class Thread:
    """What runs on one processor at a time.

    Attributes:
        wants: the work that it is to do next, in seconds, what is called then, and with what; None for none.
        is_running: whether it has a processor.
        used: seconds that it has had that for.
    """

    __slots__ = ("is_running", "used", "wants")

    def __init__(self) -> None:
        self.wants: tuple[float, _Then, tuple[Any, ...]] | None = None
        self.is_running = False
        self.used = 0.0


class Processors:
    """Those of one machine: who comes when all are busy waits for its turn, first come first served.

    A step is not interrupted: it is a part of a slice. A stall takes the time of one of them.
    """

    def __init__(self, clock: Clock, machine: Machine, chance: random.Random) -> None:
        """Args:
        clock: of the simulation.
        machine: whose they are.
        chance: when it stands still.
        """
        self._clock = clock
        self._machine = machine
        self._stalls = machine.stalls(chance)
        self._free = machine.processors
        self._waiting: deque[Thread] = deque()

    def run(self, thread: Thread, work: float, then: _Then, *arguments: Any) -> None:
        """Has a thread, which has nothing else to do, work for so many seconds, and calls `then`.

        Where it is given more to do by that, it goes on at once, unless its slice is over and another one waits.
        """
        thread.wants = work, then, arguments
        if thread.is_running:
            return
        if self._free:
            self._free -= 1
            self._give_to(thread)
        else:
            self._waiting.append(thread)

    def _give_to(self, thread: Thread) -> None:
        thread.is_running = True
        thread.used = 0.0
        self._begin(thread)

    def _begin(self, thread: Thread) -> None:
        assert thread.wants is not None
        work, then, arguments = thread.wants
        thread.wants = None
        now = self._clock.now
        work /= self._machine.pace(now)
        thread.used += work
        self._clock.at(self._stalls.end_of(now, work), self._done, thread, then, arguments)

    def _done(self, thread: Thread, then: _Then, arguments: tuple[Any, ...]) -> None:
        then(*arguments)
        goes_on = thread.wants is not None
        if goes_on and not (self._waiting and thread.used >= self._machine.slice):
            self._begin(thread)
            return
        thread.is_running = False
        if goes_on:
            self._waiting.append(thread)
        if self._waiting:
            self._give_to(self._waiting.popleft())
        else:
            self._free += 1
