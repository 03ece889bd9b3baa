"""The stream of the asyncio client: a task sends queries while the caller reads answers."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable
from typing import Any, Final

import grpc

from rankserve.v1 import ranking_pb2
from rankserve_client.error_decoding import from_rpc_error
from rankserve_client.errors import Cancelled, RankServeError, Unavailable
from rankserve_client.messages import to_request
from rankserve_client.query import RankQuery
from rankserve_client.results import RankResult, broken_promise, overdue, to_result
from rankserve_client.stream import MAX_UNANSWERED

_FAILED_WRITE: Final = "Internal error from Core"


async def stream_results(
    start: Callable[[], Any],
    queries: Iterable[RankQuery] | AsyncIterable[RankQuery],
    target: str,
    seconds: float | None,
) -> AsyncGenerator[RankResult, None]:
    """Yields one result for each query, in order; each may take `seconds` (None: for ever) once it is waited for."""
    call = start()
    outbox = _Outbox(queries, call)
    try:
        while (titles := await outbox.next_unanswered()) is not None:
            response = await _read(call, target, seconds)
            if response is None:
                raise broken_promise(f"{target} ended the stream before its last answer", target)
            yield to_result(response, titles, target)
        await _read(call, target, seconds)  # the status of the whole call: raises unless it is OK
        if outbox.error:
            raise outbox.error
    except (grpc.RpcError, asyncio.CancelledError) as error:
        if outbox.error:
            raise outbox.error from None
        if isinstance(error, grpc.RpcError):
            raise _failure(error, target) from error
        if is_cancelled_from_outside():
            raise
        raise client_closed(target) from error
    finally:
        call.cancel()
        outbox.stop()


def _failure(error: grpc.RpcError, target: str) -> RankServeError:
    """The error for the status of the call.

    Where the server ends the call while a query is being sent, grpc.aio can put a status of its own in place of the
    server's: all that is known then is that the stream has ended.
    """
    if isinstance(error, grpc.aio.AioRpcError) and error.details() == _FAILED_WRITE:
        message = f"{target} ended the stream while a query was being sent; try again"
        return Unavailable(message, grpc.StatusCode.UNAVAILABLE, target=target)
    return from_rpc_error(error, target, None)


def is_cancelled_from_outside() -> bool:
    """Whether a CancelledError is meant for the running task; grpc.aio also raises it where only its call has ended."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def client_closed(target: str) -> Cancelled:
    """The error for a call that was under way when its client was closed."""
    return Cancelled("the client was closed while the call was under way", grpc.StatusCode.CANCELLED, target=target)


async def _read(call: Any, target: str, seconds: float | None) -> ranking_pb2.RankResponse | None:
    try:
        async with asyncio.timeout(seconds):
            response = await call.read()
    except TimeoutError as error:
        raise overdue(target, seconds or 0.0) from error
    return None if response is grpc.aio.EOF else response


class _Outbox:
    """Sends the requests of a stream and knows what is still unanswered: for each, whether it asked for titles."""

    _END: Final = None

    def __init__(self, queries: Iterable[RankQuery] | AsyncIterable[RankQuery], call: Any) -> None:
        self.error: Exception | None = None
        self._queries = queries
        self._call = call
        self._unanswered: asyncio.Queue[bool | None] = asyncio.Queue(MAX_UNANSWERED)
        # A reader that waits for a slow producer has to learn that the server is gone.
        call.add_done_callback(self._call_ended)
        self._task = asyncio.create_task(self._send_all())

    async def next_unanswered(self) -> bool | None:
        """Waits for the oldest request that has no answer; None when there is none to come."""
        return await self._unanswered.get()

    def stop(self) -> None:
        self._task.cancel()

    async def _send_all(self) -> None:
        try:
            if isinstance(self._queries, AsyncIterable):
                async for query in self._queries:
                    await self._send(query)
            else:
                for query in self._queries:
                    await self._send(query)
            await self._call.done_writing()
        except _CallEndedError:
            pass  # the reader meets the reason
        except Exception as error:
            self.error = error
            self._call.cancel()
        await self._unanswered.put(self._END)

    async def _send(self, query: RankQuery) -> None:
        request = to_request(query)
        await self._unanswered.put(query.titles)
        try:
            await self._call.write(request)
        except (grpc.RpcError, asyncio.InvalidStateError) as error:
            raise _CallEndedError from error

    def _call_ended(self, _: object) -> None:
        if not self._unanswered.full():  # else the reader is not waiting: it meets the end of the call itself
            self._unanswered.put_nowait(self._END)


class _CallEndedError(Exception):
    """Ends the sending; the reader meets the reason."""
