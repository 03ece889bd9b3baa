"""The calls of the direct lane, as the states that they go through. Everything here runs on the lane's thread."""

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from rankserve_server.errors import InvalidRequestError, NotReadyError, Violation
from rankserve_server.protocols.service import ScoredStream
from rankserve_server.score_job import ScoreJob
from rankserve_server.service.conversion import encoded_refusal
from rankserve_server.service.plain_requests import PlainRequest
from rankserve_server.service.planning import PlanMessage, Planned
from rankserve_server.service.status import call_status_of
from rankserve_server.transport import grpc_core

if TYPE_CHECKING:
    from rankserve_server.metrics.call_counts import MethodCounts
    from rankserve_server.transport.lane import Lane

# From so many queued candidates on, some milliseconds of work, a call is dropped when its client goes. To watch for
# that costs as much as to score a few candidates.
_WATCHED_QUEUE = 8 * 1_024


class Request(Protocol):
    """A request on its way through the rounds of the lane; each step is done for all requests of a round together."""

    @property
    def message(self) -> bytes | None:
        """Its bytes; None where the client has sent none."""

    def plan(self, plain: PlainRequest | None) -> None:
        """Queues what has to be scored.

        Args:
            plain: what `decode_plain` made of the message.
        """

    def encode(self) -> None:
        """Makes the answer, once everything is scored."""

    def send(self) -> None:
        """Sends the answer."""


class LaneCall(ABC):
    """What all calls have in common."""

    __slots__ = ("_arrival", "_arrived", "_call", "_close_watched", "_counts", "_lane")

    def __init__(self, lane: "Lane", arrival: Any, counts: "MethodCounts | None") -> None:
        """A call that has arrived; `counts` is where it counts, None where nobody does."""
        self._lane = lane
        self._counts = counts
        if counts is not None:
            counts.started += 1
            self._arrived = time.monotonic()
        # Kept until the call is over: the core writes into what it owns.
        self._arrival = arrival
        self._call = arrival.call
        self._close_watched = False

    @abstractmethod
    def start(self) -> None:
        """Asks for the first message."""

    def refuse(self, error: Exception) -> None:
        """Ends the call before it starts."""
        self._fail(error, started=False, tag=Notice(_nothing))

    def deadline(self) -> float:
        """The caller's deadline on the clock of `time.monotonic`; infinite where there is none."""
        deadline: float = self._arrival.call_details.deadline
        return deadline - time.time() + time.monotonic()

    def _count_received(self) -> None:
        if self._counts is not None:
            self._counts.received += 1

    def _count_sent(self) -> None:
        if self._counts is not None:
            self._counts.sent += 1

    def _count_end(self, code: int) -> None:
        if self._counts is not None:
            self._counts.ended(code, self._arrived)

    def _fail(self, error: Exception, started: bool, tag: grpc_core.Tag) -> None:
        code, message, trailers = call_status_of(error)
        self._count_end(code.value[0])
        grpc_core.send_status(self._call, code.value[0], message, trailers, started, self._close_watched, tag)


