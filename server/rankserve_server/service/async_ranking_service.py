"""RankingService on grpc.aio."""

import asyncio
from collections.abc import AsyncIterator

from rankserve.v1 import ranking_pb2, ranking_pb2_grpc
from rankserve_server.errors import NotReadyError
from rankserve_server.service.calls import Calls, Context, deadline_of, fail
from rankserve_server.service.conversion import refusal_of
from rankserve_server.service.planning import Planner
from rankserve_server.service.score_waiter import ScoreWaiter
from rankserve_server.service.stream_window import StreamWindow

_Request = ranking_pb2.RankRequest
_Response = ranking_pb2.RankResponse


class AsyncRankingService(ranking_pb2_grpc.RankingServiceServicer):
    """Converts requests to score jobs, waits for the scores, converts them back."""

    def __init__(self, planner: Planner, waiter: ScoreWaiter, calls: Calls, max_stream_requests: int) -> None:
        self._planner = planner
        self._waiter = waiter
        self._calls = calls
        self._max_stream_requests = max_stream_requests

    async def Rank(self, request: _Request, context: Context) -> _Response:  # noqa: N802, named by the proto
        """Ranks the candidates of one request."""
        return await self._calls.answer(context, self._rank(request, deadline_of(context)))

    async def BatchRank(  # noqa: N802
        self, request: ranking_pb2.BatchRankRequest, context: Context
    ) -> ranking_pb2.BatchRankResponse:
        """Ranks several requests; a refused one does not touch its neighbours."""
        return await self._calls.answer(context, self._rank_batch(request, deadline_of(context)))

    async def RankStream(self, requests: AsyncIterator[_Request], context: Context) -> AsyncIterator[_Response]:  # noqa: N802
        """Ranks a stream of requests, several at a time, and answers in their order."""
        window = StreamWindow[_Response](self._max_stream_requests)
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

    async def _rank(self, request: _Request, deadline: float) -> _Response:
        self._calls.check_open()
        planned = self._planner.plan(request, deadline)
        await self._waiter.score(planned.jobs)
        return planned.response()

    async def _rank_batch(
        self, request: ranking_pb2.BatchRankRequest, deadline: float
    ) -> ranking_pb2.BatchRankResponse:
        self._calls.check_open()
        planned = self._planner.plan_batch(request, deadline)
        await self._waiter.score(planned.jobs)
        return planned.response()

    async def _read_stream(
        self, requests: AsyncIterator[_Request], window: StreamWindow[_Response], deadline: float
    ) -> None:
        """Starts an answer for each request until the client has sent its last one."""
        try:
            async for request in requests:
                await window.room()
                window.add(self._stream_answer(request, deadline))
        finally:
            window.end()

    async def _stream_answer(self, request: _Request, deadline: float) -> _Response:
        with self._calls.in_flight():
            try:
                planned = self._planner.plan(request, deadline)
                await self._waiter.score(planned.jobs)
                return planned.response()
            except Exception as error:  # the stream goes on
                return refusal_of(error)
