"""From gRPC's errors, and the refusals inside of responses, to the client's exceptions: the one place that does it."""

from collections.abc import Iterable
from typing import cast

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from rankserve.v1 import ranking_pb2
from rankserve_client import errors
from rankserve_client.errors import FieldViolation, RankServeError, Resource
from rankserve_client.settings import REQUEST_ID_KEY

_CLASSES: dict[grpc.StatusCode, type[RankServeError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidRequest,
    grpc.StatusCode.NOT_FOUND: errors.ModelNotFound,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.Overloaded,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.DeadlineExceeded,
    grpc.StatusCode.UNAVAILABLE: errors.Unavailable,
    grpc.StatusCode.UNIMPLEMENTED: errors.NotSupported,
    grpc.StatusCode.CANCELLED: errors.Cancelled,
    grpc.StatusCode.UNAUTHENTICATED: errors.Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: errors.PermissionDenied,
    grpc.StatusCode.FAILED_PRECONDITION: errors.Conflict,
    grpc.StatusCode.INTERNAL: errors.ServerError,
    grpc.StatusCode.UNKNOWN: errors.ServerError,
    grpc.StatusCode.DATA_LOSS: errors.ServerError,
}
_DETAILS = (
    error_details_pb2.BadRequest,
    error_details_pb2.RetryInfo,
    error_details_pb2.ResourceInfo,
    error_details_pb2.RequestInfo,
)
_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}

# gRPC's words where it never got as far as a server; status and details alone do not tell that from a server's answer.
_NO_CONNECTION = (
    "failed to connect",
    "all backends failing",
    "errors resolving",
    "name resolution",
    "empty address list",
)
_TOO_LARGE = "message larger than max"
# Its words where something listens, and what they mean.
_HANDSHAKES = {
    "certificate_verify_failed": "the certificate of {target} is not trusted: give the authority that has signed it, "
    "and the name that it is for",
    "wrong_version_number": "{target} does not speak TLS: call it without",
    "socket closed": "{target} ends connections at once: does it expect TLS, or a certificate of its clients?",
}


def from_rpc_error(error: grpc.RpcError, target: str, timeout: float | None) -> RankServeError:
    """The exception for a failed call; `timeout` is the deadline that the call had, in seconds."""
    code, message = error.code(), error.details() or ""
    return _build(code, message, _details_of(error), target, timeout, _request_id_of(error))


def from_refusal(refusal: ranking_pb2.RequestError, target: str) -> RankServeError:
    """The exception for one refused request of several."""
    code = _CODES.get(refusal.code, grpc.StatusCode.UNKNOWN)
    return _build(code, refusal.message, refusal.details, target, None)


def _build(
    code: grpc.StatusCode,
    message: str,
    details: Iterable[Any],
    target: str,
    timeout: float | None,
    request_id: str = "",
) -> RankServeError:
    kind = _class_of(code, message)
    violations: list[FieldViolation] = []
    retry_after: float | None = None
    resource: Resource | None = None
    for detail in details:
        match _unpack(detail):
            case error_details_pb2.BadRequest() as bad:
                violations += [FieldViolation(each.field, each.description) for each in bad.field_violations]
            case error_details_pb2.RetryInfo() as retry:
                retry_after = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
            case error_details_pb2.ResourceInfo() as info:
                resource = Resource(info.resource_type, info.resource_name, info.description)
            case error_details_pb2.RequestInfo() as named:
                # Where a proxy has lost the trailer.
                request_id = request_id or named.request_id
    return kind(
        _explain(kind, message, target, timeout), code, tuple(violations), retry_after, resource, target, request_id
    )


def _class_of(code: grpc.StatusCode, message: str) -> type[RankServeError]:
    if code is grpc.StatusCode.UNAVAILABLE and any(words in message.lower() for words in _NO_CONNECTION):
        return errors.Unreachable if _handshake(message) is None else errors.HandshakeFailed
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE in message.lower():
        return errors.MessageTooLarge
    return _CLASSES.get(code, RankServeError)


def _explain(kind: type[RankServeError], message: str, target: str, timeout: float | None) -> str:
    """The server's own words, and more where gRPC's alone would not help."""
    if kind is errors.HandshakeFailed:
        return f"{(_handshake(message) or '').format(target=target)} ({message})"
    if kind is errors.Unreachable:
        return f"no server answers at {target}: check the address and that the server is running ({message})"
    if kind is errors.Unavailable:
        return f"the server at {target} is not available, try again later: {message}"
    if kind is errors.DeadlineExceeded and timeout is not None:
        return f"no answer from {target} within {timeout:g} s: {message}"
    return message or f"{target} gave no reason"


def _handshake(message: str) -> str | None:
    """What is wrong where something listens; None where nothing does."""
    return next((meaning for words, meaning in _HANDSHAKES.items() if words in message.lower()), None)


def _details_of(error: grpc.RpcError) -> Iterable[Any]:
    try:
        # It needs of a call what the errors of both clients have.
        status = rpc_status.from_call(cast("grpc.Call", error))
    except (DecodeError, ValueError):
        return ()  # the status itself still stands where a proxy has damaged its details
    return status.details if status else ()


def _request_id_of(error: grpc.RpcError) -> str:
    """What the server calls the call; "" where it says nothing of it."""
    # Pairs, as of the calls of both clients, whatever its types say.
    trailers = cast("Iterable[tuple[str, object]]", error.trailing_metadata() or ())
    return next((value for key, value in trailers if key == REQUEST_ID_KEY and isinstance(value, str)), "")


def _unpack(detail: Any) -> Message | None:
    for kind in _DETAILS:
        if detail.Is(kind.DESCRIPTOR):
            message: Message = kind()
            try:
                detail.Unpack(message)
            except DecodeError:
                return None
            return message
    return None
