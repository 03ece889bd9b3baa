"""The calls that are being answered: how they fail, and how a server waits for the last of them."""

import asyncio
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeAlias, TypeVar

import grpc

from rankserve_server.errors import InvalidRequestError, NotReadyError, Violation
from rankserve_server.observing.seen_call import current_request_id, with_trailers_of_call
from rankserve_server.service.status import call_status_of

_Answer = TypeVar("_Answer")
Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]


class Calls:
    """Counts the calls in flight on one event loop.

    Attributes:
        count: how many there are.
        draining: set once no new call is answered.
    """

    def __init__(self) -> None:
        self.count = 0
        self.draining = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    async def answer(self, context: Context, answering: Awaitable[_Answer]) -> _Answer:
        """Awaits the answer to a unary call; an error becomes the call's status."""
        try:
            with self.in_flight():
                return await answering
        except Exception as error:  # a bug too must reach the client as a status, and the log with its traceback
            await fail(context, error)

    @contextmanager
    def in_flight(self) -> Iterator[None]:
        """Counts a call while it is answered."""
        self.count += 1
        self._idle.clear()
        try:
            yield
        finally:
            self.count -= 1
            if not self.count:
                self._idle.set()

    def check_open(self) -> None:
        """Refuses a new call while the server drains.

        Raises:
            NotReadyError: then.
        """
        if self.draining.is_set():
            raise NotReadyError("the server is shutting down; another one can answer")

    async def cancel_when_draining(self, task: "asyncio.Task[None]") -> None:
        """Cancels a task that would wait for a client without end."""
        await self.draining.wait()
        task.cancel()

    async def drain(self, grace: float) -> int:
        """Refuses new calls and waits for those in flight.

        Args:
            grace: at most so many seconds.

        Returns:
            How many calls were still in flight when the time was up.
        """
        self.draining.set()
        try:
            await asyncio.wait_for(self._idle.wait(), grace)
        except TimeoutError:
            return self.count
        return 0


async def fail(context: Context, error: Exception) -> NoReturn:
    """Ends a call with the status of an error and its `google.rpc` details."""
    code, message, trailers = call_status_of(error, current_request_id())
    await context.abort(code, message, with_trailers_of_call(trailers))
    raise AssertionError("abort returned")  # it never does; this tells the type checker


def deadline_of(context: Context) -> float:
    """The caller's deadline on the clock of `time.monotonic`; infinite where there is none."""
    remaining = context.time_remaining()
    return float("inf") if remaining is None else time.monotonic() + remaining


def message_read(read: object) -> bytes:
    """What `Context.read` has returned, where it is a message.

    Raises:
        InvalidRequestError: where it is none.
    """
    if isinstance(read, bytes):
        return read
    raise InvalidRequestError(Violation("", "the call ended without a request"))
