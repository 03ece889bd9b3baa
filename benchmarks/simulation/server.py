"""One server: rounds, in which it takes what has come, starts a batch and answers the one before."""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from simulation.clock import Clock
from simulation.processors import Processors, Thread

Request = TypeVar("Request")
# What comes within so long of the last one wakes nobody.
_TOGETHER = 50e-6


@dataclass(frozen=True)
class Times:
    """What the steps of a server of one model take, in seconds.

    Attributes:
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


class _Batch(Generic[Request]):
    """Requests that are computed together.

    Attributes:
        requests: those that are not answered yet.
        is_ready: whether it is computed.
        answer: seconds to answer each.
    """

    __slots__ = ("answer", "is_ready", "requests")

    def __init__(self, requests: deque[Request], answer: float) -> None:
        self.requests = requests
        self.is_ready = False
        self.answer = answer


class Server(Generic[Request]):
    """As `rankserve_server.transport.lane.Lane` goes about it: one thread takes and answers, another one computes.

    Attributes:
        waiting: how many requests it has and has not answered.
        up: whether it answers at all.
    """

    def __init__(
        self, clock: Clock, times: Times, processors: Processors, chance: random.Random, done: Callable[[Request], None]
    ) -> None:
        """Args:
        clock: of the simulation.
        times: what its steps take.
        processors: of its machine.
        chance: how rounds differ.
        done: called with each request when it is answered.
        """
        self._clock = clock
        self._times = times
        self._processors = processors
        self._chance = chance
        self._done = done
        self._lane, self._engine = Thread(), Thread()
        self._arrived: list[Request] = []
        self._taken: list[Request] = []
        self._queued: deque[Request] = deque()
        # Started and not answered, the oldest first; of these the ones that are computed one after the other.
        self._batches: deque[_Batch[Request]] = deque()
        self._to_compute: deque[_Batch[Request]] = deque()
        self._awaited: _Batch[Request] | None = None
        self._is_awake = False
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
            self._run(self._lane, 0.0, self._round)  # what comes while it wakes up is taken, too

    def fail(self) -> list[Request]:
        """It answers nothing any more; the requests that it had."""
        self.up = False
        in_batches = (request for batch in self._batches for request in batch.requests)
        lost = [*self._arrived, *self._taken, *self._queued, *in_batches]
        self.waiting = 0
        return lost

    def _round(self) -> None:
        times = self._times
        if not (self._arrived or self._queued or self._batches):
            self._is_awake = False
            return
        self._taken, self._arrived = self._arrived, []
        events, self._events = self._events, 0
        if self._taken:
            work = times.fixed + times.event * events + times.take * len(self._taken)
            self._run(self._lane, self._slower(work), self._start_batch)
        else:
            self._start_batch()

    def _start_batch(self) -> None:
        self._queued.extend(self._taken)
        self._taken = []
        before = self._batches[0] if self._batches else None
        if self._queued:
            count = min(self._times.most, len(self._queued))
            requests = deque(self._queued.popleft() for _ in range(count))
            batch = _Batch(requests, self._slower(self._times.answer))
            self._batches.append(batch)
            self._to_compute.append(batch)
            if len(self._to_compute) == 1:
                self._compute()
        if before is None:
            self._round()
        elif before.is_ready:
            self._answer(before)
        else:
            self._awaited = before

    def _compute(self) -> None:
        work = self._times.batch + self._times.compute * len(self._to_compute[0].requests)
        self._run(self._engine, self._slower(work), self._computed)

    def _computed(self) -> None:
        batch = self._to_compute.popleft()
        batch.is_ready = True
        if self._to_compute:
            self._compute()
        if self._awaited is batch:
            self._awaited = None
            self._answer(batch)

    def _answer(self, batch: _Batch[Request]) -> None:
        """One after the other: who is answered first may ask again meanwhile."""
        if batch.requests:
            self._run(self._lane, batch.answer, self._answer_first, batch)
        else:
            self._batches.popleft()
            self._round()

    def _answer_first(self, batch: _Batch[Request]) -> None:
        self.waiting -= 1
        self._done(batch.requests.popleft())
        self._answer(batch)

    def _slower(self, work: float) -> float:
        """How long a step takes this time."""
        return work * self._chance.lognormvariate(0.0, self._times.spread)

    def _run(self, thread: Thread, work: float, then: Callable[..., None], *arguments: Any) -> None:
        self._processors.run(thread, work, self._go_on, then, arguments)

    def _go_on(self, then: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        if self.up:
            then(*arguments)
