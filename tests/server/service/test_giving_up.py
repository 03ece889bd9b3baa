"""Callers that do not wait: their deadline passes, they cancel or they vanish. What they asked for is not computed."""

import asyncio

import grpc
import pytest

from integration.raw_connection import RawConnection, headers_of
from rankserve.v1 import ranking_pb2, ranking_pb2_grpc
from server.service.conftest import LocalServer, Serve, read

Request = ranking_pb2.RankRequest
BatchRequest = ranking_pb2.BatchRankRequest

# User 2 is row 1 and so on. A large request takes five slices.
BUSY = Request(user_id=2, candidate_ids=[1])
LATE = Request(user_id=5, candidate_ids=[1, 4])
LARGE = Request(user_id=9, candidate_ids=[1] * 10_000)


async def assert_answers(server: LocalServer) -> None:
    """That nothing stays queued: the bound would refuse it."""
    assert list((await server.ranking.Rank(BUSY)).item_ids) == [1]


class TestDeadlines:
    async def test_queued_work_is_dropped(self, serve: Serve) -> None:
        async with serve(max_queued_candidates=10) as server:
            with server.engine.held():
                busy = server.ranking.Rank(BUSY)
                await asyncio.to_thread(server.engine.wait_until_busy)
                for call in (
                    server.ranking.Rank(LATE, timeout=0.1),
                    server.ranking.BatchRank(BatchRequest(requests=[LATE, LATE]), timeout=0.1),
                    anext(aiter(server.ranking.RankStream(iter([LATE]), timeout=0.1))),
                ):
                    with pytest.raises(grpc.aio.AioRpcError) as caught:
                        await call
                    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            assert list((await busy).item_ids) == [1]
            await assert_answers(server)
            assert 2 not in server.engine.scored_users

    async def test_work_that_is_half_done_is_not_finished(self, serve: Serve) -> None:
        async with serve() as server:
            server.engine.pause = 0.1
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await server.ranking.Rank(LARGE, timeout=0.15)
            assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            server.engine.pause = 0
            await assert_answers(server)
            assert server.engine.scored_users.count(3) < 5

    async def test_a_stream_ends_with_its_deadline(self, serve: Serve) -> None:
        async with serve() as server:
            stream = server.ranking.RankStream(timeout=0.2)
            await stream.write(BUSY)
            assert list((await read(stream)).item_ids) == [1]
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stream.read()
            assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            await assert_answers(server)

    async def test_a_long_one_changes_nothing(self, serve: Serve) -> None:
        async with serve() as server:
            for timeout in (5.0, 1e6, None):
                assert list((await server.ranking.Rank(BUSY, timeout=timeout)).item_ids) == [1]


async def test_calls_without_a_message_keep_nobody_out(serve: Serve) -> None:
    async with serve(max_queued_candidates=50) as server:
        with RawConnection(server.address) as rude:
            for _ in range(100):
                rude.open(headers_of("Rank", "60S"))
            await asyncio.to_thread(rude.flush)
            await asyncio.sleep(0.2)
            await assert_answers(server)


class TestCancelling:
    """A server need not notice it for what it does within a few milliseconds, so a lot is queued: 49 slices.

    That is seconds of work for an engine that pauses, so any wait is accepted here.
    """

    QUEUED = BatchRequest(requests=[LARGE] * 10)

    async def test_what_nobody_waits_for_is_not_computed(self, serve: Serve) -> None:
        async with serve(max_queue_ms=0) as server:
            server.engine.pause = 0.05
            batch = server.ranking.BatchRank(self.QUEUED)
            await asyncio.to_thread(server.engine.wait_for_batches, 1)
            calls = [server.ranking.Rank(LARGE) for _ in range(6)]
            await asyncio.to_thread(server.engine.wait_for_batches, 4)
            assert batch.cancel()
            assert all(call.cancel() for call in calls)
            await self.assert_little_was_computed(server)

    async def test_a_stream_that_is_cancelled(self, serve: Serve) -> None:
        async with serve(max_queue_ms=0) as server:
            server.engine.pause = 0.05
            stream = server.ranking.RankStream(iter([BUSY, *[LARGE] * 12]))
            assert list((await anext(aiter(stream))).item_ids) == [1]
            assert stream.cancel()
            await self.assert_little_was_computed(server)

    async def test_a_client_that_vanishes(self, serve: Serve) -> None:
        async with serve(max_queue_ms=0) as server:
            server.engine.pause = 0.05
            async with grpc.aio.insecure_channel(server.address) as channel:
                stub: ranking_pb2_grpc.RankingServiceAsyncStub = ranking_pb2_grpc.RankingServiceStub(channel)
                batch = stub.BatchRank(self.QUEUED)
                stream = stub.RankStream(iter([BUSY, *[LARGE] * 6]))
                assert list((await anext(aiter(stream))).item_ids) == [1]
            assert batch.done()
            await self.assert_little_was_computed(server)

    @staticmethod
    async def assert_little_was_computed(server: LocalServer) -> None:
        """Whoever asks next is answered at once, and nothing of before is computed after that."""
        await asyncio.wait_for(assert_answers(server), 5)
        computed = len(server.engine.batches)
        assert computed < 45
        await asyncio.sleep(0.2)
        assert len(server.engine.batches) <= computed + 1, "it goes on with work that nobody waits for"
