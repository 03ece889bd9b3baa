"""Callers of one server, on one thread, as `benchmarks/raw_caller.py` has them for real servers."""

import random
from collections import deque

from simulation.clock import Clock
from simulation.processors import Machine, Processors, Thread
from simulation.server import Server, Times

_STEP = 0.05
_MOST_SECONDS = 60.0


class _Client:
    """In turns: it looks at all answers that have come, and then sends all that is to be sent, together.

    A request is the time from which its latency counts.

    Attributes:
        clock: of the simulation.
        chance: of it.
        latencies: seconds of each answer.
    """

    def __init__(self, times: Times, machine: Machine, seed: int, calls_again: bool) -> None:
        """Args:
        times: what its steps take, and the server's.
        machine: what both run on.
        seed: of all that is random.
        calls_again: whether each answer is followed by another request.
        """
        self.clock = Clock()
        self.chance = random.Random(seed)
        self.latencies: list[float] = []
        self._times = times
        self._machine = machine
        self._calls_again = calls_again
        self._come: deque[float] = deque()
        self._to_send: deque[float] = deque()
        self._is_busy = False
        self._thread = Thread()
        self._processors = Processors(self.clock, machine, self.chance)
        self._server: Server[float] = Server(self.clock, times, self._processors, self.chance, self._sent_back)

    def send(self, since: float) -> None:
        """As soon as it has time; where it sleeps, once it is woken by the time."""
        self._to_send.append(since)
        self.clock.at(self.clock.now + self._machine.waking.timer, self._begin, True)

    def _sent_back(self, since: float) -> None:
        self.clock.at(self.clock.now + self._times.way, self._receive, since)

    def _receive(self, since: float) -> None:
        self._come.append(since)
        self._begin()

    def _begin(self, by_timer: bool = False) -> None:
        if not self._is_busy and (self._come or self._to_send):
            self._is_busy = True
            self._processors.run(self._thread, self._times.turn, self._turn, by_timer=by_timer)

    def _turn(self) -> None:
        come, self._come = self._come, deque()
        self._take(come)

    def _take(self, come: deque[float]) -> None:
        """Each answer that has come, and then the next turn's requests."""
        if come:
            self._processors.run(self._thread, self._times.client / 2, self._taken, come)
        else:
            to_send, self._to_send = self._to_send, deque()
            self._send(to_send)

    def _taken(self, come: deque[float]) -> None:
        self.latencies.append(self.clock.now - come.popleft())
        if self._calls_again:
            self._to_send.append(self.clock.now)
        self._take(come)

    def _send(self, to_send: deque[float]) -> None:
        self._processors.run(self._thread, self._times.client / 2 * len(to_send), self._sent, to_send)

    def _sent(self, to_send: deque[float]) -> None:
        """What is sent in a turn leaves together."""
        for since in to_send:
            self.clock.at(self.clock.now + self._times.way, self._server.arrive, since)
        self._is_busy = False
        self._begin()


def closed_loop(
    times: Times, machine: Machine, callers: int, requests: int, seed: int = 0
) -> tuple[float, list[float]]:
    """So many callers, who call again as soon as they are answered: answers a second, and latencies in seconds."""
    client = _Client(times, machine, seed, calls_again=True)
    for _ in range(callers):
        client.send(0.0)
    while len(client.latencies) < requests and client.clock.now < _MOST_SECONDS:
        client.clock.run(client.clock.now + _STEP)
    return len(client.latencies) / client.clock.now, client.latencies


def open_loop(times: Times, machine: Machine, rate: float, seconds: float, seed: int = 0) -> list[float]:
    """Calls at random times (Poisson), so many a second on average: latencies in seconds, from when a call is due."""
    client = _Client(times, machine, seed, calls_again=False)

    def send_and_go_on() -> None:
        client.clock.at(client.clock.now + client.chance.expovariate(rate), send_and_go_on)
        client.send(client.clock.now)

    client.clock.at(0.0, send_and_go_on)
    client.clock.run(seconds)
    return client.latencies
