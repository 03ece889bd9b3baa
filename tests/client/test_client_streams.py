import asyncio
import contextlib
import gc
import itertools
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.any_client import AnyClient
from client.conftest import Connect
from client.scripted_server import RefusedError, ScriptedServer, echo
from rankserve.v1 import ranking_pb2
from rankserve_client import (
    AsyncRankingClient,
    Cancelled,
    DeadlineExceeded,
    Ranking,
    RankingClient,
    RankQuery,
    RankServeError,
    Unavailable,
)
from rankserve_client.stream import MAX_UNANSWERED


def queries(count: int) -> Iterator[RankQuery]:
    return (RankQuery(user, [204, 131], titles=user % 2 == 0) for user in range(count))


def eventually(condition: Callable[[], bool]) -> bool:
    limit = time.monotonic() + 3
    while not condition() and time.monotonic() < limit:
        time.sleep(0.01)
    return condition()


def is_quiet() -> bool:
    """Whether no thread of a stream is left."""
    names = [thread.name for thread in threading.enumerate()]
    return not any("consume_request_iterator" in name or "rankserve" in name for name in names)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(count=st.integers(0, 3 * MAX_UNANSWERED))
def test_answers_come_in_order(server: ScriptedServer, count: int) -> None:
    with RankingClient(server.target) as client:
        results = list(client.rank_stream(queries(count)))
    assert [result.model_version for result in results if isinstance(result, Ranking)] == list(range(count))


async def test_every_query_has_its_answer_in_order(client: AnyClient) -> None:
    results = await client.rank_stream(queries(3 * MAX_UNANSWERED))
    assert len(results) == 3 * MAX_UNANSWERED
    for user, result in enumerate(results):
        assert isinstance(result, Ranking)
        assert result.model_version == user
        assert result.titles == (("item 204", "item 131") if user % 2 == 0 else None)


async def test_no_queries_no_answers(client: AnyClient) -> None:
    assert await client.rank_stream([]) == []


async def test_a_refused_query_leaves_the_stream_going(client: AnyClient, server: ScriptedServer) -> None:
    def refuse_odd(request: ranking_pb2.RankRequest) -> ranking_pb2.RankResponse:
        if request.user_id % 2:
            raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, f"no user {request.user_id}")
        return echo(request)

    server.answer = refuse_odd
    results = await client.rank_stream(queries(6))
    assert [isinstance(result, RankServeError) for result in results] == [False, True] * 3
    assert str(results[1]) == "no user 1"


def test_answers_come_while_queries_are_produced(server: ScriptedServer) -> None:
    produced: list[int] = []
    go_on = threading.Semaphore(1)

    def one_by_one() -> Iterator[RankQuery]:
        for user in range(5):
            go_on.acquire()
            produced.append(user)
            yield RankQuery(user, [204])

    with RankingClient(server.target) as client:
        for count, _ in enumerate(client.rank_stream(one_by_one()), start=1):
            assert len(produced) == count
            go_on.release()
    assert produced == [0, 1, 2, 3, 4]


async def test_async_queries(server: ScriptedServer) -> None:
    produced: list[int] = []
    go_on = asyncio.Semaphore(1)

    async def one_by_one() -> AsyncIterator[RankQuery]:
        for user in range(5):
            await go_on.acquire()
            produced.append(user)
            yield RankQuery(user, [204])

    async with AsyncRankingClient(server.target) as client:
        count = 0
        async for _ in client.rank_stream(one_by_one()):
            count += 1
            assert len(produced) == count
            go_on.release()
    assert produced == [0, 1, 2, 3, 4]


def test_leaving_the_loop_ends_the_call(server: ScriptedServer) -> None:
    produced = itertools.count()
    with RankingClient(server.target) as client:
        for result in client.rank_stream(RankQuery(next(produced), [204]) for _ in itertools.count()):
            assert isinstance(result, Ranking)
            if result.model_version == 3:
                break
        assert server.ended.wait(2), "the server is to learn of it"
        assert eventually(is_quiet)
    assert next(produced) <= 3 + 2 * MAX_UNANSWERED, "an endless stream of queries is not read ahead"


async def test_leaving_the_async_loop_ends_the_call(server: ScriptedServer) -> None:
    async with AsyncRankingClient(server.target) as client:
        stream = client.rank_stream(RankQuery(user, [204]) for user in itertools.count())
        async with contextlib.aclosing(stream):
            async for result in stream:
                assert isinstance(result, Ranking)
                if result.model_version == 3:
                    break
        assert await asyncio.to_thread(server.ended.wait, 2), "the server is to learn of it"
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1, "nothing of the stream is left"


async def test_leaving_the_async_loop_without_a_word_ends_the_call(server: ScriptedServer) -> None:
    async with AsyncRankingClient(server.target) as client:
        async for _ in client.rank_stream(RankQuery(user, [204]) for user in itertools.count()):
            break
        gc.collect()
        assert await asyncio.to_thread(server.ended.wait, 2), "the server is to learn of it"


