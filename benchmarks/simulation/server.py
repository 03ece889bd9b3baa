"""One server: rounds, in which it takes what has come, starts a batch and answers the one before."""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from simulation.clock import Clock

Request = TypeVar("Request")
PACE_SECONDS = 0.4
# What comes within so long of the last one wakes nobody.
_TOGETHER = 50e-6


@dataclass(frozen=True)
class Times:
    """What the steps of a server of one model take, in seconds.

    Attributes:
        wake: until an idle one begins its round, by how long it has been idle: a straight line between the places that
            `idle` gives. A processor that has nothing to do sleeps, and the longer the deeper.
        fixed: each round that has requests to take.
        event: what wakes the threads of a server when something comes: once for all requests that come together.
        take: taking, checking and planning a request.
        batch: computing a batch, whatever it holds, on another thread.
        compute: a request's part of that.
        answer: answering a request.
        way: from a client to the server, and back: each.
        client: what a client's only thread does for a request, half before it is sent and half when it is answered.
        turn: what it does for all that has come, or is to be sent, at a time.
        most: requests that a batch holds.
        spread: standard deviation of the logarithm of what a step takes.
    """

    wake: tuple[float, ...]
    idle: tuple[float, ...]
    fixed: float
    event: float
    take: float
    batch: float
    compute: float
    answer: float
    way: float
    client: float
    turn: float
    most: int
    spread: float = 0.0

    def wake_after(self, idle: float) -> float:
        """What it takes after it has been idle for so long."""
        return float(np.interp(idle, self.idle, self.wake))


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


@dataclass(frozen=True)
class Machine:
    """What a server runs on.

    Attributes:
        stalls_per_second: how often it stands still.
        stall: for how long, in seconds, on average (exponential).
        paces: how much of its work it does in each PACE_SECONDS, 1 on average, where others take a part of it;
            again and again from the beginning.
    """

    stalls_per_second: float = 0.0
    stall: float = 0.0
    paces: tuple[float, ...] = (1.0,)

    def pace(self, now: float) -> float:
        """The pace at this time, in seconds."""
        return self.paces[int(now / PACE_SECONDS) % len(self.paces)]

    def stalls(self, chance: random.Random) -> Stalls:
        """Those of one run."""
        return Stalls(chance, self.stalls_per_second, self.stall)


class Server(Generic[Request]):
    """As `rankserve_server.transport.lane.Lane` goes about it.

    Attributes:
        waiting: how many requests it has and has not answered.
        up: whether it answers at all.
    """

    def __init__(
        self, clock: Clock, times: Times, machine: Machine, chance: random.Random, done: Callable[[Request], None]
    ) -> None:
        """Args:
        clock: of the simulation.
        times: what its steps take.
        machine: what it runs on.
        chance: how rounds differ.
        done: called with each request when it is answered.
        """
        self._clock = clock
        self._times = times
        self._machine = machine
        self._stalls = machine.stalls(chance)
        self._chance = chance
        self._done = done
        self._arrived: list[Request] = []
        self._queued: deque[Request] = deque()
        self._computing: tuple[list[Request], float] | None = None
        self._answering: deque[Request] = deque()
        self._is_awake = False
        self._idle_since = 0.0
        self._events = 0
        self._last_arrival = -1.0
        self.waiting = 0
        self.up = True

    def arrive(self, request: Request) -> None:
        """Now."""
        self.waiting += 1
        self._arrived.append(request)
        if self._clock.now - self._last_arrival > _TOGETHER:
            self._events += 1
        self._last_arrival = self._clock.now
        if not self._is_awake:
            self._is_awake = True
            wake = self._slower(self._times.wake_after(self._clock.now - self._idle_since))
            self._clock.at(self._stalls.end_of(self._clock.now, wake), self._round)

    def fail(self) -> list[Request]:
        """It answers nothing any more; the requests that it had."""
        self.up = False
        computing = self._computing[0] if self._computing else []
        lost = [*self._arrived, *self._queued, *computing, *self._answering]
        self._arrived, self._queued, self._computing, self._answering = [], deque(), None, deque()
        self.waiting = 0
        return lost

    def _round(self) -> None:
        times, end = self._times, self._clock.now
        if not (self._arrived or self._queued or self._computing):
            self._is_awake = False
            self._idle_since = end
            return
        taken, self._arrived = self._arrived, []
        events, self._events = self._events, 0
        if taken:
            end = self._stalls.end_of(end, self._slower(times.fixed + times.event * events + times.take * len(taken)))
            self._queued.extend(taken)
        computing, self._computing = self._computing, None
        if self._queued:
            batch = [self._queued.popleft() for _ in range(min(times.most, len(self._queued)))]
            start = max(end, computing[1]) if computing else end
            # Others count on the starts of work that never fall: so what is stalled is the lane alone.
            self._computing = batch, start + self._slower(times.batch + times.compute * len(batch))
        if computing:
            answered, ready = computing
            begin = max(end, ready)
            end = self._stalls.end_of(begin, self._slower(times.answer * len(answered)))
            self._answering = deque(answered)
            # One after the other: who is answered first may ask again meanwhile.
            for left in reversed(range(len(answered))):
                self._clock.at(end - (end - begin) * left / len(answered), self._answer)
        self._clock.at(end, self._round)

    def _slower(self, work: float) -> float:
        """How long a step takes this time."""
        return work * self._chance.lognormvariate(0.0, self._times.spread) / self._machine.pace(self._clock.now)

    def _answer(self) -> None:
        if self.up:
            self.waiting -= 1
            self._done(self._answering.popleft())
