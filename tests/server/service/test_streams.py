"""RankStream: order, window and ends."""

import asyncio

import grpc
import pytest

from rankserve.v1 import ranking_pb2
from server.service.conftest import Serve, read

Request = ranking_pb2.RankRequest


async def test_answers_keep_the_order_of_the_requests_whatever_is_done_first(serve: Serve) -> None:
    lengths = [5_000, 1, 10_000, 2, 3, 2_048, 1]
    async with serve() as server:
        stream = server.ranking.RankStream(iter([Request(candidate_ids=[1] * length) for length in lengths]))
        assert [len(response.item_ids) async for response in stream] == lengths


async def test_answers_come_while_the_stream_is_open(serve: Serve) -> None:
    async with serve() as server:
        stream = server.ranking.RankStream()
        for item in (1, 4, 7):
            await stream.write(Request(candidate_ids=[item]))
            assert list((await read(stream)).item_ids) == [item]
        await stream.done_writing()
        assert await stream.read() is grpc.aio.EOF
        assert await stream.code() is grpc.StatusCode.OK


async def test_what_was_sent_before_the_client_closed_its_half_is_answered(serve: Serve) -> None:
    async with serve() as server:
        stream = server.ranking.RankStream()
        with server.engine.held():
            for item in range(10):
                await stream.write(Request(candidate_ids=[item]))
            await stream.done_writing()
        assert [list(response.item_ids) async for response in stream] == [[item] for item in range(10)]
        assert await stream.code() is grpc.StatusCode.OK


async def test_a_stream_of_nothing_ends_well(serve: Serve) -> None:
    async with serve() as server:
        stream = server.ranking.RankStream(iter([]))
        assert [response async for response in stream] == []
        assert await stream.code() is grpc.StatusCode.OK


async def test_refused_requests_do_not_end_it(serve: Serve) -> None:
    async with serve() as server:
        good, bad = Request(candidate_ids=[1]), Request()
        responses = [response async for response in server.ranking.RankStream(iter([bad, good, bad, bad, good]))]
        assert [response.HasField("error") for response in responses] == [True, False, True, True, False]


@pytest.mark.parametrize("window", [1, 4])
async def test_only_so_many_requests_are_answered_at_the_same_time(serve: Serve, window: int) -> None:
    async with serve(max_stream_requests=window) as server:
        server.engine.pause = 0.005  # so that more could have come meanwhile
        stream = server.ranking.RankStream(iter([Request(candidate_ids=[item]) for item in range(20)]))
        assert [list(response.item_ids) async for response in stream] == [[item] for item in range(20)]
        assert max(map(len, server.engine.batches)) <= window


async def test_a_client_that_does_not_read_is_not_read_from(serve: Serve) -> None:
    """The answers to 3,000 requests take 50 MB, which nobody should have to hold."""
    async with serve(max_stream_requests=4) as server:
        unread = server.ranking.RankStream()
        sent = 0

        async def send() -> None:
            nonlocal sent
            while sent < 3_000:
                await unread.write(Request(candidate_ids=[-1] * 1_000))  # -1 takes ten bytes
                sent += 1

        sending = asyncio.create_task(send())
        before = -1
        while sent > before:
            before = sent
            await asyncio.sleep(0.3)
        assert sent < 1_500
        assert list((await server.ranking.Rank(Request(candidate_ids=[1]))).item_ids) == [1], "others are answered"
        sending.cancel()
        unread.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending


async def test_many_streams_at_once(serve: Serve) -> None:
    async def ask(stream_number: int) -> list[list[int]]:
        requests = [Request(candidate_ids=[stream_number, request]) for request in range(30)]
        return [sorted(response.item_ids) async for response in server.ranking.RankStream(iter(requests))]

    async with serve(max_queue_ms=60_000) as server:  # none is refused where others keep the processors
        answers = await asyncio.gather(*(ask(number) for number in range(1_000, 1_040)))
    assert answers == [[[request, number] for request in range(30)] for number in range(1_000, 1_040)]
