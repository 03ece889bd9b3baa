"""The `google.rpc` details of a failed call, or of a refused request among several."""

from collections.abc import Iterable
from typing import TypeVar

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from rankserve.v1 import ranking_pb2

_Detail = TypeVar("_Detail", bound=Message)


def status_of(error: grpc.RpcError) -> status_pb2.Status:
    """The whole status of a failed call, of grpc or grpc.aio; that its parts agree is checked."""
    assert isinstance(error, grpc.Call | grpc.aio.AioRpcError)
    status = status_pb2.Status(code=error.code().value[0], message=error.details() or "")
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            assert isinstance(value, bytes)
            status = status_pb2.Status.FromString(value)
    assert (status.code, status.message) == (error.code().value[0], error.details())
    return status


def violations_of(status: status_pb2.Status | ranking_pb2.RequestError) -> list[tuple[str, str]]:
    """The fields that the server objects to, each with what is wrong with it."""
    detail = only_detail(status.details, error_details_pb2.BadRequest)
    return [(violation.field, violation.description) for violation in detail.field_violations]


def only_detail(details: Iterable[Any], kind: type[_Detail]) -> _Detail:
    """The one detail that there is."""
    (packed,) = details
    detail = kind()
    assert packed.Unpack(detail), f"{packed.TypeName()} instead of {kind.DESCRIPTOR.full_name}"
    return detail
