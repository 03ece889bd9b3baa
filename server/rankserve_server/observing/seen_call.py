"""One call, as those see it who write of calls."""

import time
from contextvars import ContextVar
from typing import TYPE_CHECKING

from rankserve_server.observing.request_id import HEADER
from rankserve_server.tracing.call_trace import CallTrace
from rankserve_server.tracing.trace_context import TraceParent

if TYPE_CHECKING:
    from rankserve_server.observing.call_observer import CallObserver
    from rankserve_server.score_job import ScoreJob
    from rankserve_server.service.planning import Planned


class SeenCall:
    """Noted while a call is answered, told when it has ended. Times are on the clock of `time.monotonic`, in seconds.

    Attributes:
        method: `/package.Service/Method`.
        request_id: the caller's, or a new one.
        parent: the caller's span; None where he has none.
        trace: what is noted for spans; None where the call is not traced.
        is_logged: whether the access log has it where it ends well.
        is_kept: whether the request log has it where it ends well.
        began: when it came.
        ended: when its status was known.
        code: number of its status.
        requests: how many requests of it were planned: of a batch or a stream there may be many.
        candidates: of all of them.
        queue_seconds: from the first one's queueing to its first batch; None where nothing was queued.
        model: the name of the model that has answered the first one; "" where none has.
        version: of it.
    """

    __slots__ = (
        "_first_job",
        "_observer",
        "began",
        "candidates",
        "code",
        "ended",
        "is_kept",
        "is_logged",
        "method",
        "model",
        "parent",
        "queue_seconds",
        "request_id",
        "requests",
        "trace",
        "version",
    )

    def __init__(
        self,
        observer: "CallObserver",
        method: str,
        request_id: str,
        parent: TraceParent | None,
        trace: CallTrace | None,
        is_logged: bool,
        is_kept: bool,
    ) -> None:
        self._observer = observer
        self._first_job: ScoreJob | None = None
        self.method = method
        self.request_id = request_id
        self.parent = parent
        self.trace = trace
        self.is_logged = is_logged
        self.is_kept = is_kept
        self.began = time.monotonic()
        self.ended = 0.0
        self.code = -1
        self.requests = 0
        self.candidates = 0
        self.queue_seconds: float | None = None
        self.model = ""
        self.version = 0

    @property
    def trailers(self) -> tuple[tuple[str, str], ...]:
        """What the caller gets to know of it."""
        return ((HEADER, self.request_id),)

    def planned(self, jobs: "list[ScoreJob]") -> None:
        """Notes a request's jobs, before they are queued."""
        self.requests += 1
        for job in jobs:
            self.candidates += job.count
            job.trace = self.trace
        if jobs and self._first_job is None:
            self._first_job = jobs[0]
            self.model, self.version = jobs[0].model, jobs[0].version

    def answered(self, planned: "Planned", message: bytes, answer: bytes) -> None:
        """Notes a request that was answered well: what it was planned as, its bytes and those of its answer."""
        if self.is_kept:
            self._observer.keep(self, len(message) + len(answer), planned.exchanges(message, answer))

    def end(self, code: int) -> None:
        """Tells of the call, once."""
        if self.code >= 0:
            return
        self.code = code
        self.ended = time.monotonic()
        job, self._first_job = self._first_job, None
        # Who knows the job is known by it: see `ScoreJob.tell`.
        if job is not None and job.started_at:
            self.queue_seconds = job.started_at - job.queued_at
        self._observer.tell(self)


# On grpcio's public servers: the call that the running task or thread answers.
CURRENT: ContextVar[SeenCall | None] = ContextVar("rankserve_seen_call", default=None)


def with_trailers_of_call(trailers: tuple[tuple[str, str | bytes], ...]) -> tuple[tuple[str, str | bytes], ...]:
    """What the current call sends, and more: grpcio keeps only what is set last, and not all of it can be asked."""
    call = CURRENT.get()
    return trailers if call is None else (*call.trailers, *trailers)


def current_request_id() -> str:
    """Of the current call; "" where nobody sees it."""
    call = CURRENT.get()
    return "" if call is None else call.request_id
