"""The loops against a scripted server and against scripted connections, in this process."""

import itertools
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from client.bench.any_plan import any_plan
from client.scripted_server import RefusedError, ScriptedServer, echo
from rankserve.v1 import ranking_pb2
from rankserve_client.bench.closed_loop import run_closed_loop
from rankserve_client.bench.connections import Connections
from rankserve_client.bench.open_loop import run_open_loop
from rankserve_client.bench.plan import Plan
from rankserve_client.bench.tally import Counts, Tally
from rankserve_client.bench.worker import run_load
from rankserve_client.bench.workload import AnyRequest, make_requests

SERVICE_TIME = 0.02


def load(plan: Plan) -> Counts:
    pool = make_requests(plan.candidates, plan.users, plan.items)
    with Connections(plan.servers, plan.connections, plan.timeout, often_idle=plan.rate is not None) as connections:
        connections.open(pool[0])
        return run_load(plan, connections, itertools.cycle(pool), time.monotonic()).counts


_ONE = threading.Lock()


def one_at_a_time(request: ranking_pb2.RankRequest) -> Any:
    """A server that can do 1 / SERVICE_TIME requests a second."""
    with _ONE:
        time.sleep(SERVICE_TIME)
    return echo(request)


class Ended:
    """A call that has ended already."""

    def __init__(self, request: AnyRequest, code: grpc.StatusCode = grpc.StatusCode.OK) -> None:
        self._request = request
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return "scripted"

    def result(self) -> bytes:
        return echo(ranking_pb2.RankRequest.FromString(self._request.payload)).SerializeToString()

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        callback(self)


class ScriptedConnections(Connections):
    """Calls that end before `call` returns, which takes its time."""

    def __init__(self, seconds: float = 0.0, code: grpc.StatusCode = grpc.StatusCode.OK) -> None:
        self._seconds = seconds
        self._code = code

    def call(self, number: int, request: AnyRequest) -> Any:  # noqa: ARG002  # the signature of a connection
        time.sleep(self._seconds)
        return Ended(request, self._code)


def test_latency_counts_from_when_a_request_was_due() -> None:
    # Five are due at once and each takes 20 ms to send: what counts is 20, 40, 60, 80 and 100 ms.
    plan = any_plan()
    pool = make_requests(plan.candidates, plan.users, plan.items)
    tally = Tally(time.monotonic(), None, 1.0)
    run_open_loop(ScriptedConnections(0.02), itertools.cycle(pool), itertools.repeat(0.0), 10, 5, tally)
    latency = tally.counts.latency
    assert latency.percentile_ms(0) >= 19.9
    assert latency.percentile_ms(100) >= 99
    assert latency.mean_ms() >= 59
    assert tally.counts.lateness.percentile_ms(100) >= 79


def test_an_open_loop_shows_the_queue_of_a_slow_server(server: ScriptedServer) -> None:
    server.answer = one_at_a_time
    counts = load(any_plan(server.target, concurrency=None, rate=2 / SERVICE_TIME, requests=30))
    assert counts.answered == 30
    # Twice what it can do: half of what was sent waits in the end, here for about 15 service times.
    assert counts.latency.percentile_ms(100) > 8 * SERVICE_TIME * 1e3
    assert counts.latency.mean_ms() > 3 * SERVICE_TIME * 1e3


def test_an_open_loop_sees_a_stall_in_every_request_that_it_delays(server: ScriptedServer) -> None:
    stalled_until = time.monotonic() + 60

    def stall(request: ranking_pb2.RankRequest) -> ranking_pb2.RankResponse:
        time.sleep(max(0.0, stalled_until - time.monotonic()))
        return echo(request)

    plan = any_plan(server.target, concurrency=None, rate=100, requests=None, duration=1.0)
    pool = make_requests(plan.candidates, plan.users, plan.items)
    with Connections(plan.servers, 1, 10) as connections:
        connections.open(pool[0])
        server.answer, stalled_until = stall, time.monotonic() + 0.5
        counts = run_load(plan, connections, itertools.cycle(pool), time.monotonic()).counts
    # About half of them were due during the stall, evenly: a quarter waited 250 ms or more.
    assert counts.latency.percentile_ms(90) > 250
    assert counts.lateness.percentile_ms(50) < 100, "sending waited for answers"


def test_a_closed_loop_waits_for_each_answer(server: ScriptedServer) -> None:
    server.answer = one_at_a_time
    counts = load(any_plan(server.target, requests=10))
    assert counts.answered == 10
    assert counts.latency.percentile_ms(0) >= SERVICE_TIME * 1e3
    assert counts.latency.percentile_ms(50) < 5 * SERVICE_TIME * 1e3
    assert counts.last_end >= 10 * SERVICE_TIME
    assert counts.out_of_requests


