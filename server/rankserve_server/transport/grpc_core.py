"""The one module that uses grpcio's private API: its Cython layer over the C core.

grpcio's public servers hand every call through an event loop or a thread pool. Here one thread takes calls from a
completion queue of its own, beside the queue of a public `grpc.Server` on the same port.

The rules of the core that everything here keeps:

- An operation object is used in one batch only; using it again corrupts memory.
- A call's event is kept until the last batch of the call is done.
- What is registered is registered before the server starts.
"""

import logging
import time
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Protocol

import grpc
from grpc._cython import cygrpc  # type: ignore[attr-defined]  # private, so its stubs leave it out

_log = logging.getLogger(__name__)

# The releases that the tests ran on: of another one nobody knows that its private API is the same.
TESTED_GRPCIO = ("1.85.1", "1.85.3")

Metadata = Sequence[tuple[str, str | bytes]]
# Numbers of status codes.
OK = 0
CANCELLED = 1
_NO_FLAGS = 0
_CLOSED = cygrpc.CompletionType.queue_shutdown
_NO_EVENT = (cygrpc.CompletionType.queue_timeout, _CLOSED)


class Tag(Protocol):
    """What waits for an event."""

    def handle(self, event: Any) -> None:
        """Called once for each event that was asked for with this tag."""


def unsupported_reason() -> str | None:
    """Why this module cannot be used with the installed grpcio; None where it can."""
    installed = version("grpcio")
    if installed not in TESTED_GRPCIO:
        return f"grpcio {installed} is installed and the direct lane was tested with {', '.join(TESTED_GRPCIO)}"
    return None


class CallQueue:
    """A completion queue of a public server."""

    def __init__(self, server: grpc.Server, methods: Sequence[str]) -> None:
        """Takes methods away from the server's own queue; before it starts.

        Args:
            server: made by `grpc.server`, not started.
            methods: such as `/rankserve.v1.RankingService/Rank`.
        """
        self._core = server._state.server  # type: ignore[attr-defined]  # private, so its stubs leave it out
        self._queue = cygrpc.CompletionQueue()
        self._core.register_completion_queue(self._queue)
        for method in methods:
            self._core.register_method(method)

    def request_call(self, method: str, tag: Tag) -> None:
        """Asks for one call of a registered method; the started server gives it to `tag`."""
        self._core.request_registered_call(self._queue, self._queue, method, tag)

    def handle_events(self, wait: float, limit: int) -> None:
        """Hands every event that is there to its tag.

        Args:
            wait: where there is none, seconds to wait for one, without holding the GIL.
            limit: at most so many events.
        """
        poll = self._queue.poll
        event = poll(time.time() + wait if wait else 0)
        while event.completion_type not in _NO_EVENT:
            try:
                event.tag.handle(event)
            except Exception:  # whatever it is, it must not end the thread
                _log.exception("Handling an event of a call failed.")
            limit -= 1
            if not limit:
                break
            event = poll(0)

    def close(self) -> None:
        """Ends the queue, once the server has stopped: nothing of it may be in flight any more."""
        self._queue.shutdown()
        while self._queue.poll().completion_type != _CLOSED:
            pass


def receive_message(call: Any, tag: Tag) -> None:
    """Asks for the next message of a call; see `message_of`."""
    call.start_server_batch((cygrpc.ReceiveMessageOperation(_NO_FLAGS),), tag)


def message_of(event: Any) -> bytes | None:
    """The message that arrived; None where the client has sent its last one, or has gone."""
    message: bytes | None = event.batch_operations[0].message()
    return message


def watch_close(call: Any, tag: Tag) -> None:
    """Asks to be told when the call is over; see `was_cancelled`."""
    call.start_server_batch((cygrpc.ReceiveCloseOnServerOperation(_NO_FLAGS),), tag)


def was_cancelled(event: Any) -> bool:
    """Whether the client has cancelled, its deadline has passed or its connection has gone."""
    return bool(event.batch_operations[0].cancelled())


def send_start(call: Any, tag: Tag) -> None:
    """Sends the initial metadata of a call that answers with several messages."""
    call.start_server_batch((cygrpc.SendInitialMetadataOperation(None, _NO_FLAGS),), tag)


def send_message(call: Any, message: bytes, tag: Tag) -> None:
    """Sends one of several messages; the next one may follow once this one is done."""
    call.start_server_batch((cygrpc.SendMessageOperation(message, _NO_FLAGS),), tag)


def send_answer(call: Any, message: bytes, close_watched: bool, tag: Tag, trailing: Metadata = ()) -> None:
    """Sends the only message of a call and ends it with OK."""
    operations = [
        cygrpc.SendInitialMetadataOperation(None, _NO_FLAGS),
        cygrpc.SendMessageOperation(message, _NO_FLAGS),
        cygrpc.SendStatusFromServerOperation(trailing, cygrpc.StatusCode.ok, b"", _NO_FLAGS),
    ]
    if not close_watched:
        operations.append(cygrpc.ReceiveCloseOnServerOperation(_NO_FLAGS))
    call.start_server_batch(operations, tag)


def send_status(
    call: Any, code: int, message: str, trailing: Metadata, started: bool, close_watched: bool, tag: Tag
) -> None:
    """Ends a call with a status and no further message.

    Args:
        call: of an event.
        code: number of the status.
        message: for people.
        trailing: metadata; a key that ends in `-bin` has bytes as its value.
        started: whether `send_start` was called.
        close_watched: whether `watch_close` was called.
        tag: gets the event.
    """
    operations = [] if started else [cygrpc.SendInitialMetadataOperation(None, _NO_FLAGS)]
    operations.append(cygrpc.SendStatusFromServerOperation(tuple(trailing), code, message.encode(), _NO_FLAGS))
    if not close_watched:
        operations.append(cygrpc.ReceiveCloseOnServerOperation(_NO_FLAGS))
    call.start_server_batch(operations, tag)
