"""The calls of the direct lane, as the states that they go through. Everything here runs on the lane's thread."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from rankserve_server.errors import InvalidRequestError, Violation
from rankserve_server.score_job import ScoreJob
from rankserve_server.service.plain_requests import PlainRequest
from rankserve_server.service.planning import PlanMessage, Planned
from rankserve_server.service.status import call_status_of
from rankserve_server.transport import grpc_core

if TYPE_CHECKING:
    from rankserve_server.metrics.call_counts import MethodCounts
    from rankserve_server.observing.seen_call import SeenCall
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
    """What all calls have in common.

    Attributes:
        deadline: the caller's, on the clock of `time.monotonic`; infinite where there is none.
        seen: what is noted of it; None where nobody sees calls.
    """

    __slots__ = ("_arrival", "_arrived", "_call", "_close_watched", "_counts", "_lane", "deadline", "seen")

    def __init__(self, lane: "Lane", arrival: Any, counts: "MethodCounts | None") -> None:
        """A call that has arrived; `counts` is where it counts, None where nobody does."""
        self._lane = lane
        self._counts = counts
        if counts is not None:
            counts.started += 1
        self._arrived = time.monotonic()
        # At once: the core tells it by the wall clock, which may jump later.
        self.deadline: float = arrival.call_details.deadline - time.time() + self._arrived
        # Kept until the call is over: the core writes into what it owns.
        self._arrival = arrival
        self._call = arrival.call
        self._close_watched = False
        self.seen: SeenCall | None = None

    @abstractmethod
    def start(self) -> None:
        """Asks for the first message."""

    def refuse(self, error: Exception) -> None:
        """Ends the call before it starts."""
        self._fail(error, started=False, tag=Notice(nothing))

    def _count_received(self) -> None:
        if self._counts is not None:
            self._counts.received += 1

    def _count_sent(self) -> None:
        if self._counts is not None:
            self._counts.sent += 1

    def _count_end(self, code: int) -> None:
        if self._counts is not None:
            self._counts.ended(code, self._arrived)
        if self.seen is not None:
            self.seen.end(code)

    def _trailers(self) -> grpc_core.Metadata:
        """What is sent with the status, whatever that is."""
        return () if self.seen is None else self.seen.trailers

    def _fail(self, error: Exception, started: bool, tag: grpc_core.Tag) -> None:
        code, message, trailers = call_status_of(error, "" if self.seen is None else self.seen.request_id)
        self._count_end(code.value[0])
        trailers = (*trailers, *self._trailers())
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
        # What has to be refused in any case is refused before it is read. Others are before it, and they are in the
        # queue only once their messages have come and are planned.
        lane = self._lane
        if not self._refused(coming=len(lane.expected) + len(lane.arrived)):
            lane.expected[self] = self._arrived
            grpc_core.receive_message(self._call, self)

    def handle(self, event: Any) -> None:
        """The message has come, or the answer has gone."""
        self._lane.expected.pop(self, None)
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
        refusal = None if lane.draining else lane.jobs.refusal(self.deadline, coming)
        if refusal is None:
            return False
        lane.refusals.count()
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
            trailing = () if self.seen is None else self.seen.trailers
            grpc_core.send_answer(self._call, self._answer, self._close_watched, self, trailing)
            if self._counts is not None:
                self._counts.just_answered.append(self._arrived)
            if self.seen is not None:
                self.seen.answered(self._planned, self.message or b"", self._answer)
                self.seen.end(grpc_core.OK)
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
        if self.seen is not None:
            self.seen.planned(jobs)
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
        return self._lane.planner.plan_message(message, plain, self.deadline)


class BatchCall(_UnaryCall):
    """A call of BatchRank."""

    __slots__ = ()

    def _plan(self, message: bytes, _plain: PlainRequest | None) -> Planned:
        return self._lane.planner.plan_batch_rank(message, self.deadline)


class ScoredCall(_UnaryCall):
    """A call of another protocol that needs scores."""

    __slots__ = ("_plan_message",)

    def __init__(self, lane: "Lane", arrival: Any, counts: "MethodCounts | None", plan: PlanMessage) -> None:
        super().__init__(lane, arrival, counts)
        self._plan_message = plan

    def _plan(self, message: bytes, _plain: PlainRequest | None) -> Planned:
        return self._plan_message(message, self.deadline)


class Notice:
    """A tag that hands its event to a function."""

    __slots__ = ("handle",)

    def __init__(self, handle: Callable[[Any], None]) -> None:
        self.handle = handle


def nothing(_event: Any) -> None:
    """For events that call for nothing."""
