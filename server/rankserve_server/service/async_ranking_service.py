"""RankingService on grpc.aio."""

import asyncio
from collections.abc import AsyncIterator

from rankserve.v1 import ranking_pb2
from rankserve_server.errors import InvalidRequestError, NotReadyError, Violation
from rankserve_server.service.calls import Calls, Context, deadline_of, fail
from rankserve_server.service.conversion import parsed, refusal_of
from rankserve_server.service.planning import Planner
from rankserve_server.service.score_waiter import ScoreWaiter
from rankserve_server.service.stream_window import StreamWindow


class AsyncRankingService:
    """Converts requests to score jobs, waits for the scores, converts them back.

    Its methods take and give encoded messages: grpc.aio itself ends a call with UNKNOWN where it cannot parse one. All
    of them read for themselves: a unary call that ends without a message never reaches a handler that is given one, and
    grpc.aio lets it wait for its deadline.
    """

    def __init__(self, planner: Planner, waiter: ScoreWaiter, calls: Calls, max_stream_requests: int) -> None:
        self._planner = planner
        self._waiter = waiter
        self._calls = calls
        self._max_stream_requests = max_stream_requests

    async def rank(self, _requests: AsyncIterator[bytes], context: Context) -> bytes:
        """Ranks the candidates of one request."""
        request = await context.read()
        return await self._calls.answer(context, self._rank(request, deadline_of(context)))

    async def batch_rank(self, _requests: AsyncIterator[bytes], context: Context) -> bytes:
        """Ranks several requests; a refused one does not touch its neighbours."""
        request = await context.read()
        return await self._calls.answer(context, self._rank_batch(request, deadline_of(context)))

    async def rank_stream(self, requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        """Ranks a stream of requests, several at a time, and answers in their order."""
        try:
            self._calls.check_open()
            self._planner.check_ready()
        except NotReadyError as error:
            await fail(context, error)
        window = StreamWindow[bytes](self._max_stream_requests)
        reader = asyncio.create_task(self._read_stream(requests, window, deadline_of(context)))
        drain_watch = asyncio.create_task(self._calls.cancel_when_draining(reader))
        try:
            while (response := await window.next()) is not None:
                yield response
            self._calls.check_open()
        except NotReadyError as error:
            await fail(context, error)
        finally:
            drain_watch.cancel()
            reader.cancel()
            window.cancel()

    async def _rank(self, request: object, deadline: float) -> bytes:
        message = _message(request)
        self._calls.check_open()
        self._check_room(deadline)
        planned = self._planner.plan(parsed(ranking_pb2.RankRequest, message), deadline)
        await self._waiter.score(planned.jobs)
        return planned.encoded_response()

    async def _rank_batch(self, request: object, deadline: float) -> bytes:
        message = _message(request)
        self._calls.check_open()
        self._planner.check_ready()
        self._check_room(deadline)
        planned = self._planner.plan_batch(parsed(ranking_pb2.BatchRankRequest, message), deadline)
        await self._waiter.score(planned.jobs)
        return planned.encoded_response()

    async def _read_stream(self, requests: AsyncIterator[bytes], window: StreamWindow[bytes], deadline: float) -> None:
        """Starts an answer for each request until the client has sent its last one."""
        try:
            async for request in requests:
                await window.room()
                window.add(self._stream_answer(request, deadline))
        finally:
            window.end()

    async def _stream_answer(self, request: bytes, deadline: float) -> bytes:
        with self._calls.in_flight():
            try:
                self._check_room(deadline)
                planned = self._planner.plan(parsed(ranking_pb2.RankRequest, request), deadline)
                await self._waiter.score(planned.jobs)
                return planned.encoded_response()
            except Exception as error:  # the stream goes on
                return refusal_of(error).SerializeToString()

    def _check_room(self, deadline: float) -> None:
        """Refuses what has to be refused in any case before it is read."""
        refusal = self._waiter.refusal(deadline)
        if refusal is not None:
            raise refusal


def _message(read: object) -> bytes:
    """What was read, where it is a message."""
    if isinstance(read, bytes):
        return read
    raise InvalidRequestError(Violation("", "the call ended without a request"))
