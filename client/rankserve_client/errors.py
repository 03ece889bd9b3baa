"""What goes wrong in a call, by gRPC status."""

# ruff: noqa: N818  # `except Overloaded` reads as what it is

from typing import NamedTuple

import grpc


class FieldViolation(NamedTuple):
    """What is wrong with one field of a request."""

    field: str
    description: str


class Resource(NamedTuple):
    """What a server was asked for and does not have."""

    type: str
    name: str
    description: str


class RankServeError(Exception):
    """A call failed, or one request of several was refused. Subclasses tell the statuses apart; this is the others.

    `str(error)` is one sentence for a log. Where the failure came through gRPC, `__cause__` is the `grpc.RpcError`.
    """

    def __init__(
        self,
        message: str,
        code: grpc.StatusCode = grpc.StatusCode.UNKNOWN,
        field_violations: tuple[FieldViolation, ...] = (),
        retry_after: float | None = None,
        resource: Resource | None = None,
        target: str = "",
        request_id: str = "",
    ) -> None:
        # Everything in `args`, so that the error survives pickling on its way between processes.
        super().__init__(message, code, field_violations, retry_after, resource, target, request_id)
        self.message = message
        """What was wrong and, where it is known, what to do."""
        self.code = code
        """The gRPC status."""
        self.field_violations = field_violations
        """The fields of the request that the server objects to, with what is wrong with each."""
        self.retry_after = retry_after
        """Seconds that the server asks to wait before another attempt; None where it does not say."""
        self.resource = resource
        """What the server does not have; None where it does not say."""
        self.target = target
        """The address or addresses of the client."""
        self.request_id = request_id
        """What finds the call in the server's logs and traces; "" where the server keeps none."""

    def __str__(self) -> str:
        return self.message


class InvalidRequest(RankServeError):
    """INVALID_ARGUMENT: a field is out of its range; `field_violations` names each."""

    def __str__(self) -> str:
        unsaid = [f"{field}: {text}" for field, text in self.field_violations if text not in self.message]
        return f"{self.message} ({'; '.join(unsaid)})" if unsaid else self.message


class ModelNotFound(RankServeError):
    """NOT_FOUND: the server has no such model, version or alias; `resource` says which."""


class Overloaded(RankServeError):
    """RESOURCE_EXHAUSTED: the server has more work than it accepts; try again after `retry_after` seconds."""


class MessageTooLarge(RankServeError):
    """RESOURCE_EXHAUSTED: a message is over the size limit of the client (`max_message_bytes`) or of the server."""


class DeadlineExceeded(RankServeError):
    """DEADLINE_EXCEEDED: no answer within `timeout`. The server drops queued work whose deadline has passed."""


class Unavailable(RankServeError):
    """UNAVAILABLE: the server is not ready or is shutting down, or the connection was lost; safe to try again."""


class Unreachable(Unavailable):
    """UNAVAILABLE: no connection to any server could be made."""


class HandshakeFailed(Unreachable):
    """UNAVAILABLE: something listens, but does not speak TLS, speaks nothing else, or is not trusted."""


class NotSupported(RankServeError):
    """UNIMPLEMENTED: the model or the server cannot do what was asked for."""


class Cancelled(RankServeError):
    """CANCELLED: the call was ended from outside, such as by closing the client while it was under way.

    A server to which calls come faster than it can refuse them with a reason ends the rest of them so, too.
    """


class Unauthenticated(RankServeError):
    """UNAUTHENTICATED: the server does not know who is calling; credentials are missing or wrong."""


class PermissionDenied(RankServeError):
    """PERMISSION_DENIED: the caller may not do this."""


class Conflict(RankServeError):
    """FAILED_PRECONDITION: what was asked for cannot be done to the server's models as they are."""


class ServerError(RankServeError):
    """INTERNAL, UNKNOWN or DATA_LOSS: a fault of the server, never of the request."""
