"""Callers of one server, on one thread, as `benchmarks/raw_caller.py` has them for real servers."""

import random
from collections.abc import Callable

from simulation.clock import Clock
from simulation.server import Machine, Server, Times

_STEP = 0.05
_MOST_SECONDS = 60.0


class _Client:
    """Sends and receives, one after the other; a request is the time from which its latency counts."""

    def __init__(self, times: Times, machine: Machine, seed: int, after: Callable[[int], None]) -> None:
        self.clock = Clock()
        self.chance = random.Random(seed)
        self.latencies: list[float] = []
        self._times = times
        self._after = after
        self.free = 0.0
        self._server: Server[float] = Server(self.clock, times, machine, self.chance, self._sent_back)

    def send(self, since: float) -> None:
        self.clock.at(self._busy() + self._times.way, self._server.arrive, since)

    def _sent_back(self, requests: list[float]) -> None:
        self.clock.at(self.clock.now + self._times.way, self._receive, requests)

    def _receive(self, requests: list[float]) -> None:
        self.latencies += [self._busy() - since for since in requests]
        self._after(len(requests))

    def _busy(self) -> float:
        self.free = max(self.free, self.clock.now) + self._times.client / 2
        return self.free


def closed_loop(
    times: Times, machine: Machine, callers: int, requests: int, seed: int = 0
) -> tuple[float, list[float]]:
    """So many callers, who call again as soon as they are answered: answers a second, and latencies in seconds."""

    def send_again(count: int) -> None:
        for _ in range(count):
            client.send(max(client.free, client.clock.now))

    client = _Client(times, machine, seed, send_again)
    send_again(callers)
    while len(client.latencies) < requests and client.clock.now < _MOST_SECONDS:
        client.clock.run(client.clock.now + _STEP)
    return len(client.latencies) / client.clock.now, client.latencies


def open_loop(times: Times, machine: Machine, rate: float, seconds: float, seed: int = 0) -> list[float]:
    """Calls at random times (Poisson), so many a second on average: latencies in seconds, from when a call is due."""

    def send_and_go_on() -> None:
        client.clock.at(client.clock.now + client.chance.expovariate(rate), send_and_go_on)
        client.send(client.clock.now)

    client = _Client(times, machine, seed, lambda _: None)
    client.clock.at(0.0, send_and_go_on)
    client.clock.run(seconds)
    return client.latencies