class _UnaryCall(LaneCall):
    """One message in, one out. It is its own tag: first for the message, then for the end of the answer."""

    __slots__ = ("_answer", "_error", "_planned", "_sent", "_waiting", "message")

    def __init__(self, lane: "Lane", arrival: Any, counts: "MethodCounts | None") -> None:
        super().__init__(lane, arrival, counts)
        self.message: bytes | None = None
        self._planned: Planned
        self._waiting = 0
        self._answer = b""
        self._error: Exception | None = None
        self._sent = False

    def start(self) -> None:
        # What has to be refused in any case is refused before it is read. Others of this round are before it, and they
        # are in the queue only once they are planned.
        lane = self._lane
        if not self._refused(coming=lane.accepted):
            lane.accepted += 1
            grpc_core.receive_message(self._call, self)

    def handle(self, event: Any) -> None:
        """The message has come, or the answer has gone."""
        if self._sent:
            self._lane.in_flight -= 1
        # Asked again, as its message may have come much later.
        elif not self._refused(coming=len(self._lane.arrived)):
            # Not before: a client that sends no message must not hold up a server that drains.
            self._lane.in_flight += 1
            self.message = grpc_core.message_of(event)
            self._lane.arrived.append(self)

    def _refused(self, coming: int) -> bool:
        """Refuses the call where there is no room for it; `coming` requests are before it and not queued yet."""
        lane = self._lane
        # One that drains tells it to go elsewhere.
        refusal = None if lane.draining else lane.jobs.refusal(self.deadline(), coming)
        if refusal is None:
            return False
        lane.in_flight += 1
        self._error = refusal
        self.send()
        return True

    def plan(self, plain: PlainRequest | None) -> None:
        try:
            self._queue_jobs(plain)
        except Exception as error:  # a bug too must reach the client as a status
            self._error = error
            self._lane.scored.append(self)

    def encode(self) -> None:
        if self._error is None:
            try:
                self._answer = self._planned.encoded_response()
            except Exception as error:  # as above
                self._error = error

    def send(self) -> None:
        self._sent = True
        if self._error is None:
            grpc_core.send_answer(self._call, self._answer, self._close_watched, self)
            if self._counts is not None:
                self._counts.answered(self._arrived)
        else:
            if self.message is not None:
                self._count_received()
            self._fail(self._error, started=False, tag=self)

    @abstractmethod
    def _plan(self, message: bytes, plain: PlainRequest | None) -> Planned:
        """Plans what the message asks for."""

    def _queue_jobs(self, plain: PlainRequest | None) -> None:
        if self.message is None:
            # The client has gone, or has sent none; then it is told.
            raise InvalidRequestError(Violation("", "the call ended without a request"))
        lane = self._lane
        lane.check_open()
        lane.planner.check_ready()
        self._planned = self._plan(self.message, plain)
        jobs = self._planned.jobs
        if not jobs:
            lane.scored.append(self)
            return
        self._waiting = len(jobs)
        for job in jobs:
            job.on_done = self._count_down
        lane.jobs.add(*jobs)
        if lane.jobs.queued_candidates > _WATCHED_QUEUE:
            # It will wait for a while, so it is worth knowing whether somebody still waits for it.
            self._close_watched = True
            grpc_core.watch_close(self._call, Notice(self._on_close))

    def _count_down(self, _job: ScoreJob) -> None:
        self._waiting -= 1
        if not self._waiting:
            self._lane.scored.append(self)

    def _on_close(self, event: Any) -> None:
        if grpc_core.was_cancelled(event):
            for job in self._planned.jobs:
                job.abandoned = True


class RankCall(_UnaryCall):
    """A call of Rank."""

    __slots__ = ()

    def _plan(self, message: bytes, plain: PlainRequest | None) -> Planned:
        return self._lane.planner.plan_message(message, plain, self.deadline())


class BatchCall(_UnaryCall):
    """A call of BatchRank."""

    __slots__ = ()

    def _plan(self, message: bytes, _plain: PlainRequest | None) -> Planned:
        return self._lane.planner.plan_batch_rank(message, self.deadline())


class ScoredCall(_UnaryCall):
    """A call of another protocol that needs scores."""

    __slots__ = ("_plan_message",)

    def __init__(self, lane: "Lane", arrival: Any, counts: "MethodCounts | None", plan: PlanMessage) -> None:
        super().__init__(lane, arrival, counts)
        self._plan_message = plan

    def _plan(self, message: bytes, _plain: PlainRequest | None) -> Planned:
        return self._plan_message(message, self.deadline())


