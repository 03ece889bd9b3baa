"""Sees the calls of grpcio's public servers, around their handlers; see `CountedServices` for why it does so."""

import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import Any, TypeAlias

import grpc

from rankserve_server.metrics.counted_services import HANDLER_KINDS, Handler, code_of, knowing_its_code
from rankserve_server.observing.call_observer import CallObserver
from rankserve_server.observing.seen_call import CURRENT, SeenCall

_Behavior: TypeAlias = Callable[..., Any]
_OK: int = grpc.StatusCode.OK.value[0]
_UNIMPLEMENTED: int = grpc.StatusCode.UNIMPLEMENTED.value[0]


class ObservedServices:
    """Where services are registered instead of at their server."""

    def __init__(self, server: "grpc.Server | grpc.aio.Server", registry: Any, observer: CallObserver) -> None:
        """Sees what the server has no method for, too; before it starts. `registry` is where handlers go then."""
        self._registry = registry
        self._observer = observer
        server.add_generic_rpc_handlers((_UnknownMethods(observer),))

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        """Registers the methods of a service."""
        observed = {
            name: observed_handler(handler, self._observer, f"/{service}/{name}") for name, handler in handlers.items()
        }
        self._registry.add_registered_method_handlers(service, observed)

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """See `CountedServices`."""


class _UnknownMethods(grpc.GenericRpcHandler):
    """Is asked for the methods that there are not."""

    def __init__(self, observer: CallObserver) -> None:
        self._observer = observer

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> None:
        details = handler_call_details
        self._observer.begin(details.method, details.invocation_metadata).end(_UNIMPLEMENTED)


def observed_handler(handler: Handler, observer: CallObserver, method: str) -> Handler:
    """A handler that does the same and is seen."""
    kind = next(kind for kind in HANDLER_KINDS if getattr(handler, kind) is not None)
    return HANDLER_KINDS[kind](
        _observed(getattr(handler, kind), observer, method, handler.response_streaming),
        request_deserializer=handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )


def _observed(behavior: _Behavior, observer: CallObserver, method: str, is_stream: bool) -> _Behavior:
    if inspect.isasyncgenfunction(behavior):
        return _observed_async_stream(behavior, observer, method)
    if inspect.iscoroutinefunction(behavior):
        return _observed_async(behavior, observer, method)
    if is_stream:
        return _observed_stream(behavior, observer, method)
    return _observed_call(behavior, observer, method)


@contextmanager
def _seen(observer: CallObserver, method: str, context: Any) -> Iterator[SeenCall]:
    call = observer.begin(method, context.invocation_metadata() or ())
    context.set_trailing_metadata(call.trailers)
    try:
        yield call
    except BaseException as error:
        call.end(code_of(context, error))
        raise
    call.end(_OK)


def _observed_call(behavior: _Behavior, observer: CallObserver, method: str) -> _Behavior:
    def answer(request: Any, context: Any) -> Any:
        context = knowing_its_code(context)
        with _seen(observer, method, context) as call, _current(call):
            return behavior(request, context)

    return answer


def _observed_stream(behavior: _Behavior, observer: CallObserver, method: str) -> _Behavior:
    def answer(request: Any, context: Any) -> Iterator[Any]:
        with _seen(observer, method, context) as call:
            # The next answer may be taken on another thread.
            with _current(call):
                answers = behavior(request, context)
            yield from answers

    return answer


@contextmanager
def _current(call: SeenCall) -> Iterator[None]:
    token = CURRENT.set(call)
    try:
        yield
    finally:
        CURRENT.reset(token)


# On an event loop each call has a task of its own, and what is current ends with it.


def _observed_async(behavior: _Behavior, observer: CallObserver, method: str) -> _Behavior:
    async def answer(request: Any, context: Any) -> Any:
        with _seen(observer, method, context) as call:
            CURRENT.set(call)
            return await behavior(request, context)

    return answer


def _observed_async_stream(behavior: _Behavior, observer: CallObserver, method: str) -> _Behavior:
    async def answer(request: Any, context: Any) -> AsyncIterator[Any]:
        with _seen(observer, method, context) as call:
            CURRENT.set(call)
            async with aclosing(behavior(request, context)) as answers:
                async for response in answers:
                    yield response

    return answer
