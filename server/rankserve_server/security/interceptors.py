"""The gate before the public servers of grpcio."""

from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import grpc

from rankserve_server.errors import RequestError
from rankserve_server.metrics.call_counts import CallCounts
from rankserve_server.metrics.counted_services import counted_handler
from rankserve_server.observing.seen_call import current_request_id, with_trailers_of_call
from rankserve_server.security.gate import Gate
from rankserve_server.service.calls import fail
from rankserve_server.service.status import call_status_of

if TYPE_CHECKING:
    from rankserve_server.observing.call_observer import CallObserver

# None where there is no such method.
_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"


class GateInterceptor(grpc.ServerInterceptor):
    """For a threaded server."""

    def __init__(self, gate: Gate, calls: CallCounts | None = None, observer: "CallObserver | None" = None) -> None:
        """`calls` counts those that are refused, and `observer` sees them; None where nobody does."""
        self._gate = gate
        self._calls = calls
        self._observer = observer

    def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], _Handler], handler_call_details: grpc.HandlerCallDetails
    ) -> _Handler:
        """The handler of a call that may go on, or one that refuses it."""
        details = handler_call_details
        error = self._gate.refusal(details.method, details.invocation_metadata)
        if error is None:
            return continuation(details)
        refusing: _Handler = _noted(_refusing(error), self._calls, self._observer, details.method)
        return refusing


class AsyncGateInterceptor(grpc.aio.ServerInterceptor):
    """The same for a server of asyncio."""

    def __init__(self, gate: Gate, calls: CallCounts | None = None, observer: "CallObserver | None" = None) -> None:
        self._gate = gate
        self._calls = calls
        self._observer = observer

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """As above."""
        details = handler_call_details
        error = self._gate.refusal(details.method, details.invocation_metadata)
        if error is None:
            return await continuation(details)
        return _noted(_refusing_async(error), self._calls, self._observer, details.method)


def _noted(handler: Any, calls: CallCounts | None, observer: "CallObserver | None", method: str) -> Any:
    if observer is not None:
        from rankserve_server.observing.observed_services import observed_handler

        handler = observed_handler(handler, observer, method)
    return handler if calls is None else counted_handler(handler, calls, method)


# Both are handlers of streams, whatever was called: those do not wait for a message.


def _refusing(error: RequestError) -> _Handler:
    def refuse(_: Iterator[Any], context: grpc.ServicerContext) -> NoReturn:
        code, message, trailers = call_status_of(error, current_request_id())
        context.set_trailing_metadata(with_trailers_of_call(trailers))
        context.abort(code, message)

    return grpc.stream_stream_rpc_method_handler(refuse)


def _refusing_async(error: RequestError) -> Any:
    async def refuse(_: object, context: Any) -> None:
        await fail(context, error)

    return grpc.stream_stream_rpc_method_handler(refuse)
