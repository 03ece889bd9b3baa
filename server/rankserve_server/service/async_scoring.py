"""What needs scores, on grpc.aio: the methods of RankingService, and those of other protocols."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

from rankserve_server.errors import NotReadyError
from rankserve_server.observing.seen_call import CURRENT
from rankserve_server.protocols.service import ScoredStream
from rankserve_server.service.calls import Calls, Context, deadline_of, fail, message_read
from rankserve_server.service.planning import PlanMessage, Planned, Planner
from rankserve_server.service.score_waiter import ScoreWaiter
from rankserve_server.service.stream_window import StreamWindow

if TYPE_CHECKING:
    from rankserve_server.observing.call_observer import CallObserver

Unary: TypeAlias = Callable[[AsyncIterator[bytes], Context], Awaitable[bytes]]
Stream: TypeAlias = Callable[[AsyncIterator[bytes], Context], AsyncIterator[bytes]]


class AsyncScoring:
    """Converts requests to score jobs, waits for the scores, converts them back.

    Its handlers take and give encoded messages: grpc.aio itself ends a call with UNKNOWN where it cannot parse one. All
    of them read for themselves: a unary call that ends without a message never reaches a handler that is given one, and
    grpc.aio lets it wait for its deadline.
    """

    def __init__(
        self,
        planner: Planner,
        waiter: ScoreWaiter,
        calls: Calls,
        max_stream_requests: int,
        observer: "CallObserver | None" = None,
    ) -> None:
        """`observer` sees calls; None where nobody does."""
        self._observer = observer
        self._planner = planner
        self._waiter = waiter
        self._calls = calls
        self._max_stream_requests = max_stream_requests

    def unary(self, plan: PlanMessage) -> Unary:
        """The handler of a method whose requests are planned so."""

        async def answer(_requests: AsyncIterator[bytes], context: Context) -> bytes:
            request = await context.read()
            return await self._calls.answer(context, self._answer(request, plan, deadline_of(context)))

        return answer

    def stream(self, scored: ScoredStream) -> Stream:
        """The handler of a method with a stream of requests: several at a time, answered in their order."""

        async def answer(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
            try:
                self._calls.check_open()
                self._planner.check_ready()
            except NotReadyError as error:
                await fail(context, error)
            window = StreamWindow[bytes](self._max_stream_requests)
            reader = asyncio.create_task(self._read_stream(requests, window, scored, deadline_of(context)))
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

        return answer

    async def _answer(self, request: object, plan: PlanMessage, deadline: float) -> bytes:
        message = message_read(request)
        self._calls.check_open()
        self._planner.check_ready()
        self._check_room(deadline)
        return await self._scored(message, plan(message, deadline))

    async def _read_stream(
        self, requests: AsyncIterator[bytes], window: StreamWindow[bytes], scored: ScoredStream, deadline: float
    ) -> None:
        """Starts an answer for each request until the client has sent its last one."""
        try:
            async for request in requests:
                await window.room()
                window.add(self._stream_answer(request, scored, deadline))
        finally:
            window.end()

    async def _stream_answer(self, request: bytes, scored: ScoredStream, deadline: float) -> bytes:
        with self._calls.in_flight():
            try:
                self._check_room(deadline)
                return await self._scored(request, scored.plan(request, deadline))
            except Exception as error:  # the stream goes on
                return scored.refuse(request, error)

    async def _scored(self, message: bytes, planned: Planned) -> bytes:
        seen = None if self._observer is None else CURRENT.get()
        if seen is not None:
            seen.planned(planned.jobs)
        await self._waiter.score(planned.jobs)
        answer = planned.encoded_response()
        if seen is not None:
            seen.answered(planned, message, answer)
        return answer

    def _check_room(self, deadline: float) -> None:
        """Refuses what has to be refused in any case before it is read."""
        refusal = self._waiter.refusal(deadline)
        if refusal is not None:
            raise refusal
