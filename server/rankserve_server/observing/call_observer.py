"""Looks at calls and tells of them, on a thread of its own: no call waits for a file or a collector."""

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from rankserve_server.observing.request_id import HEADER, RequestIds, taken_id
from rankserve_server.observing.seen_call import SeenCall
from rankserve_server.request_log.entries import KeptRequest
from rankserve_server.tracing import trace_context
from rankserve_server.tracing.call_trace import BatchTrace, CallTrace, Computed, new_span

if TYPE_CHECKING:
    from rankserve_server.logs.access_log import AccessLog
    from rankserve_server.metrics.observer_counts import ObserverCounts
    from rankserve_server.request_log.request_log import RequestLog
    from rankserve_server.score_batch import ScoreBatch
    from rankserve_server.service.exchanges import Exchange
    from rankserve_server.tracing.load_trace import LoadTrace, SwapTrace
    from rankserve_server.tracing.sampling import Sampling
    from rankserve_server.tracing.spans import Spans

_log = logging.getLogger(__name__)

_Some = TypeVar("_Some")
Told: TypeAlias = "SeenCall | BatchTrace | LoadTrace | SwapTrace"
# What is over these is dropped and counted.
_MOST_TOLD = 16_384
_MOST_KEPT_BYTES = 64 * 1024 * 1024
# How long what is noted waits to be told: to wake the thread for every call would cost the calls more.
_TELL_EVERY_SECONDS = 0.1
_STOP_SECONDS = 5.0
# Of the access log and of the request log: some hundred microseconds of work.
_LINES_AT_ONCE, _KEPT_AT_ONCE = 32, 2
_CANCELLED = 1
# Probes come all the time: those that go well are told to nobody.
_PROBES = ("/grpc.health.v1.Health/", "/inference.GRPCInferenceService/Server")


class CallObserver:
    """Begins, keeps and tells. Any thread may call; one thread of its own tells."""

    def __init__(
        self,
        counts: "ObserverCounts",
        access_log: "AccessLog | None",
        request_log: "RequestLog | None",
        spans: "Spans | None",
        sampling: "Sampling | None",
        log_share: float,
        keep_share: float,
    ) -> None:
        """Tells nothing before `start`.

        Args:
            counts: what had to be dropped.
            access_log: gets every call that is logged; None for nobody.
            request_log: gets requests with their answers; likewise.
            spans: gets what is traced; likewise.
            sampling: decides what that is; None for nothing.
            log_share: of calls that end well, those that the access log has.
            keep_share: likewise of the request log.
        """
        self._counts = counts
        self._access_log = access_log
        self._request_log = request_log
        self._spans = spans
        self._sampling = sampling
        self._log_share = 0.0 if access_log is None else log_share
        self._keep_share = 0.0 if request_log is None else keep_share
        self._ids = RequestIds()
        self._told: deque[Told] = deque()
        self._kept: deque[KeptRequest] = deque()
        self._kept_bytes = 0
        self._keeping = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rankserve-observer", daemon=True)

    def begin(self, method: str, metadata: Iterable[tuple[str, str | bytes]]) -> SeenCall:
        """A call that has come: `/package.Service/Method`, and what came with it."""
        request_id, parent, state = None, None, ""
        for key, value in metadata:
            if key == HEADER:
                request_id = taken_id(value)
            elif key == trace_context.HEADER:
                parent = trace_context.parse_parent(value)
            elif key == trace_context.STATE_HEADER and isinstance(value, str):
                state = value
        trace, is_logged, is_kept = None, False, False
        if not method.startswith(_PROBES):
            if self._sampling is not None and self._sampling.takes(parent):
                trace = CallTrace(parent, state)
            is_logged = _drawn(self._log_share)
            is_kept = _drawn(self._keep_share)
        return SeenCall(self, method, request_id or self._ids.new(), parent, trace, is_logged, is_kept)

    def tell(self, told: Told) -> None:
        """Takes what has ended, if somebody wants to know of it."""
        if isinstance(told, SeenCall):
            told.is_logged = told.is_logged or (self._access_log is not None and _failed(told))
            if told.trace is None and not told.is_logged:
                return
        if len(self._told) >= _MOST_TOLD:
            self._counts.dropped["queue_full"] += 1
        else:
            self._told.append(told)

    def keep(self, call: SeenCall, size: int, exchanges: "Iterator[Exchange]") -> None:
        """Takes a request of a call with its answer, both of which have `size` bytes."""
        with self._keeping:
            if self._kept_bytes + size > _MOST_KEPT_BYTES:
                self._counts.dropped["queue_full"] += 1
                return
            self._kept_bytes += size
        self._kept.append(KeptRequest(time.time(), call.method, call.request_id, size, exchanges))

    def batch_finished(self, batch: "ScoreBatch") -> None:
        """Notes for the calls that are traced what a batch has computed for them; the batch becomes a span as well."""
        if self._sampling is None:
            return
        traced = [(piece, trace) for piece in batch.slices if (trace := piece.job.trace) is not None]
        if not traced:
            return
        span, ended = new_span(), time.monotonic()
        for piece, trace in traced:
            queued = piece.job.queued_at if not piece.start else batch.started
            trace.add(Computed(queued, batch.started, ended, span, piece.count))
        calls = list(dict.fromkeys(trace.span for _, trace in traced))
        self.tell(BatchTrace(span, batch.started, ended, len(batch.slices), batch.count, batch.computed_rows, calls))

    def start(self) -> None:
        """Tells from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Tells what is left, for some seconds at most."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)
        if self._spans is not None:
            self._spans.close()

    def _run(self) -> None:
        while not self._stopping.wait(_TELL_EVERY_SECONDS):
            self._tell_all()
        self._tell_all()
        for log in (self._access_log, self._request_log):
            if log is not None:
                log.close()

    def _tell_all(self) -> None:
        told = _taken(self._told)
        kept = _taken(self._kept)
        if kept:
            with self._keeping:
                self._kept_bytes -= sum(each.size for each in kept)
        # Some at a time: to write lets those answer who wait for the interpreter.
        if self._access_log is not None:
            calls = [each for each in told if isinstance(each, SeenCall) and each.is_logged]
            for some in _parts(calls, _LINES_AT_ONCE):
                self._try(self._access_log.write, some)
        if self._request_log is not None:
            for few in _parts(kept, _KEPT_AT_ONCE):
                self._try(self._request_log.write, few)
        if self._spans is not None:
            for each in told:
                self._try(self._spans.add, each)
                time.sleep(0)  # likewise

    def _try(self, tell: Callable[[_Some], None], what: _Some) -> None:
        try:
            tell(what)
        except Exception:  # whatever it is, it must not end the thread
            _log.exception("Telling of calls failed.")


def _failed(call: SeenCall) -> bool:
    """Who watches the health ends that with a cancellation."""
    is_probe = call.method.startswith(_PROBES)
    return call.code > (_CANCELLED if is_probe else 0)


def _drawn(share: float) -> bool:
    return share >= 1 or (share > 0 and random.random() < share)  # noqa: S311, nobody has to guess it


def _parts(all_: list[_Some], size: int) -> Iterator[list[_Some]]:
    return (all_[start : start + size] for start in range(0, len(all_), size))


def _taken(queue: "deque[_Some]") -> list[_Some]:
    return [queue.popleft() for _ in range(len(queue))]
