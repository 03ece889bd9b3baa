"""What a call costs the caller in CPU: our clients against the generated stubs, in one process, in turn."""

import asyncio
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import h2load
from processes import Process, rankserve, running
from tables import spread, table, verdict
from throughput import expected_scores

from rankserve.v1 import ranking_pb2, ranking_pb2_grpc
from rankserve_client import AsyncRankingClient, RankingClient

CANDIDATES = 100
ROUNDS = 15
TARGET_RATIO = 1.15
_CALLS = 300
_TIMEOUT = 10.0
_PORT = 27_750

# What a caller has in the end.
Answer = tuple[tuple[int, ...], tuple[float, ...]]


@dataclass
class Cost:
    """Microseconds of CPU of this process for each call, by round."""

    client: list[float] = field(default_factory=list)
    stub: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)


def run(models_dir: Path, log: Callable[[str], None]) -> str:
    """Measures, and returns the table as Markdown."""
    expected = expected_scores(models_dir)
    with running([rankserve("auto")], models_dir, _PORT) as (process,):
        h2load.check_answers(process, CANDIDATES, expected)
        costs = {"blocking": _measure_blocking(process), "asyncio": asyncio.run(_measure_asyncio(process))}
        h2load.check_answers(process, CANDIDATES, expected)
    log("client_cost: done")
    return f"{_introduction()}\n\n{_table(costs)}"


def _measure_blocking(process: Process) -> Cost:
    candidates = h2load.candidates(CANDIDATES)
    request = _request(candidates)
    with RankingClient(process.target, timeout=_TIMEOUT) as client, grpc.insecure_channel(process.target) as channel:
        stub = ranking_pb2_grpc.RankingServiceStub(channel)

        def with_client() -> Answer:
            ranking = client.rank(h2load.USER, candidates)
            return ranking.item_ids, ranking.scores

        def with_stub() -> Answer:
            response = stub.Rank(_request(candidates), timeout=_TIMEOUT)
            return tuple(response.item_ids), tuple(response.scores)

        if with_client() != with_stub():
            raise RuntimeError("client and stub have different answers")
        cost = Cost()
        for _ in range(ROUNDS):
            cost.client.append(_cost(with_client))
            cost.stub.append(_cost(with_stub))
            cost.bare.append(_cost(lambda: stub.Rank(request, timeout=_TIMEOUT)))
        return cost


def _cost(call: Callable[[], object]) -> float:
    started = time.process_time()
    for _ in itertools.repeat(None, _CALLS):
        call()
    return (time.process_time() - started) / _CALLS * 1e6


async def _measure_asyncio(process: Process) -> Cost:
    candidates = h2load.candidates(CANDIDATES)
    request = _request(candidates)
    async with (
        AsyncRankingClient(process.target, timeout=_TIMEOUT) as client,
        grpc.aio.insecure_channel(process.target) as channel,
    ):
        stub = ranking_pb2_grpc.RankingServiceStub(channel)

        async def with_client() -> Answer:
            ranking = await client.rank(h2load.USER, candidates)
            return ranking.item_ids, ranking.scores

        async def with_stub() -> Answer:
            response = await stub.Rank(_request(candidates), timeout=_TIMEOUT)
            return tuple(response.item_ids), tuple(response.scores)

        async def bare() -> object:
            return await stub.Rank(request, timeout=_TIMEOUT)

        if await with_client() != await with_stub():
            raise RuntimeError("client and stub have different answers")
        cost = Cost()
        for _ in range(ROUNDS):
            cost.client.append(await _async_cost(with_client))
            cost.stub.append(await _async_cost(with_stub))
            cost.bare.append(await _async_cost(bare))
        return cost


async def _async_cost(call: Callable[[], Awaitable[object]]) -> float:
    started = time.process_time()
    for _ in itertools.repeat(None, _CALLS):
        await call()
    return (time.process_time() - started) / _CALLS * 1e6


def _request(candidates: list[int]) -> ranking_pb2.RankRequest:
    return ranking_pb2.RankRequest(user_id=h2load.USER, candidate_ids=candidates)


def _introduction() -> str:
    return (
        f"CPU time of the calling process for a call of `Rank` with {CANDIDATES} candidates, one call after the other: "
        f"median of {ROUNDS} rounds (lowest to highest) of {_CALLS} calls, in turn. The stub does what the client "
        "does: it makes the message from a list and gives ids and scores as tuples. Beside it the stub by itself, with "
        f"a message made beforehand and an answer that is not read. Target: client at most {TARGET_RATIO} times the "
        "stub."
    )


def _table(costs: dict[str, Cost]) -> str:
    rows = []
    for name, cost in costs.items():
        ratios = [client / stub for client, stub in zip(cost.client, cost.stub, strict=True)]
        met = verdict(statistics.median(ratios), TARGET_RATIO)
        figures = (cost.client, cost.stub, cost.bare)
        rows.append([name, *(spread(values) for values in figures), spread(ratios, ".2f"), met])
    return table(["", "client us", "stub us", "stub by itself us", "client / stub", "target"], rows)
