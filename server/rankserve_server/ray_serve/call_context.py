"""A call of Ray Serve, as the handlers of grpcio's servers see calls."""

from collections.abc import Iterable
from typing import NoReturn

import grpc
from ray.serve.grpc_util import RayServegRPCContext

Trailers = Iterable[tuple[str, str | bytes]]


class CallEndedError(Exception):
    """The call has got its status."""


class ThreadCallContext:
    """For a handler on a thread."""

    def __init__(self, context: RayServegRPCContext) -> None:
        self._context = context
        self._trailers: Trailers = ()

    def code(self) -> grpc.StatusCode | int:
        """The status, as far as it is known."""
        code: grpc.StatusCode | int = self._context.code()
        return code

    def time_remaining(self) -> None:
        """Ray's proxy keeps the caller's deadline to itself; it cancels the call when it has passed."""

    def set_trailing_metadata(self, trailers: Trailers) -> None:
        """What goes with the status."""
        self._trailers = trailers

    def abort(self, code: grpc.StatusCode, message: str) -> NoReturn:
        """Ends the call."""
        end_call(self._context, code, message, self._trailers)


class CallContext:
    """For a handler on the event loop."""

    def __init__(self, context: RayServegRPCContext, message: bytes | None) -> None:
        self._context = context
        self._message = message

    async def read(self) -> bytes | None:
        """The one request of a unary call."""
        return self._message

    def code(self) -> grpc.StatusCode | int:
        """The status, as far as it is known."""
        code: grpc.StatusCode | int = self._context.code()
        return code

    def time_remaining(self) -> None:
        """See `ThreadCallContext`."""

    async def abort(self, code: grpc.StatusCode, message: str, trailers: Trailers = ()) -> NoReturn:
        """Ends the call."""
        end_call(self._context, code, message, trailers)


def end_call(context: RayServegRPCContext, code: grpc.StatusCode, message: str, trailers: Trailers) -> NoReturn:
    """Gives a call its status.

    Raises:
        CallEndedError: always.
    """
    context.set_code(code)
    context.set_details(message)
    context.set_trailing_metadata(list(trailers))
    raise CallEndedError(message)
