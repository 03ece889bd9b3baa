"""What is noted of a call that is traced, until its spans are made: times and numbers only."""

import random
from typing import NamedTuple

from rankserve_server.tracing.trace_context import TraceParent


class Computed(NamedTuple):
    """What a batch has computed for one request. Times are on the clock of `time.monotonic`, in seconds.

    Attributes:
        queued: when the request was queued; before its later slices it queues again.
        started: when the batch started.
        ended: when its scores were there.
        batch: the span of the batch.
        candidates: how many of the request it had.
    """

    queued: float
    started: float
    ended: float
    batch: TraceParent
    candidates: int


class CallTrace:
    """A call that is traced.

    Attributes:
        span: its own span.
        parent: its caller's; None where this is the first of the trace.
        state: the caller's `tracestate`.
        computed: what batches have computed for it, the first ones only.
    """

    __slots__ = ("computed", "parent", "span", "state")

    # A stream can have any number of requests, and the whole catalogue any number of slices.
    _MOST_COMPUTED = 64

    def __init__(self, parent: TraceParent | None, state: str) -> None:
        self.parent = parent
        self.state = state
        self.span = new_span(None if parent is None else parent.trace_id)
        self.computed: list[Computed] = []

    def add(self, computed: Computed) -> None:
        """Notes what a batch has computed."""
        if len(self.computed) < self._MOST_COMPUTED:
            self.computed.append(computed)


class BatchTrace(NamedTuple):
    """A batch with requests that are traced. Times as above.

    Attributes:
        span: its own span.
        started: when it was started.
        ended: when its scores were there.
        requests: how many jobs it had, traced or not.
        candidates: how many candidates.
        computed_rows: the same with those that only fill up the shapes.
        calls: the spans of those that are traced.
    """

    span: TraceParent
    started: float
    ended: float
    requests: int
    candidates: int
    computed_rows: int
    calls: list[TraceParent]


def new_span(trace_id: int | None = None) -> TraceParent:
    """The ids of a span, in a trace or in one of its own."""
    numbers = random.getrandbits  # nobody has to guess them
    return TraceParent(trace_id or numbers(128) | 1, numbers(64) | 1, sampled=True)
