"""Many servers behind a balancer: who gets which request, hot users, a server that fails and one that is slow."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from simulation.clock import Clock
from simulation.processors import Machine, Processors
from simulation.server import Server, Times

_USERS = 1_000_000
# Of the users' ranks; the first of a million has 7 % of all requests with it.
_HOT = 1.0
_WARM_UP_SECONDS = 0.5
# From a server's end until the balancer sends it nothing more: outlier ejection by failed connections.
_NOTICED_AFTER = 1.0
_MOST_TRIES = 4
# As Envoy's host_selection_retry_max_attempts.
_MOST_CHOICES = 5
_RETRY_SECONDS = 0.005
_BLOCK = 65_536
# Times the time in which requests are sent, until the last answers.
_LAST_ANSWERS = 20


@dataclass
class Request:
    """One request.

    Attributes:
        since: when it was sent, in seconds.
        user: by rank, 0 the hottest.
        tries: how often it was sent to a server.
        last: the one that it was sent to last.
    """

    since: float
    user: int
    tries: int = 0
    last: "Node | None" = None


Node: TypeAlias = Server[Request]
Policy: TypeAlias = Callable[[Sequence[Node], Request, random.Random], Node]


def round_robin() -> Policy:
    """One after the other."""
    turn = 0

    def chosen(nodes: Sequence[Node], _: Request, __: random.Random) -> Node:
        nonlocal turn
        turn += 1
        return nodes[turn % len(nodes)]

    return chosen


def at_random(nodes: Sequence[Node], _: Request, chance: random.Random) -> Node:
    """Any: what many balancers that know nothing of each other come to."""
    return nodes[int(chance.random() * len(nodes))]


def least_of_two(nodes: Sequence[Node], _: Request, chance: random.Random) -> Node:
    """Of two at random the one with fewer requests: Envoy's LEAST_REQUEST."""
    one, other = at_random(nodes, _, chance), at_random(nodes, _, chance)
    return one if one.waiting <= other.waiting else other


def by_user(nodes: Sequence[Node], request: Request, _: random.Random) -> Node:
    """A user's requests always to the same one."""
    return nodes[hash((request.user, len(nodes))) % len(nodes)]


@dataclass
class Outcome:
    """What has come of a run.

    Attributes:
        latencies: seconds of each request that was answered, after the warm-up.
        late: the same of those sent in the second after a server failed.
        retried: how many were sent more than once.
        failed: how many were given up.
        busiest: the requests of the busiest server, times those of the average one.
    """

    latencies: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    retried: int = 0
    failed: int = 0
    busiest: float = 1.0


@dataclass(frozen=True)
class Fleet:
    """What is simulated.

    Attributes:
        times: of each server.
        machine: likewise.
        servers: how many there are.
        rate: requests a second, of all of them.
        policy: of the balancer.
        slow: how much slower the first server is than the others.
        fails_at: when the last one fails, in seconds; None for never.
    """

    times: Times
    machine: Machine
    servers: int
    rate: float
    policy: Policy
    slow: float = 1.0
    fails_at: float | None = None

    def run(self, seconds: float, seed: int = 0) -> Outcome:
        """Sends requests at random times (Poisson) for so long, and waits for their answers."""
        return _Run(self, seed).run(seconds)


class _Run:
    def __init__(self, fleet: Fleet, seed: int) -> None:
        self._fleet = fleet
        self._clock = Clock()
        self._chance = random.Random(seed)
        self._draws = np.random.default_rng(seed)
        self._users: list[int] = []
        self._outcome = Outcome()
        self._until = 0.0
        self._nodes = [self._node(fleet.slow if number == 0 else 1.0) for number in range(fleet.servers)]
        self._in_balance = list(self._nodes)
        self._sent = dict.fromkeys(self._nodes, 0)

    def run(self, seconds: float) -> Outcome:
        self._clock.at(0.0, self._next)
        if self._fleet.fails_at is not None:
            self._clock.at(self._fleet.fails_at, self._fail)
        self._until = seconds
        self._clock.run(_LAST_ANSWERS * seconds)  # who waits for long has to be counted, too
        self._outcome.busiest = max(self._sent.values()) * len(self._sent) / sum(self._sent.values())
        return self._outcome

    def _node(self, slow: float) -> Node:
        times = self._fleet.times
        if slow != 1.0:
            steps = {name: slow * getattr(times, name) for name in ("fixed", "take", "batch", "compute", "answer")}
            times = replace(times, **steps)
        processors = Processors(self._clock, self._fleet.machine, self._chance)
        return Server(self._clock, times, processors, self._chance, self._answered)

    def _next(self) -> None:
        if self._clock.now >= self._until:
            return
        self._clock.at(self._clock.now + self._chance.expovariate(self._fleet.rate), self._next)
        self._send(Request(self._clock.now, self._user()))

    def _user(self) -> int:
        if not self._users:
            self._users = zipf(self._draws, _BLOCK).tolist()
        return self._users.pop()

    def _send(self, request: Request) -> None:
        node = self._elsewhere(request)
        request.tries += 1
        request.last = node
        self._sent[node] += 1
        if node.up:
            self._clock.at(self._clock.now + self._fleet.times.way, self._arrive, node, request)
        else:
            self._retry(request)

    def _elsewhere(self, request: Request) -> Node:
        """Whom the policy chooses, and not the one again that has failed; as Envoy's `previous_hosts` does it."""
        for _ in range(_MOST_CHOICES):
            node = self._fleet.policy(self._in_balance, request, self._chance)
            if node is not request.last:
                break
        return node

    def _arrive(self, node: Node, request: Request) -> None:
        if node.up:
            node.arrive(request)
        else:
            self._retry(request)

    def _retry(self, request: Request) -> None:
        if request.tries == _MOST_TRIES:
            self._outcome.failed += 1
            return
        self._outcome.retried += request.tries == 1
        self._clock.at(self._clock.now + _RETRY_SECONDS, self._send, request)

    def _answered(self, request: Request) -> None:
        if request.since <= _WARM_UP_SECONDS:
            return
        took = self._clock.now + self._fleet.times.way - request.since
        self._outcome.latencies.append(took)
        failed = self._fleet.fails_at
        if failed is not None and failed - 0.01 < request.since < failed + _NOTICED_AFTER:
            self._outcome.late.append(took)

    def _fail(self) -> None:
        node = self._nodes[-1]
        for request in node.fail():
            self._retry(request)
        self._clock.at(self._clock.now + _NOTICED_AFTER, self._in_balance.remove, node)


def zipf(draws: np.random.Generator, count: int) -> npt.NDArray[np.int64]:
    """Users by rank, int64[count]: the n-th has 1/n of the requests of the first, of a million."""
    weights = 1 / np.arange(1, _USERS + 1) ** _HOT
    cumulated = np.cumsum(weights)
    ranks: npt.NDArray[np.int64] = np.searchsorted(cumulated, draws.random(count) * cumulated[-1])
    return ranks
