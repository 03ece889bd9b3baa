"""Where in a trace a call stands, as W3C Trace Context writes it (https://www.w3.org/TR/trace-context/).

Read without OpenTelemetry, which takes longer for it than the rest of a call's being looked at.
"""

import re
from typing import NamedTuple

HEADER = "traceparent"
STATE_HEADER = "tracestate"
_SAMPLED = 1
# A later version may have more behind it.
_PARENT = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)


class TraceParent(NamedTuple):
    """The caller's span.

    Attributes:
        trace_id: 128 bits, not 0.
        span_id: 64 bits, not 0.
        sampled: whether the caller's trace is recorded.
    """

    trace_id: int
    span_id: int
    sampled: bool


def parse_parent(value: str | bytes) -> TraceParent | None:
    """What `traceparent` says; None where that is nothing that may be used."""
    match = _PARENT.fullmatch(value) if isinstance(value, str) else None
    if match is None or match["version"] == "ff" or (match["version"] == "00" and match["more"]):
        return None
    trace_id, span_id = int(match["trace"], 16), int(match["span"], 16)
    if not trace_id or not span_id:
        return None
    return TraceParent(trace_id, span_id, bool(int(match["flags"], 16) & _SAMPLED))
