"""What the direct lane answers beside ranking: the health service, reflection, and what other protocols have like them.

Probes have to be answered whatever else there is to do, and calls that stay open must cost next to nothing: the threads
of the public server, one for each call, would not do. All of this runs on the lane's thread.
"""

from typing import TYPE_CHECKING, Any

from rankserve_server.errors import InvalidRequestError, RequestError, Violation
from rankserve_server.protocols.service import Answer
from rankserve_server.transport import grpc_core
from rankserve_server.transport.lane_calls import LaneCall, Notice

if TYPE_CHECKING:
    from rankserve_server.metrics.call_counts import MethodCounts
    from rankserve_server.transport.lane import Lane


class _ServiceCall(LaneCall):
    """A call that is answered at once, wherever the lane is."""

    __slots__ = ()

    def start(self) -> None:
        grpc_core.receive_message(self._call, Notice(self._on_message))

    def _on_message(self, event: Any) -> None:
        message = grpc_core.message_of(event)
        try:
            if message is None:
                raise InvalidRequestError(Violation("", "the call ended without a request"))
            self._count_received()
            self._handle(message)
        except Exception as error:  # a bug too must reach the client as a status
            self._fail(error, started=False, tag=Notice(self._on_end))

    def _handle(self, message: bytes) -> None:
        """Answers the request."""
        raise NotImplementedError

    def _answer(self, message: bytes) -> None:
        grpc_core.send_answer(self._call, message, self._close_watched, Notice(self._on_end), self._trailers())
        self._count_sent()
        self._count_end(grpc_core.OK)

    def _on_end(self, _event: Any) -> None:
        """The answer has gone: until then this keeps the call."""


class HealthCheckCall(_ServiceCall):
    """A call of Check."""

    __slots__ = ()

    def _handle(self, message: bytes) -> None:
        self._answer(self._lane.health.check(message))


class HealthListCall(_ServiceCall):
    """A call of List."""

    __slots__ = ()

    def _handle(self, message: bytes) -> None:
        self._answer(self._lane.health.list(message))


class AnsweredCall(_ServiceCall):
    """A call of another protocol that needs no scores."""

    __slots__ = ("_make_answer",)

    def __init__(self, lane: "Lane", arrival: Any, counts: "MethodCounts | None", answer: Answer) -> None:
        super().__init__(lane, arrival, counts)
        self._make_answer = answer

    def _handle(self, message: bytes) -> None:
        self._answer(self._make_answer(message))


class OpenCall(_ServiceCall):
    """A call that stays open until its client goes or the server stops; it then is one of `lane.open_calls`."""

    __slots__ = ("_over", "_sending")

    def __init__(self, lane: "Lane", arrival: Any, counts: "MethodCounts | None") -> None:
        super().__init__(lane, arrival, counts)
        self._over = False
        self._sending = False

    def look(self) -> None:
        """The health has changed."""

    def end(self, error: RequestError | None) -> None:
        """Ends the call, with OK where nothing is wrong."""
        if self._over:
            return
        self._leave()
        if error is None:
            self._count_end(grpc_core.OK)
            grpc_core.send_status(
                self._call,
                grpc_core.OK,
                "",
                self._trailers(),
                started=True,
                close_watched=True,
                tag=Notice(self._on_end),
            )
        else:
            self._fail(error, started=True, tag=Notice(self._on_end))

    def _open(self) -> None:
        self._lane.open_calls.add(self)
        self._close_watched = True
        grpc_core.watch_close(self._call, Notice(self._on_close))
        grpc_core.send_start(self._call, Notice(self._on_end))

    def _send(self, message: bytes) -> None:
        self._sending = True
        grpc_core.send_message(self._call, message, Notice(self._on_sent))

    def _on_sent(self, _event: Any) -> None:
        self._sending = False
        self._count_sent()

    def _on_close(self, event: Any) -> None:
        if grpc_core.was_cancelled(event) and not self._over:
            self._count_end(grpc_core.CANCELLED)
            self._leave()

    def _leave(self) -> None:
        self._over = True
        self._lane.open_calls.discard(self)


class HealthWatchCall(OpenCall):
    """A call of Watch: it is told the status whenever that changes."""

    __slots__ = ("_service", "_told")

    def _handle(self, message: bytes) -> None:
        self._service = self._lane.health.service_of(message)
        self._told = b""
        self._open()
        self.look()

    def look(self) -> None:
        status = self._lane.health.watched(self._service)
        if status != self._told and not self._sending:
            self._told = status
            self._send(status)

    def _on_sent(self, event: Any) -> None:
        super()._on_sent(event)
        if not self._over:
            self.look()


class ReflectionCall(OpenCall):
    """A call of ServerReflectionInfo: each message is answered before the next one is read."""

    __slots__ = ()

    def start(self) -> None:
        self._open()
        self._read()

    def _read(self) -> None:
        grpc_core.receive_message(self._call, Notice(self._on_message))

    def _on_message(self, event: Any) -> None:
        message = grpc_core.message_of(event)
        if self._over:
            return
        if message is None:
            self.end(None)
            return
        self._count_received()
        try:
            self._send(self._lane.reflect(message))
        except InvalidRequestError as error:
            self.end(error)

    def _on_sent(self, event: Any) -> None:
        super()._on_sent(event)
        if not self._over:
            self._read()
