"""The caller's trace goes on at the server, where the program uses OpenTelemetry.

The client does not depend on it: a program that has not imported it has no span that could go on.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import grpc

from rankserve.v1 import models_pb2, ranking_pb2
from rankserve_client.errors import RankServeError
from rankserve_client.version import __version__

_API: Final = "opentelemetry.trace"
_SERVICES: Final[tuple[Any, ...]] = (  # their descriptors have no public type
    ranking_pb2.DESCRIPTOR.services_by_name["RankingService"],
    models_pb2.DESCRIPTOR.services_by_name["ModelService"],
)
# By the type of the request, of which each unary method has its own.
_METHODS: Final = {
    method.input_type.full_name: f"{service.full_name}/{method.name}"
    for service in _SERVICES
    for method in service.methods
    if not method.client_streaming
}
_STREAM: Final = "rankserve.v1.RankingService/RankStream"

Pairs = tuple[tuple[str, str], ...]


def current_context() -> Pairs:
    """The metadata by which the current span goes on (W3C Trace Context); empty where there is none."""
    api: Any = sys.modules.get(_API)
    return () if api is None else _context_of(api.get_current_span())


class CallSpans:
    """Makes a span for each call, where the caller has given a `TracerProvider` of OpenTelemetry."""

    def __init__(self, provider: Any, target: str) -> None:
        """Makes none where `provider` is None."""
        self._tracer = None if provider is None else provider.get_tracer("rankserve_client", __version__)
        self._target = target

    @contextmanager
    def unary(self, request: Any) -> Iterator[None]:
        """The span of a call with this request: the current one, while this is open."""
        if self._tracer is None:
            yield
            return
        with self._span(self._tracer, _METHODS[request.DESCRIPTOR.full_name]) as span, sys.modules[_API].use_span(span):
            yield

    @contextmanager
    def stream(self) -> Iterator[Pairs]:
        """The span of a call of RankStream; it is not the current one of the code that reads the answers.

        Gives the metadata of the call.
        """
        if self._tracer is None:
            yield current_context()
            return
        with self._span(self._tracer, _STREAM) as span:
            yield _context_of(span)

    @contextmanager
    def _span(self, tracer: Any, method: str) -> Iterator[Any]:
        api: Any = sys.modules[_API]
        attributes = {"rpc.system.name": "grpc", "rpc.method": method, "server.address": self._target}
        span = tracer.start_span(method, kind=api.SpanKind.CLIENT, attributes=attributes)
        code = "OK"
        try:
            yield span
        except GeneratorExit:  # the caller reads no further
            code = "CANCELLED"
            raise
        except BaseException as error:
            code = _code_name(error)
            span.set_attribute("error.type", code)
            span.set_status(api.StatusCode.ERROR)
            raise
        finally:
            span.set_attribute("rpc.response.status_code", code)
            span.end()


def _context_of(span: Any) -> Pairs:
    context = span.get_span_context()
    if not context.is_valid:
        return ()
    parent = ("traceparent", f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 0xFF:02x}")
    state = context.trace_state.to_header() if context.trace_state else ""
    return (parent, ("tracestate", state)) if state else (parent,)


def _code_name(error: BaseException) -> str:
    if isinstance(error, RankServeError):
        return error.code.name
    if isinstance(error, grpc.RpcError) and isinstance(code := error.code(), grpc.StatusCode):
        return code.name
    return type(error).__name__
