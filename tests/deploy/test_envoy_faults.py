"""Three servers behind Envoy, of which one is killed, stopped, overloaded or hangs: no call fails, no answer is wrong.

The callers repeat nothing themselves: what they are spared is Envoy's doing.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import grpc
import pytest

from deploy.envoy_process import EnvoyProcess
from deploy.steady_callers import SteadyCallers, answer_of
from deploy.three_servers import QUEUED_CANDIDATES, ThreeServers
from rankserve.v1 import ranking_pb2
from rankserve.v1.ranking_pb2_grpc import RankingServiceStub
from rankserve_client import RankingClient, RankQuery
from server.two_towers import Published

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(120)]

CALLERS = 6
# Of each phase, at least; a busy machine makes fewer than it could.
LEAST_CALLS = 300
LOAD_SECONDS = 3.0
HANGING_SECONDS = 4.0
FLOODS = 4
SOON_SECONDS = 15.0
# Of one call: `per_try_timeout`, and what the second attempt and a busy machine take.
LONGEST_SECONDS = 1.5 + 2.5


@dataclass(frozen=True)
class Run:
    """What a phase works with."""

    servers: ThreeServers
    envoy: EnvoyProcess
    callers: SteadyCallers


@pytest.fixture(scope="module")
def run(servers: ThreeServers, envoy: EnvoyProcess, published: Published) -> Iterator[Run]:
    users, items = published.towers.user_ids, published.towers.item_ids
    queries = [RankQuery(user, items[place % 9 :: 2]) for place, user in enumerate(users)]
    with RankingClient(servers.running[servers.ports[0]].address) as client:
        answers = [answer_of(client, query) for query in queries]
    with SteadyCallers(envoy.target, CALLERS, queries, answers) as callers:
        yield Run(servers, envoy, callers)


@contextmanager
def phase(run: Run, name: str) -> Iterator[None]:
    """No call of it may fail, and there have to be some."""
    run.envoy.wait_for_healthy(3)
    before, started = run.callers.answered, time.monotonic()
    retries = run.envoy.statistic("upstream_rq_retry")
    run.callers.take_longest()
    yield
    calls, seconds = run.callers.answered - before, time.monotonic() - started
    retries = run.envoy.statistic("upstream_rq_retry") - retries
    longest = run.callers.take_longest()
    print(
        f"\n{name}: {calls} calls, {calls / seconds:.0f} a second, {retries} repeated by Envoy, "
        f"longest {longest:.2f} s, failed: {dict(run.callers.failed)}",
        flush=True,
    )
    assert not run.callers.failed
    assert longest < LONGEST_SECONDS
    assert calls > LEAST_CALLS


def test_calls_are_spread(run: Run) -> None:
    with phase(run, "nothing wrong"):
        before = run.envoy.calls_by_port()
        time.sleep(LOAD_SECONDS)
        got = {port: calls - before[port] for port, calls in run.envoy.calls_by_port().items()}
    assert min(got.values()) > sum(got.values()) / 6, got


def test_one_is_killed(run: Run) -> None:
    port = run.servers.ports[0]
    with phase(run, "one killed"):
        time.sleep(0.5)
        run.servers.running[port].signal(signal.SIGKILL)
        time.sleep(LOAD_SECONDS)
        run.envoy.wait_for_healthy(2)
        run.servers.start_again(port)
        run.envoy.wait_for_healthy(3)
        gets_calls_again(run, port)


def test_one_is_stopped(run: Run) -> None:
    port = run.servers.ports[1]
    with phase(run, "one stopped"):
        time.sleep(0.5)
        run.servers.running[port].signal(signal.SIGTERM)
        # Health says so before the server does anything else.
        run.envoy.wait_for_healthy(2)
        ended = run.servers.running[port].wait()
        assert ended.code == 0, ended.errors
        assert "in flight" not in ended.errors
        run.servers.start_again(port)
        run.envoy.wait_for_healthy(3)
        gets_calls_again(run, port)


def test_one_is_overloaded(run: Run) -> None:
    port = run.servers.ports[2]
    with phase(run, "one overloaded"), flooded(run.servers.running[port].address) as refused:
        repeated = run.envoy.statistic("upstream_rq_retry")
        time.sleep(LOAD_SECONDS)
        assert refused(), "it was never too much"
        assert run.envoy.statistic("upstream_rq_retry") > repeated, "nothing was refused of what came through Envoy"
        assert port in run.envoy.healthy(), "an overloaded server is not a broken one"


def test_one_hangs(run: Run) -> None:
    port = run.servers.ports[0]
    with phase(run, "one hanging"):
        run.servers.running[port].signal(signal.SIGSTOP)
        try:
            run.envoy.wait_for_healthy(2)
            time.sleep(HANGING_SECONDS)
        finally:
            run.servers.running[port].signal(signal.SIGCONT)
        run.envoy.wait_for_healthy(3)
        gets_calls_again(run, port)


def gets_calls_again(run: Run, port: int) -> None:
    before, until = run.envoy.calls_by_port()[port], time.monotonic() + SOON_SECONDS
    while run.envoy.calls_by_port()[port] == before:
        assert time.monotonic() < until, "a server that is back gets no calls"
        time.sleep(0.05)


@contextmanager
def flooded(address: str) -> Iterator[Callable[[], int]]:
    """Sends a server more than it takes, beside Envoy; what it gives tells how many calls were refused so far."""
    # One of them leaves no room for another.
    request = ranking_pb2.RankRequest(user_id=3, candidate_ids=range(1, QUEUED_CANDIDATES - 10))
    ended = threading.Event()
    refused = [0] * FLOODS

    def flood(number: int) -> None:
        with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            rank = RankingServiceStub(channel).Rank
            while not ended.is_set():
                try:
                    rank(request, timeout=60)
                except grpc.RpcError as error:
                    if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                        raise
                    refused[number] += 1

    floods = [threading.Thread(target=flood, args=(number,)) for number in range(len(refused))]
    for thread in floods:
        thread.start()
    try:
        yield lambda: sum(refused)
    finally:
        ended.set()
        for thread in floods:
            thread.join()
