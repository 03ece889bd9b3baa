"""What was noted becomes spans, which go to a collector. All of it on the observer's thread.

Spans are made once everything is over: while a call is answered, only times are noted.
"""

import logging
import threading
import time
from collections.abc import Mapping
from importlib.metadata import version

import grpc
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import (
    SERVICE_INSTANCE_ID,
    SERVICE_NAME,
    SERVICE_VERSION,
    OTELResourceDetector,
    Resource,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.span import TraceState

from rankserve_server.observing.seen_call import SeenCall
from rankserve_server.tracing.call_trace import BatchTrace, CallTrace
from rankserve_server.tracing.load_trace import LoadTrace, SwapTrace
from rankserve_server.tracing.trace_context import TraceParent

_log = logging.getLogger(__name__)

_SERVICE = "rankserve"
# What a collector that does not answer may delay the end of a server.
_FLUSH_SECONDS = 3.0
_CODE_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}
# Those that are the server's fault, by OpenTelemetry's conventions for gRPC: of a server's span, others are no error.
_FAULTS = {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
_Attributes = Mapping[str, str | int | float | bool]


class Spans:
    """Makes spans and exports them."""

    def __init__(self, endpoint: str | None, instance: str) -> None:
        """Connects with the first span.

        Args:
            endpoint: URL of the collector; None for what OpenTelemetry's variables say.
            instance: tells this process from others of the service.
        """
        self._ids = _GivenIds()
        defaults = {SERVICE_NAME: _SERVICE, SERVICE_VERSION: version("rankserve"), SERVICE_INSTANCE_ID: instance}
        # Of what both know, the second one's counts: the operator's, of OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES.
        resource = Resource.create(defaults).merge(OTELResourceDetector().detect())
        # What is sampled was decided as the call began.
        self._provider = TracerProvider(ALWAYS_ON, resource, shutdown_on_exit=False, id_generator=self._ids)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint)))
        self._tracer = self._provider.get_tracer(_SERVICE, version("rankserve"))
        self._loads: dict[tuple[str, str], SpanContext] = {}
        self._offset = 0

    def close(self) -> None:
        """Exports what is left, for some seconds at most."""
        # It has no limit of its own: where a collector does not answer, it waits for half a minute.
        closing = threading.Thread(target=self._provider.shutdown, name="rankserve-spans-close", daemon=True)
        closing.start()
        closing.join(_FLUSH_SECONDS)
        if closing.is_alive():
            _log.warning("The collector of spans does not answer; the last ones are lost.")

    def add(self, told: SeenCall | BatchTrace | LoadTrace | SwapTrace) -> None:
        """Makes the spans of something that is over."""
        # Once, so that the times of one call fit together.
        self._offset = time.time_ns() - time.monotonic_ns()
        match told:
            case SeenCall():
                if told.trace is not None:
                    self._add_call(told, told.trace)
            case BatchTrace():
                self._add_batch(told)
            case LoadTrace():
                self._add_load(told)
            case SwapTrace():
                self._add_swap(told)

    def _add_call(self, call: SeenCall, noted: CallTrace) -> None:
        parent = _remote(noted)
        code = _CODE_NAMES.get(call.code, "UNKNOWN")
        attributes: dict[str, str | int] = {
            "rpc.system.name": "grpc",
            "rpc.method": call.method.removeprefix("/"),
            "rpc.response.status_code": code,
            "rankserve.request_id": call.request_id,
            "rankserve.requests": call.requests,
            "rankserve.candidates": call.candidates,
        }
        if call.model:
            attributes |= {"rankserve.model": call.model, "rankserve.version": call.version}
        self._ids.give(noted.span)
        span = self._tracer.start_span(
            call.method.removeprefix("/"), parent, SpanKind.SERVER, attributes, start_time=self._wall(call.began)
        )
        if code in _FAULTS:
            span.set_attribute("error.type", code)
            span.set_status(Status(StatusCode.ERROR))
        self._add_computed(noted, trace.set_span_in_context(span, Context()))
        span.end(self._wall(call.ended))

    def _add_computed(self, of_call: CallTrace, parent: Context) -> None:
        for computed in of_call.computed:
            attributes = {"rankserve.candidates": computed.candidates}
            if computed.queued < computed.started:
                self._add("queue", parent, self._wall(computed.queued), self._wall(computed.started), attributes)
            links = [Link(_context(computed.batch))]
            self._add("compute", parent, self._wall(computed.started), self._wall(computed.ended), attributes, links)

    def _add_batch(self, batch: BatchTrace) -> None:
        attributes = {
            "rankserve.requests": batch.requests,
            "rankserve.candidates": batch.candidates,
            "rankserve.padding_rows": max(0, batch.computed_rows - batch.candidates),
        }
        links = [Link(_context(call)) for call in batch.calls]
        self._ids.give(batch.span)
        self._add("batch", Context(), self._wall(batch.started), self._wall(batch.ended), attributes, links)

    def _add_load(self, load: LoadTrace) -> None:
        attributes = {"rankserve.model": load.model, "rankserve.version": load.version}
        outcome = {"rankserve.outcome": load.outcome}
        span = self._tracer.start_span("load", Context(), attributes=attributes | outcome, start_time=load.started)
        if load.error:
            span.set_attribute("error.type", load.outcome)
            span.set_status(Status(StatusCode.ERROR, load.error))
        parent = trace.set_span_in_context(span, Context())
        for step in load.steps:
            self._add(step.name, parent, step.started, step.ended, attributes)
        span.end(load.ended)
        # Of a model the last one only: it is what can be swapped in next.
        self._loads = {key: known for key, known in self._loads.items() if key[0] != load.model}
        self._loads[load.model, load.version] = span.get_span_context()

    def _add_swap(self, swap: SwapTrace) -> None:
        loaded = self._loads.get((swap.model, swap.version))
        parent = Context() if loaded is None else trace.set_span_in_context(NonRecordingSpan(loaded), Context())
        attributes = {"rankserve.model": swap.model, "rankserve.version": swap.version}
        self._add("swap", parent, swap.started, swap.ended, attributes)

    def _wall(self, monotonic: float) -> int:
        """A time of `time.monotonic` as one of `time.time_ns`."""
        return round(monotonic * 1e9) + self._offset

    def _add(
        self,
        name: str,
        parent: Context,
        started: int,
        ended: int,
        attributes: _Attributes,
        links: list[Link] | None = None,
    ) -> None:
        span = self._tracer.start_span(name, parent, attributes=attributes, links=links, start_time=started)
        span.end(ended)


class _GivenIds(RandomIdGenerator):
    """Ids that were given out while a call was answered, so that others can link to its span; else new ones."""

    def __init__(self) -> None:
        self._given: TraceParent | None = None

    def give(self, ids: TraceParent) -> None:
        """Sets the ids of the next span."""
        self._given = ids

    def generate_trace_id(self) -> int:
        """Asked before the id of the span, and only for one without a parent."""
        return super().generate_trace_id() if self._given is None else self._given.trace_id

    def generate_span_id(self) -> int:
        """Asked once for each span."""
        given, self._given = self._given, None
        return super().generate_span_id() if given is None else given.span_id


def _remote(of_call: CallTrace) -> Context:
    if of_call.parent is None:
        return Context()
    state = TraceState.from_header([of_call.state]) if of_call.state else None
    return trace.set_span_in_context(NonRecordingSpan(_context(of_call.parent, True, state)), Context())


def _context(ids: TraceParent, is_remote: bool = False, state: TraceState | None = None) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED)
    return SpanContext(ids.trace_id, ids.span_id, is_remote, flags, state)
