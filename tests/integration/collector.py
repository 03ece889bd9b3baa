"""A collector of spans: OTLP's TraceService on loopback, which keeps what it is sent."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc

ARRIVED_SECONDS = 30.0


@dataclass(frozen=True)
class Span:
    """As it was sent; ids in hexadecimal, "" for no parent, times in nanoseconds since 1970."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: str
    start: int
    end: int
    links: frozenset[str]
    attributes: dict[str, Any]
    is_error: bool
    service: str


@dataclass
class Collector:
    """What has arrived so far."""

    address: str = ""
    spans: list[Span] = field(default_factory=list)

    def found(self, is_it: Callable[[Span], bool], count: int = 1) -> list[Span]:
        """Waits until there are so many spans of a kind."""
        deadline = time.monotonic() + ARRIVED_SECONDS
        while len(found := [span for span in list(self.spans) if is_it(span)]) < count:
            assert time.monotonic() < deadline, "\n".join(map(str, self.spans))
            time.sleep(0.05)
        return found

    def of_trace(self, trace_id: str, count: int) -> dict[str, list[Span]]:
        """Waits until there are so many spans of a trace; by name."""
        by_name: dict[str, list[Span]] = {}
        for span in self.found(lambda span: span.trace_id == trace_id, count):
            by_name.setdefault(span.name, []).append(span)
        return by_name


class _TraceService(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def Export(  # noqa: N802, the name that its proto gives it
        self,
        request: pb.ExportTraceServiceRequest,
        context: grpc.ServicerContext,  # noqa: ARG002, gRPC passes it
    ) -> pb.ExportTraceServiceResponse:
        for resource in request.resource_spans:
            service = _attributes(resource.resource.attributes)["service.name"]
            for scope in resource.scope_spans:
                self._collector.spans += [_span(span, service) for span in scope.spans]
        return pb.ExportTraceServiceResponse()


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that runs."""
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(2))
    add: Any = trace_service_pb2_grpc.add_TraceServiceServicer_to_server  # it has no types
    add(_TraceService(collector), server)
    collector.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield collector
    finally:
        server.stop(None).wait()


def _span(span: Any, service: str) -> Span:
    return Span(
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        kind=type(span).SpanKind.Name(span.kind),
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        links=frozenset(link.span_id.hex() for link in span.links),
        attributes=_attributes(span.attributes),
        is_error=span.status.code == span.status.STATUS_CODE_ERROR,
        service=service,
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