async def test_the_end_of_the_server_ends_the_stream(client: AnyClient) -> None:
    # The second where the third query is being sent at this very moment.
    with pytest.raises(Unavailable, match=r"shutting down|ended the stream"):
        await client.rank_stream([RankQuery(1, [204]), RankQuery(-1, [204]), RankQuery(2, [204])])


def test_answers_before_the_end_are_not_lost(server: ScriptedServer) -> None:
    with RankingClient(server.target) as client:
        stream = client.rank_stream([RankQuery(1, [204]), RankQuery(2, [204]), RankQuery(-1, [204])])
        assert [next(stream), next(stream)]
        with pytest.raises(Unavailable):
            next(stream)


async def test_a_server_that_dies_while_the_producer_waits_is_noticed(connect: Connect) -> None:
    wait = threading.Event()

    def stops_producing() -> Iterator[RankQuery]:
        yield RankQuery(1, [204])
        server.stop()
        wait.wait(10)
        yield RankQuery(2, [204])

    async def stops_producing_async() -> AsyncIterator[RankQuery]:
        yield RankQuery(1, [204])
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(wait.wait, 10)
        yield RankQuery(2, [204])

    with ScriptedServer() as server:
        client = connect(server.target)
        blocking = isinstance(client.client, RankingClient)
        started = time.monotonic()
        with pytest.raises((Unavailable, Cancelled)):
            await client.rank_stream(stops_producing() if blocking else stops_producing_async())
        assert time.monotonic() - started < 3
        wait.set()


async def test_an_exception_of_the_producer_is_the_callers(client: AnyClient) -> None:
    def fails() -> Iterator[RankQuery]:
        yield RankQuery(1, [204])
        raise LookupError("no more users")

    with pytest.raises(LookupError, match="no more users"):
        await client.rank_stream(fails())


async def test_a_query_that_cannot_be_sent_is_the_callers(client: AnyClient) -> None:
    with pytest.raises(TypeError, match="`candidates`"):
        await client.rank_stream([RankQuery(1, [204]), RankQuery(2, ["x"])])  # type: ignore[list-item]  # wrong on purpose


async def test_an_answer_that_does_not_come_ends_the_stream(client: AnyClient, server: ScriptedServer) -> None:
    release = threading.Event()

    def stuck_at_user_2(request: ranking_pb2.RankRequest) -> ranking_pb2.RankResponse:
        if request.user_id == 2:
            release.wait(10)
        return echo(request)

    server.answer = stuck_at_user_2
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded, match=rf"no answer from {server.target} within 0\.2 s"):
        await client.rank_stream(queries(5), timeout=0.2)
    assert 0.2 <= time.monotonic() - started < 3
    release.set()


async def test_the_timeout_is_that_of_an_answer_not_of_the_stream(client: AnyClient, server: ScriptedServer) -> None:
    def slow(request: ranking_pb2.RankRequest) -> ranking_pb2.RankResponse:
        time.sleep(0.06)
        return echo(request)

    server.answer = slow
    assert len(await client.rank_stream(queries(5), timeout=0.2)) == 5


def test_a_slow_reader_is_not_overdue(server: ScriptedServer) -> None:
    with RankingClient(server.target, timeout=0.1) as client:
        count = 0
        for _ in client.rank_stream(queries(3)):
            count += 1
            time.sleep(0.15)
    assert count == 3


def test_a_slow_producer_is_not_overdue(server: ScriptedServer) -> None:
    def slow() -> Iterator[RankQuery]:
        for query in queries(3):
            time.sleep(0.15)
            yield query

    with RankingClient(server.target, timeout=0.1) as client:
        assert len(list(client.rank_stream(slow()))) == 3


async def test_cancelling_a_task_ends_its_stream(server: ScriptedServer) -> None:
    async def never() -> AsyncIterator[RankQuery]:
        yield RankQuery(1, [204])
        await asyncio.Event().wait()

    async with AsyncRankingClient(server.target) as client:

        async def consume() -> None:
            async for _ in client.rank_stream(never()):
                pass

        task = asyncio.create_task(consume())
        assert await asyncio.to_thread(server.called.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.ended.wait, 2), "the server is to learn of it"


async def test_closing_the_client_ends_its_streams(client: AnyClient, server: ScriptedServer) -> None:
    release = threading.Event()
    server.answer = lambda request: (release.wait(10), echo(request))[1]
    stream = asyncio.create_task(client.rank_stream(queries(5)))
    assert await asyncio.to_thread(server.called.wait, 5)
    await client.close()
    with pytest.raises(Cancelled):
        await stream
    release.set()


def test_a_bad_timeout_is_refused_at_once(server: ScriptedServer) -> None:
    with RankingClient(server.target) as client, pytest.raises(ValueError, match="`timeout` = 0"):
        client.rank_stream([], timeout=0)
