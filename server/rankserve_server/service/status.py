"""From the server's errors to gRPC statuses with `google.rpc` details: the one place for this mapping."""

import logging

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from rankserve_server.errors import (
    ExpiredError,
    InvalidRequestError,
    NotReadyError,
    OverloadedError,
    PermissionDeniedError,
    RequestError,
    UnauthenticatedError,
    UnknownModelError,
    UnsupportedError,
)

_log = logging.getLogger(__name__)
_CODES: dict[type[RequestError], grpc.StatusCode] = {
    InvalidRequestError: grpc.StatusCode.INVALID_ARGUMENT,
    UnknownModelError: grpc.StatusCode.NOT_FOUND,
    UnsupportedError: grpc.StatusCode.UNIMPLEMENTED,
    OverloadedError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    ExpiredError: grpc.StatusCode.DEADLINE_EXCEEDED,
    NotReadyError: grpc.StatusCode.UNAVAILABLE,
    UnauthenticatedError: grpc.StatusCode.UNAUTHENTICATED,
    PermissionDeniedError: grpc.StatusCode.PERMISSION_DENIED,
}
STATUS_DETAILS_KEY = "grpc-status-details-bin"


def code_of(error: Exception) -> grpc.StatusCode:
    """The status code of an error; INTERNAL for one that is not a `RequestError`."""
    return next((code for kind, code in _CODES.items() if isinstance(error, kind)), grpc.StatusCode.INTERNAL)


def status_of(error: Exception) -> status_pb2.Status:
    """The whole status. What an internal error says goes to the server's log, not to the client.

    The error then forgets where it was raised: that leads to the request, which leads to the error. What refers to each
    other is freed by the collector only, and every request waits for it.
    """
    if isinstance(error, RequestError):
        message = str(error)
    else:
        _log.error("A request failed.", exc_info=error)
        message = "internal error; the server's log says more"
    status = status_pb2.Status(code=code_of(error).value[0], message=message)
    for detail in _details(error):
        packed = Any()
        packed.Pack(detail)
        status.details.append(packed)
    error.__traceback__ = None
    return status


def _details(error: Exception) -> list[Message]:
    match error:
        case InvalidRequestError():
            violations = [
                error_details_pb2.BadRequest.FieldViolation(field=violation.field, description=violation.description)
                for violation in error.violations
            ]
            return [error_details_pb2.BadRequest(field_violations=violations)]
        case UnknownModelError():
            return [
                error_details_pb2.ResourceInfo(
                    resource_type=error.resource_type, resource_name=error.resource_name, description=str(error)
                )
            ]
        case OverloadedError():
            delay = Duration()
            delay.FromMilliseconds(max(1, round(error.retry_after * 1_000)))
            return [error_details_pb2.RetryInfo(retry_delay=delay)]
    return []
