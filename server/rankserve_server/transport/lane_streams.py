"""The calls of the direct lane that bring a stream of requests; see `lane_calls`."""

from abc import abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Any

from rankserve_server.errors import NotReadyError
from rankserve_server.protocols.service import ScoredStream
from rankserve_server.score_job import ScoreJob
from rankserve_server.service.conversion import encoded_refusal
from rankserve_server.service.plain_requests import PlainRequest
from rankserve_server.service.planning import Planned
from rankserve_server.transport import grpc_core
from rankserve_server.transport.lane_calls import LaneCall, Notice, nothing

if TYPE_CHECKING:
    from rankserve_server.metrics.call_counts import MethodCounts
    from rankserve_server.transport.lane import Lane


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
        grpc_core.send_start(self._call, Notice(nothing))
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
            self._fail(error, started=True, tag=Notice(nothing))
        else:
            self._count_end(grpc_core.OK)
            grpc_core.send_status(
                self._call, grpc_core.OK, "", self._trailers(), started=True, close_watched=True, tag=Notice(nothing)
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
        return self._lane.planner.plan_message(message, plain, self.deadline)

    def refusal_of(self, message: bytes, error: Exception) -> bytes:
        return encoded_refusal(message, error)


class ScoredStreamCall(StreamCall):
    """A call of another protocol."""

    __slots__ = ("_scored",)

    def __init__(self, lane: "Lane", arrival: Any, counts: "MethodCounts | None", scored: ScoredStream) -> None:
        super().__init__(lane, arrival, counts)
        self._scored = scored

    def plan(self, message: bytes, _plain: PlainRequest | None) -> Planned:
        return self._scored.plan(message, self.deadline)

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
                if self._call.seen is not None:
                    self._call.seen.answered(self._planned, self.message, self.response)
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
        if (refusal := self._lane.jobs.refusal(self._call.deadline)) is not None:
            raise refusal
        self._planned = self._call.plan(self.message, plain)
        jobs = self._planned.jobs
        if self._call.seen is not None:
            self._call.seen.planned(jobs)
        for job in jobs:
            job.on_done = self._note_scored
        self._lane.jobs.add(*jobs)
        return jobs

    def _note_scored(self, _job: ScoreJob) -> None:
        self._lane.scored.append(self)
