"""Counts the calls of grpcio's public servers.

A call is counted around its handler. Methods that there are not, and calls that a gate refuses, are counted too.
"""

import asyncio
import functools
import inspect
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing
from typing import Any, TypeAlias

import grpc

from rankserve_server.metrics.call_counts import CallCounts, MethodCounts

_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
_Behavior: TypeAlias = Callable[..., Any]
_UNIMPLEMENTED: int = grpc.StatusCode.UNIMPLEMENTED.value[0]
_CANCELLED: int = grpc.StatusCode.CANCELLED.value[0]
_DEADLINE_EXCEEDED: int = grpc.StatusCode.DEADLINE_EXCEEDED.value[0]
_INTERNAL: int = grpc.StatusCode.INTERNAL.value[0]
_UNKNOWN: int = grpc.StatusCode.UNKNOWN.value[0]
_KINDS: dict[str, Callable[..., _Handler]] = {
    "unary_unary": grpc.unary_unary_rpc_method_handler,
    "unary_stream": grpc.unary_stream_rpc_method_handler,
    "stream_unary": grpc.stream_unary_rpc_method_handler,
    "stream_stream": grpc.stream_stream_rpc_method_handler,
}


class CountingInterceptor(grpc.ServerInterceptor):
    """For a threaded server; the first of its interceptors."""

    def __init__(self, calls: CallCounts) -> None:
        self._calls = calls

    def intercept_service(
        self,
        continuation: "Callable[[grpc.HandlerCallDetails], _Handler | None]",
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "_Handler | None":
        """The handler of a call, which counts now."""
        tally = _Tally(self._calls, handler_call_details.method)
        handler = continuation(handler_call_details)
        if handler is None:
            tally.unknown()
            return None
        return _counted(handler, tally)


class AsyncCountingInterceptor(grpc.aio.ServerInterceptor):
    """The same for a server of asyncio."""

    def __init__(self, calls: CallCounts) -> None:
        self._calls = calls
        # The handler of a method and the one that counts: to make the latter takes longer than to count.
        self._made: dict[str, tuple[_Handler, _Handler]] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """As above."""
        method = handler_call_details.method
        handler = await continuation(handler_call_details)
        made = self._made.get(method)
        if made is not None and made[0] is handler:
            return made[1]
        tally = _Tally(self._calls, method)
        if handler is None:
            tally.unknown()
            return None
        counted = _counted(handler, tally)
        if self._calls.has(method):  # of others there is no end
            self._made[method] = (handler, counted)
        return counted


class _Tally:
    """Counts the calls of a method, on any thread."""

    def __init__(self, calls: CallCounts, method: str) -> None:
        self._lock = calls.lock
        self._counts: MethodCounts = calls.of(method)

    def started(self) -> float:
        """Counts a call, and returns when it came."""
        with self._lock:
            self._counts.started += 1
        return time.monotonic()

    def received(self) -> None:
        """Counts a message."""
        with self._lock:
            self._counts.received += 1

    def sent(self) -> None:
        """Counts an answer."""
        with self._lock:
            self._counts.sent += 1

    def ended(self, since: float, code: int = 0) -> None:
        """Counts the end of a call."""
        with self._lock:
            self._counts.ended(code, since)

    def failed(self, since: float, context: Any, error: BaseException) -> None:
        """Counts the end of a call by an error."""
        self.ended(since, _code_of(context, error))

    def unknown(self) -> None:
        """Counts a call of a method that there is not; there is no handler for it."""
        self.ended(self.started(), _UNIMPLEMENTED)


def _counted(handler: _Handler, tally: _Tally) -> _Handler:
    """A handler that does the same and counts it."""
    kind = next(kind for kind in _KINDS if getattr(handler, kind) is not None)
    counted = _counted_behavior(getattr(handler, kind), tally, handler.request_streaming, handler.response_streaming)
    parse = handler.request_deserializer
    return _KINDS[kind](
        counted,
        request_deserializer=None if parse is None else functools.partial(_parsed, parse, tally),
        response_serializer=handler.response_serializer,
    )


def _parsed(parse: Callable[[bytes], Any], tally: _Tally, message: bytes) -> Any:
    """gRPC ends the call where this fails, and then calls no handler."""
    try:
        return parse(message)
    except Exception:
        tally.ended(tally.started(), _INTERNAL)
        raise


def _counted_behavior(behavior: _Behavior, tally: _Tally, reads_stream: bool, answers_stream: bool) -> _Behavior:
    if inspect.isasyncgenfunction(behavior):
        return _counted_async_stream(behavior, tally, reads_stream)
    if inspect.iscoroutinefunction(behavior):
        return _counted_async(behavior, tally)
    if answers_stream:
        return _counted_stream(behavior, tally, reads_stream)
    return _counted_call(behavior, tally)


def _counted_call(behavior: _Behavior, tally: _Tally) -> _Behavior:
    def answer(request: Any, context: Any) -> Any:
        since = tally.started()
        tally.received()
        try:
            response = behavior(request, context)
        except BaseException as error:
            tally.failed(since, context, error)
            raise
        tally.sent()
        tally.ended(since)
        return response

    return answer


def _counted_async(behavior: _Behavior, tally: _Tally) -> _Behavior:
    async def answer(request: Any, context: Any) -> Any:
        since = tally.started()
        tally.received()
        try:
            response = await behavior(request, context)
        except BaseException as error:
            tally.failed(since, context, error)
            raise
        tally.sent()
        tally.ended(since)
        return response

    return answer


def _counted_stream(behavior: _Behavior, tally: _Tally, reads_stream: bool) -> _Behavior:
    def answer(request: Any, context: Any) -> Iterator[Any]:
        since = tally.started()
        try:
            for response in behavior(_each(request, tally) if reads_stream else _only(request, tally), context):
                tally.sent()
                yield response
        except BaseException as error:
            tally.failed(since, context, error)
            raise
        tally.ended(since)

    return answer


def _counted_async_stream(behavior: _Behavior, tally: _Tally, reads_stream: bool) -> _Behavior:
    async def answer(request: Any, context: Any) -> AsyncIterator[Any]:
        since = tally.started()
        try:
            requests = _each_async(request, tally) if reads_stream else _only(request, tally)
            async with aclosing(behavior(requests, context)) as responses:
                async for response in responses:
                    tally.sent()
                    yield response
        except BaseException as error:
            tally.failed(since, context, error)
            raise
        tally.ended(since)

    return answer


def _only(request: Any, tally: _Tally) -> Any:
    tally.received()
    return request


def _each(requests: Iterable[Any], tally: _Tally) -> Iterator[Any]:
    for request in requests:
        tally.received()
        yield request


async def _each_async(requests: AsyncIterable[Any], tally: _Tally) -> AsyncIterator[Any]:
    async for request in requests:
        tally.received()
        yield request


def _code_of(context: Any, error: BaseException) -> int:
    """The status code that a call ends with by an error."""
    code = context.code()
    number: int = code.value[0] if isinstance(code, grpc.StatusCode) else code or 0
    if number:
        return number
    if not isinstance(error, (asyncio.CancelledError, GeneratorExit)):
        return _UNKNOWN
    left = context.time_remaining()
    return _CANCELLED if left is None or left > 0 else _DEADLINE_EXCEEDED