def test_a_closed_loop_keeps_its_requests_under_way(server: ScriptedServer) -> None:
    lock = threading.Lock()
    under_way, most = 0, 0

    def watch(request: ranking_pb2.RankRequest) -> ranking_pb2.RankResponse:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.01)
        with lock:
            under_way -= 1
        return echo(request)

    server.answer = watch
    counts = load(any_plan(server.target, concurrency=4, connections=2, requests=None, duration=0.4))
    assert most == 4
    assert counts.answered > 40
    assert not counts.out_of_requests
    assert counts.answered_in_time < counts.answered <= counts.answered_in_time + 4
    assert counts.candidates_in_time == 5 * counts.answered_in_time


def test_what_is_over_the_bound_is_counted_as_not_sent(server: ScriptedServer) -> None:
    server.answer = one_at_a_time
    counts = load(any_plan(server.target, concurrency=None, rate=2_000, requests=100, max_outstanding=3))
    assert counts.not_sent["outstanding"] == 100 - counts.answered
    assert 3 <= counts.answered < 50


def test_a_generator_that_is_too_slow_gives_up_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rankserve_client.bench.open_loop._GRACE", 0.05)
    plan = any_plan()
    pool = make_requests(plan.candidates, plan.users, plan.items)
    tally = Tally(time.monotonic(), 0.1, 1.0)
    arrivals = iter([number / 1000 for number in range(200)])
    run_open_loop(ScriptedConnections(0.01), itertools.cycle(pool), arrivals, 10, None, tally)
    assert tally.counts.answered <= 17
    assert tally.counts.not_sent["late"] == 100 - tally.counts.answered


def test_failures_are_counted_by_status(server: ScriptedServer) -> None:
    numbers = itertools.count()

    def refuse(request: ranking_pb2.RankRequest) -> ranking_pb2.RankResponse:
        if next(numbers) % 2 == 0:
            raise RefusedError(grpc.StatusCode.RESOURCE_EXHAUSTED, "the queue is full")
        return echo(request)

    server.answer = refuse
    counts = load(any_plan(server.target, concurrency=2))
    assert counts.sent == 20
    assert sum(counts.failures.values()) + counts.answered == 20
    assert counts.failures["RESOURCE_EXHAUSTED"] in (9, 10, 11)
    assert counts.messages == {"RESOURCE_EXHAUSTED": "the queue is full"}
    assert len(counts.latency) == counts.answered


def test_a_call_without_an_answer_ends_with_its_timeout(server: ScriptedServer) -> None:
    def sleep(request: ranking_pb2.RankRequest) -> ranking_pb2.RankResponse:
        time.sleep(0.3)
        return echo(request)

    server.answer = sleep
    counts = load(any_plan(server.target, requests=1, timeout=0.1))
    assert counts.failures == {"DEADLINE_EXCEEDED": 1}


def test_calls_that_end_at_once_do_not_pile_up() -> None:
    counts = calls_that_end_at_once(grpc.StatusCode.OK, requests=2 * sys.getrecursionlimit(), seconds=None)
    assert counts.answered == 2 * sys.getrecursionlimit()


def test_after_a_failure_there_is_a_pause() -> None:
    assert 10 <= calls_that_end_at_once(grpc.StatusCode.UNAVAILABLE, requests=None, seconds=0.3).failed <= 70


def calls_that_end_at_once(code: grpc.StatusCode, requests: int | None, seconds: float | None) -> Counts:
    """Of two callers, until so many or so long."""
    plan = any_plan()
    pool = make_requests(plan.candidates, plan.users, plan.items)
    tally = Tally(time.monotonic(), seconds, 1.0)
    run_closed_loop(ScriptedConnections(code=code), itertools.cycle(pool), 2, requests, tally)
    return tally.counts


def test_wrong_answers_and_unknown_ids_are_counted(server: ScriptedServer) -> None:
    numbers = itertools.count()

    def wrong(request: ranking_pb2.RankRequest) -> ranking_pb2.RankResponse:
        if next(numbers) % 2:
            return ranking_pb2.RankResponse(
                item_ids=request.candidate_ids, scores=range(5), model_name="m", model_version=2
            )
        return ranking_pb2.RankResponse(model_name="m", model_version=1, user_known=True)

    server.answer = wrong
    plan = any_plan(server.target)
    pool = make_requests(plan.candidates, plan.users, plan.items)
    with Connections(plan.servers, 1, 10) as connections:
        counts = run_load(plan, connections, itertools.cycle(pool), time.monotonic()).counts
    assert counts.answered == 20
    assert counts.wrong == {"count": 10, "order": 10}
    assert counts.answered_by == {("m", 1): 10, ("m", 2): 10}
    assert counts.with_unknown == 10
