"""Counts the calls of grpcio's public servers, around their handlers.

Not as an interceptor: for one, grpc.aio looks every call up by another, slower way, which costs more than to count.
"""

import asyncio
import functools
import inspect
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing
from typing import Any, TypeAlias

import grpc

from rankserve_server.metrics.call_counts import CallCounts, MethodCounts

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
_Behavior: TypeAlias = Callable[..., Any]
_OK: int = grpc.StatusCode.OK.value[0]
_CANCELLED: int = grpc.StatusCode.CANCELLED.value[0]
_DEADLINE_EXCEEDED: int = grpc.StatusCode.DEADLINE_EXCEEDED.value[0]
_INTERNAL: int = grpc.StatusCode.INTERNAL.value[0]
_UNIMPLEMENTED: int = grpc.StatusCode.UNIMPLEMENTED.value[0]
_UNKNOWN: int = grpc.StatusCode.UNKNOWN.value[0]
HANDLER_KINDS: dict[str, Callable[..., Handler]] = {
    "unary_unary": grpc.unary_unary_rpc_method_handler,
    "unary_stream": grpc.unary_stream_rpc_method_handler,
    "stream_unary": grpc.stream_unary_rpc_method_handler,
    "stream_stream": grpc.stream_stream_rpc_method_handler,
}


class CountedServices:
    """Where services are registered instead of at their server."""

    def __init__(self, server: "grpc.Server | grpc.aio.Server", calls: CallCounts) -> None:
        """Counts what the server has no method for, too; before it starts."""
        self._server = server
        self._calls = calls
        self._unread = _UNKNOWN if isinstance(server, grpc.aio.Server) else _INTERNAL
        server.add_generic_rpc_handlers((_UnknownMethods(calls),))

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        """Registers the methods of a service."""
        counted = {
            name: counted_handler(handler, self._calls, f"/{service}/{name}", self._unread)
            for name, handler in handlers.items()
        }
        self._server.add_registered_method_handlers(service, counted)

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Generated code registers everything twice; this way is for servers that do not know the other."""


class _UnknownMethods(grpc.GenericRpcHandler):
    """Is asked for the methods that there are not."""

    def __init__(self, calls: CallCounts) -> None:
        self._calls = calls

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> None:
        tally = _Tally(self._calls, handler_call_details.method)
        tally.ended(tally.started(), _UNIMPLEMENTED)


def counted_handler(handler: Handler, calls: CallCounts, method: str, unread: int = _UNKNOWN) -> Handler:
    """A handler that does the same and counts it.

    Args:
        handler: of a call.
        calls: those of its server.
        method: `/package.Service/Method`.
        unread: the status code that gRPC ends a call with whose message cannot be read.
    """
    kind = next(kind for kind in HANDLER_KINDS if getattr(handler, kind) is not None)
    tally = _Tally(calls, method)
    parse = handler.request_deserializer
    return HANDLER_KINDS[kind](
        _counted(getattr(handler, kind), calls.of(method), tally, handler),
        request_deserializer=None if parse is None else functools.partial(_parsed, parse, tally, unread),
        response_serializer=handler.response_serializer,
    )


class _Tally:
    """Counts the calls of a method that several threads answer."""

    def __init__(self, calls: CallCounts, method: str) -> None:
        self._lock = calls.lock
        self._counts = calls.of(method)

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

    def ended(self, since: float, code: int = _OK) -> None:
        """Counts the end of a call."""
        with self._lock:
            self._counts.ended(code, since)


def _parsed(parse: Callable[[bytes], Any], tally: _Tally, unread: int, message: bytes) -> Any:
    """Where this fails, gRPC ends the call and asks no handler."""
    try:
        return parse(message)
    except Exception:
        tally.ended(tally.started(), unread)
        raise


def _counted(behavior: _Behavior, counts: MethodCounts, tally: _Tally, handler: Handler) -> _Behavior:
    if inspect.isasyncgenfunction(behavior):
        return _counted_async_stream(behavior, counts, handler.request_streaming)
    if inspect.iscoroutinefunction(behavior):
        return _counted_async(behavior, counts)
    if handler.response_streaming:
        return _counted_stream(behavior, tally, handler.request_streaming)
    return _counted_call(behavior, tally)


def _counted_call(behavior: _Behavior, tally: _Tally) -> _Behavior:
    def answer(request: Any, context: Any) -> Any:
        context = knowing_its_code(context)
        since = tally.started()
        tally.received()
        try:
            response = behavior(request, context)
        except BaseException as error:
            tally.ended(since, code_of(context, error))
            raise
        tally.sent()
        tally.ended(since)
        return response

    return answer


def _counted_stream(behavior: _Behavior, tally: _Tally, reads_stream: bool) -> _Behavior:
    def answer(request: Any, context: Any) -> Iterator[Any]:
        since = tally.started()
        try:
            for response in behavior(_each(request, tally) if reads_stream else request, context):
                tally.sent()
                yield response
        except BaseException as error:
            tally.ended(since, code_of(context, error))
            raise
        tally.ended(since)

    return answer


def _each(requests: Iterable[Any], tally: _Tally) -> Iterator[Any]:
    for request in requests:
        tally.received()
        yield request


# What runs on an event loop has it for itself: it needs no lock.


def _counted_async(behavior: _Behavior, counts: MethodCounts) -> _Behavior:
    async def answer(request: Any, context: Any) -> Any:
        since = time.monotonic()
        counts.started += 1
        counts.received += 1
        try:
            response = await behavior(request, context)
        except BaseException as error:
            counts.ended(code_of(context, error), since)
            raise
        counts.sent += 1
        counts.ended(_OK, since)
        return response

    return answer


def _counted_async_stream(behavior: _Behavior, counts: MethodCounts, reads_stream: bool) -> _Behavior:
    async def answer(request: Any, context: Any) -> AsyncIterator[Any]:
        since = time.monotonic()
        counts.started += 1
        if not reads_stream:
            counts.received += 1
        try:
            async with aclosing(
                behavior(_each_async(request, counts) if reads_stream else request, context)
            ) as answers:
                async for response in answers:
                    counts.sent += 1
                    yield response
        except BaseException as error:
            counts.ended(code_of(context, error), since)
            raise
        counts.ended(_OK, since)

    return answer


async def _each_async(requests: AsyncIterable[Any], counts: MethodCounts) -> AsyncIterator[Any]:
    async for request in requests:
        counts.received += 1
        yield request


class _KnowsItsCode:
    """A context that keeps the code that a handler ends its call with."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self._code: grpc.StatusCode | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def code(self) -> grpc.StatusCode | None:
        return self._code

    def abort(self, code: grpc.StatusCode, details: str) -> None:
        self._code = code
        self._context.abort(code, details)


def knowing_its_code(context: Any) -> Any:
    """The context of a handler on a thread: that which grpc.aio gives it cannot be asked for its code."""
    return context if hasattr(context, "code") else _KnowsItsCode(context)


def code_of(context: Any, error: BaseException) -> int:
    """The status code that a call ends with by an error."""
    code = context.code()
    number: int = code.value[0] if isinstance(code, grpc.StatusCode) else code or _OK
    if number:
        return number
    if not isinstance(error, (asyncio.CancelledError, GeneratorExit)):
        return _UNKNOWN
    left = context.time_remaining()
    return _CANCELLED if left is None or left > 0 else _DEADLINE_EXCEEDED
