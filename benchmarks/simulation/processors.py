"""The processors of a machine, the threads that want them, and when neither gets any."""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from simulation.clock import Clock
from simulation.waking import NEVER_ASLEEP, Waking

PACE_SECONDS = 0.1

_Then: TypeAlias = Callable[..., None]


@dataclass(frozen=True)
class Machine:
    """What a server runs on, and whoever shares it.

    Attributes:
        stalls_per_second: how often each of its processors stands still.
        stall: for how long, in seconds, on average (exponential).
        paces: how much of its work it does in each PACE_SECONDS, 1 on average, where others take a part of it;
            again and again from the beginning.
        processors: how many threads run at the same time.
        slice: seconds of a processor that a thread gets before another one has its turn that waits for it.
        awake: for how many seconds a processor that has nothing to do waits for something before it sleeps.
        waking: what one that sleeps then takes to go on.
    """

    stalls_per_second: float = 0.0
    stall: float = 0.0
    paces: tuple[float, ...] = (1.0,)
    processors: int = 2
    slice: float = 0.0
    awake: float = 0.0
    waking: Waking = NEVER_ASLEEP

    def pace(self, now: float) -> float:
        """The pace at this time, in seconds."""
        return self.paces[int(now / PACE_SECONDS) % len(self.paces)]

    def stalls(self, chance: random.Random) -> "Stalls":
        """Those of one processor in one run."""
        return Stalls(chance, self.stalls_per_second, self.stall)

    def wake_after(self, idle: float, chance: random.Random) -> float:
        """What it takes after a processor has had nothing to do for so long."""
        return 0.0 if idle < self.awake else self.waking.after(idle, chance)


class Stalls:
    """When a processor stands still, because others have it: at random times, for lengths that are random."""

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


class _Processor:
    """One of them.

    Attributes:
        stalls: its own.
        idle_since: the time since which nobody has it.
    """

    __slots__ = ("idle_since", "stalls")

    def __init__(self, stalls: Stalls) -> None:
        self.stalls = stalls
        self.idle_since = 0.0


class Thread:
    """What runs on one processor at a time.

    Attributes:
        wants: the work that it is to do next, in seconds, what is called then, and with what; None for none.
        processor: the one that it runs on, or has run on last; None before it has.
        is_running: whether it has it.
        used: seconds that it has had it for.
    """

    __slots__ = ("is_running", "processor", "used", "wants")

    def __init__(self) -> None:
        self.wants: tuple[float, _Then, tuple[Any, ...]] | None = None
        self.processor: _Processor | None = None
        self.is_running = False
        self.used = 0.0


class Processors:
    """Those of one machine: who comes when all are busy waits for its turn, first come first served.

    A step is not interrupted: it is a part of a slice.
    """

    def __init__(self, clock: Clock, machine: Machine, chance: random.Random) -> None:
        """Args:
        clock: of the simulation.
        machine: whose they are.
        chance: when they stand still, and how long they take to wake up.
        """
        self._clock = clock
        self._machine = machine
        self._chance = chance
        self._idle = [_Processor(machine.stalls(chance)) for _ in range(machine.processors)]
        self._waiting: deque[Thread] = deque()

    def run(self, thread: Thread, work: float, then: _Then, *arguments: Any, by_timer: bool = False) -> None:
        """Has a thread, which has nothing else to do, work for so many seconds, and calls `then`.

        Where it is given more to do by that, it goes on at once, unless its slice is over and another one waits.
        A timer that it has waited for has woken its processor.
        """
        thread.wants = work, then, arguments
        if thread.is_running:
            return
        if self._idle:
            processor = self._idle_one_for(thread)
            idle = self._clock.now - processor.idle_since
            self._give_to(thread, processor, 0.0 if by_timer else self._machine.wake_after(idle, self._chance))
        else:
            self._waiting.append(thread)

    def _idle_one_for(self, thread: Thread) -> _Processor:
        """The one that it has had before, else the one that has been idle for the shortest time."""
        if thread.processor in self._idle:
            self._idle.remove(thread.processor)
            return thread.processor
        return self._idle.pop()

    def _give_to(self, thread: Thread, processor: _Processor, wake: float = 0.0) -> None:
        thread.is_running = True
        thread.processor = processor
        thread.used = 0.0
        self._begin(thread, processor, wake)

    def _begin(self, thread: Thread, processor: _Processor, wake: float = 0.0) -> None:
        assert thread.wants is not None
        work, then, arguments = thread.wants
        thread.wants = None
        now = self._clock.now
        work /= self._machine.pace(now)
        thread.used += work
        self._clock.at(processor.stalls.end_of(now, wake + work), self._done, thread, processor, then, arguments)

    def _done(self, thread: Thread, processor: _Processor, then: _Then, arguments: tuple[Any, ...]) -> None:
        then(*arguments)
        goes_on = thread.wants is not None
        if goes_on and not (self._waiting and thread.used >= self._machine.slice):
            self._begin(thread, processor)
            return
        thread.is_running = False
        if goes_on:
            self._waiting.append(thread)
        if self._waiting:
            self._give_to(self._waiting.popleft(), processor)
        else:
            processor.idle_since = self._clock.now
            self._idle.append(processor)
