"""From the server's errors to gRPC statuses with `google.rpc` details: the one place for this mapping."""

import logging
from functools import cache, lru_cache
from typing import NamedTuple

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from rankserve_server.errors import (
    ConflictError,
    ExpiredError,
    InvalidRequestError,
    NotReadyError,
    OverloadedError,
    PermissionDeniedError,
    RequestError,
    StorageError,
    StoreDownError,
    UnauthenticatedError,
    UnknownModelError,
    UnknownServiceError,
    UnsupportedError,
)

_log = logging.getLogger(__name__)
_CODES: dict[type[RequestError], grpc.StatusCode] = {
    InvalidRequestError: grpc.StatusCode.INVALID_ARGUMENT,
    UnknownModelError: grpc.StatusCode.NOT_FOUND,
    UnknownServiceError: grpc.StatusCode.NOT_FOUND,
    UnsupportedError: grpc.StatusCode.UNIMPLEMENTED,
    OverloadedError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    ExpiredError: grpc.StatusCode.DEADLINE_EXCEEDED,
    NotReadyError: grpc.StatusCode.UNAVAILABLE,
    ConflictError: grpc.StatusCode.FAILED_PRECONDITION,
    StorageError: grpc.StatusCode.INTERNAL,
    StoreDownError: grpc.StatusCode.UNAVAILABLE,
    UnauthenticatedError: grpc.StatusCode.UNAUTHENTICATED,
    PermissionDeniedError: grpc.StatusCode.PERMISSION_DENIED,
}
STATUS_DETAILS_KEY = "grpc-status-details-bin"
# In bytes. A status travels as headers, of which clients take 8 KiB and else report something else: RESOURCE_EXHAUSTED.
# The message is there twice, once with three bytes for each that is not ASCII, and details with four for each three;
# there are at most some thirty of them, few of which quote anything.
_LONGEST_MESSAGE = 900
_LONGEST_TEXT = 300
# Of gRFC A6: when a client that retries should do so; it then leaves its own backoff aside.
_EXACT_MS = 100
# Below 2 ms a client of gRPC 1.85 sometimes never makes the next attempt.
_LEAST_RETRY_MS = 10
_PUSHBACK_KEY = "grpc-retry-pushback-ms"


class CallStatus(NamedTuple):
    """The end of a call.

    Attributes:
        code: of the status.
        message: for people.
        trailers: metadata: the whole status with its details, and when to try again.
    """

    code: grpc.StatusCode
    message: str
    trailers: tuple[tuple[str, str | bytes], ...]


def code_of(error: Exception) -> grpc.StatusCode:
    """The status code of an error; INTERNAL for one that is not a `RequestError`."""
    return next((code for kind, code in _CODES.items() if isinstance(error, kind)), grpc.StatusCode.INTERNAL)


def status_of(error: Exception, request_id: str = "") -> status_pb2.Status:
    """The whole status. What an internal error says goes to the server's log, not to the client.

    The error then forgets where it was raised: that leads to the request, which leads to the error. What refers to each
    other is freed by the collector only, and every request waits for it.
    """
    if isinstance(error, RequestError):
        message = _short(str(error), _LONGEST_MESSAGE)
    else:
        _log.error("A request failed%s.", f" ({request_id})" if request_id else "", exc_info=error)
        message = "internal error; the server's log says more"
    status = status_pb2.Status(code=code_of(error).value[0], message=message)
    for detail in _details(error):
        packed = Any()
        packed.Pack(detail)
        status.details.append(packed)
    error.__traceback__ = None
    return status


def call_status_of(error: Exception, request_id: str = "") -> CallStatus:
    """How a call ends that fails with an error; `request_id` finds it in the log, "" where it has none."""
    if isinstance(error, OverloadedError):
        error.__traceback__ = None
        return _naming(overloaded_status(str(error), _retry_ms(error)), request_id)
    status = status_of(error, request_id)
    details = (STATUS_DETAILS_KEY, status.SerializeToString())
    return _naming(CallStatus(code_of(error), status.message, (details,)), request_id)


def _naming(ended: CallStatus, request_id: str) -> CallStatus:
    """The same with a RequestInfo in its details, which come first of the trailers; "" is no id.

    Put behind the bytes that are there, which is what a message is on the wire with one more detail: refusals of the
    same words are encoded once, and have to cost little.
    """
    if not request_id:
        return ended
    (key, details), *others = ended.trailers
    assert isinstance(details, bytes)  # noqa: S101, for the type checker: the key ends in `-bin`
    named = details + _before_id(len(request_id)) + request_id.encode()
    return CallStatus(ended.code, ended.message, ((key, named), *others))


@cache
def _before_id(length: int) -> bytes:
    """What a detail is on the wire up to its id, the last of it, which has so many letters, all of them ASCII."""
    name = "x" * length
    detail = Any()
    detail.Pack(error_details_pb2.RequestInfo(request_id=name))
    encoded: bytes = status_pb2.Status(details=[detail]).SerializeToString()
    return encoded.removesuffix(name.encode())


# Those that come too much have to cost little, and many of them are told the same.
@lru_cache(maxsize=1_024)
def overloaded_status(message: str, retry_ms: int) -> CallStatus:
    """How a call ends that there is no room for."""
    status = status_of(OverloadedError(message, retry_ms / 1e3))
    details = (STATUS_DETAILS_KEY, status.SerializeToString())
    return CallStatus(grpc.StatusCode.RESOURCE_EXHAUSTED, message, (details, (_PUSHBACK_KEY, str(retry_ms))))


def _retry_ms(error: OverloadedError) -> int:
    """Rounded, so that there are few."""
    milliseconds = max(_LEAST_RETRY_MS, round(error.retry_after * 1_000))
    return milliseconds if milliseconds < _EXACT_MS else round(milliseconds, -1)


def _details(error: Exception) -> list[Message]:
    match error:
        case InvalidRequestError():
            violations = [
                error_details_pb2.BadRequest.FieldViolation(
                    field=violation.field, description=_short(violation.description, _LONGEST_TEXT)
                )
                for violation in error.violations
            ]
            return [error_details_pb2.BadRequest(field_violations=violations)]
        case UnknownModelError():
            return [
                error_details_pb2.ResourceInfo(
                    resource_type=error.resource_type,
                    resource_name=_short(error.resource_name, _LONGEST_TEXT),
                    description=_short(str(error), _LONGEST_TEXT),
                )
            ]
        case OverloadedError():
            delay = Duration()
            delay.FromMilliseconds(_retry_ms(error))
            return [error_details_pb2.RetryInfo(retry_delay=delay)]
    return []


def _short(text: str, longest: int) -> str:
    """The text, cut off where it has more bytes: what a client has sent is quoted in it, and can be of any length."""
    encoded = text.encode()
    return text if len(encoded) <= longest else encoded[:longest].decode(errors="ignore") + "…"