class StreamCall(LaneCall):
    """A call with a stream of requests: several are answered at the same time, and the answers go out in order."""

    __slots__ = ("_answers", "_last_read", "_over", "_reading", "_sending")

    def __init__(self, lane: "Lane", arrival: Any, counts: "MethodCounts | None") -> None:
        super().__init__(lane, arrival, counts)
        self._answers: deque[_StreamAnswer] = deque()
        self._reading = False
        self._last_read = False
        self._sending = False
        self._over = False

    def start(self) -> None:
        try:
            self._lane.check_open()
            self._lane.planner.check_ready()
        except NotReadyError as error:
            self._over = True
            self.refuse(error)
            return
        self._lane.streams.add(self)
        self._close_watched = True
        grpc_core.watch_close(self._call, Notice(self._on_close))
        grpc_core.send_start(self._call, Notice(_nothing))
        self._read()

    @abstractmethod
    def plan(self, message: bytes, plain: PlainRequest | None) -> Planned:
        """Plans what one of its messages asks for."""

    @abstractmethod
    def refusal_of(self, message: bytes, error: Exception) -> bytes:
        """The answer to a message that cannot be answered otherwise."""

    def end_reading(self) -> None:
        """Takes no further request, because the server drains."""
        if not self._last_read:
            self._last_read = True
            self.send()

    def _read(self) -> None:
        """Asks for the next message, if there is room; a client that sends more waits in the core meanwhile."""
        room = len(self._answers) < self._lane.limits.max_stream_requests
        if room and not (self._reading or self._last_read or self._over):
            self._reading = True
            grpc_core.receive_message(self._call, Notice(self._on_message))

    def _on_message(self, event: Any) -> None:
        self._reading = False
        message = grpc_core.message_of(event)
        if message is None:
            self._last_read = True
        elif not self._over:
            self._count_received()
            self._lane.in_flight += 1
            answer = _StreamAnswer(self._lane, self, message)
            self._answers.append(answer)
            self._lane.arrived.append(answer)
        self.send()
        self._read()

    def send(self) -> None:
        """Sends the next answer, if it is ready and the one before it is out; the status after the last one."""
        if self._sending or self._over:
            return
        if self._answers:
            first = self._answers[0]
            if first.response is not None:
                self._sending = True
                grpc_core.send_message(self._call, first.response, Notice(self._on_sent))
        elif self._last_read:
            self._end()

    def _on_sent(self, _event: Any) -> None:
        self._sending = False
        if not self._over:
            self._count_sent()
            self._answers.popleft()
            self._lane.in_flight -= 1
            self.send()
            self._read()

    def _end(self) -> None:
        self._leave()
        try:
            self._lane.check_open()
        except NotReadyError as error:
            self._fail(error, started=True, tag=Notice(_nothing))
        else:
            self._count_end(grpc_core.OK)
            grpc_core.send_status(
                self._call, grpc_core.OK, "", (), started=True, close_watched=True, tag=Notice(_nothing)
            )

    def _on_close(self, event: Any) -> None:
        if grpc_core.was_cancelled(event) and not self._over:
            self._count_end(grpc_core.CANCELLED)
            self._leave()

    def _leave(self) -> None:
        """The call is over, for whatever reason: what is still being made is of no use."""
        self._over = True
        self._lane.streams.discard(self)
        self._lane.in_flight -= len(self._answers)
        for answer in self._answers:
            answer.abandon()
        self._answers.clear()


class RankStreamCall(StreamCall):
    """A call of RankStream."""

    __slots__ = ()

    def plan(self, message: bytes, plain: PlainRequest | None) -> Planned:
        return self._lane.planner.plan_message(message, plain, self.deadline())

    def refusal_of(self, message: bytes, error: Exception) -> bytes:
        return encoded_refusal(message, error)


class ScoredStreamCall(StreamCall):
    """A call of another protocol."""

    __slots__ = ("_scored",)

    def __init__(self, lane: "Lane", arrival: Any, counts: "MethodCounts | None", scored: ScoredStream) -> None:
        super().__init__(lane, arrival, counts)
        self._scored = scored

    def plan(self, message: bytes, _plain: PlainRequest | None) -> Planned:
        return self._scored.plan(message, self.deadline())

    def refusal_of(self, message: bytes, error: Exception) -> bytes:
        return self._scored.refuse(message, error)


class _StreamAnswer:
    """The answer to one request of a stream.

    Attributes:
        message: the request.
        response: the answer, serialised, once it is ready.
    """

    __slots__ = ("_abandoned", "_call", "_lane", "_planned", "message", "response")

    def __init__(self, lane: "Lane", call: StreamCall, message: bytes) -> None:
        self.response: bytes | None = None
        self._lane = lane
        self.message = message
        self._call = call
        self._planned: Planned | None = None
        self._abandoned = False

    def plan(self, plain: PlainRequest | None) -> None:
        if self._abandoned:
            return
        try:
            jobs = self._queue_jobs(plain)
        except Exception as error:  # the stream goes on
            self.response = self._call.refusal_of(self.message, error)
            jobs = []
        if not jobs:
            self._lane.scored.append(self)

    def encode(self) -> None:
        if self.response is None and self._planned is not None:
            try:
                self.response = self._planned.encoded_response()
            except Exception as error:  # the stream goes on
                self.response = self._call.refusal_of(self.message, error)

    def send(self) -> None:
        self._call.send()

    def abandon(self) -> None:
        """Nobody waits for it any more."""
        self._abandoned = True
        if self._planned is not None:
            for job in self._planned.jobs:
                job.abandoned = True

    def _queue_jobs(self, plain: PlainRequest | None) -> list[ScoreJob]:
        if (refusal := self._lane.jobs.refusal(self._call.deadline())) is not None:
            raise refusal
        self._planned = self._call.plan(self.message, plain)
        jobs = self._planned.jobs
        for job in jobs:
            job.on_done = self._note_scored
        self._lane.jobs.add(*jobs)
        return jobs

    def _note_scored(self, _job: ScoreJob) -> None:
        self._lane.scored.append(self)


class Notice:
    """A tag that hands its event to a function."""

    __slots__ = ("handle",)

    def __init__(self, handle: Callable[[Any], None]) -> None:
        self.handle = handle


def _nothing(_event: Any) -> None:
    """For events that call for nothing."""
