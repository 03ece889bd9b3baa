"""A line of JSON for each call: what it was, how it ended, how long it took. No ids of users or items, no metadata."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import grpc
import msgspec

from rankserve_server.logs.wall_time import wall_time
from rankserve_server.observing.seen_call import SeenCall

if TYPE_CHECKING:
    from rankserve_server.logs.line_file import LineFile, LineStream
    from rankserve_server.metrics.observer_counts import ObserverCounts

# Callers can ask for methods of any name, which the server does not have.
_LONGEST_METHOD = 200
_CODE_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}


class AccessLog:
    """Writes the lines, each of the same keys; null is what there was none of."""

    def __init__(self, file: "LineFile | LineStream", counts: "ObserverCounts") -> None:
        self._file = file
        self._counts = counts

    def write(self, calls: Sequence[SeenCall]) -> None:
        """Adds a line for each of them."""
        offset = time.time() - time.monotonic()
        if not self._file.add(b"".join(_line(call, offset) for call in calls)):
            self._counts.dropped["write"] += len(calls)

    def close(self) -> None:
        """Ends it."""
        self._file.close()


def _line(call: SeenCall, offset: float) -> bytes:
    trace = call.trace.span if call.trace is not None else call.parent
    fields = {
        "time": wall_time(call.began + offset),
        "method": call.method.removeprefix("/")[:_LONGEST_METHOD],
        "code": _CODE_NAMES.get(call.code, "UNKNOWN"),
        "duration_ms": round((call.ended - call.began) * 1e3, 3),
        "queue_ms": None if call.queue_seconds is None else round(call.queue_seconds * 1e3, 3),
        "requests": call.requests,
        "candidates": call.candidates,
        "model": call.model or None,
        "version": call.version or None,
        "request_id": call.request_id,
        "trace_id": None if trace is None else f"{trace.trace_id:032x}",
    }
    return msgspec.json.encode(fields) + b"\n"
