from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from hypothesis import given
from hypothesis import strategies as st

import rankserve_client
from client.any_client import AnyClient
from client.pipe import through_a_pipe
from client.scripted_server import RefusedError, ScriptedServer
from rankserve.v1 import ranking_pb2
from rankserve_client import (
    Cancelled,
    DeadlineExceeded,
    FieldViolation,
    InvalidRequest,
    ModelNotFound,
    NotSupported,
    Overloaded,
    PermissionDenied,
    RankQuery,
    RankServeError,
    Resource,
    ServerError,
    Unauthenticated,
    Unavailable,
)
from rankserve_client.error_decoding import from_refusal

CLASSES = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.NOT_FOUND: ModelNotFound,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Overloaded,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.UNIMPLEMENTED: NotSupported,
    grpc.StatusCode.CANCELLED: Cancelled,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.INTERNAL: ServerError,
    grpc.StatusCode.UNKNOWN: ServerError,
    grpc.StatusCode.DATA_LOSS: ServerError,
    grpc.StatusCode.ABORTED: RankServeError,
    grpc.StatusCode.OUT_OF_RANGE: RankServeError,
}


def refuse(server: ScriptedServer, *arguments: Any) -> None:
    def answer(_: ranking_pb2.RankRequest) -> ranking_pb2.RankResponse:
        raise RefusedError(*arguments)

    server.answer = answer


async def test_where_a_proxy_loses_the_trailer_the_details_name_the_request(
    client: AnyClient, server: ScriptedServer
) -> None:
    refuse(server, grpc.StatusCode.INTERNAL, "no", (error_details_pb2.RequestInfo(request_id="in-details"),))
    with pytest.raises(ServerError) as raised:
        await client.rank(7, [204])
    assert raised.value.request_id == "in-details"


async def failure(client: AnyClient, way: str) -> RankServeError:
    """The error for a refused query, raised by `rank` or found among the results of several."""
    query = RankQuery(7, [204])
    if way == "rank":
        with pytest.raises(RankServeError) as caught:
            await client.rank(7, [204])
        return caught.value
    (result,) = await (client.rank_batch([query]) if way == "batch" else client.rank_stream([query]))
    assert isinstance(result, RankServeError)
    return result


@pytest.mark.parametrize("code", CLASSES, ids=lambda code: code.name)
async def test_a_status_has_its_class(client: AnyClient, server: ScriptedServer, code: grpc.StatusCode) -> None:
    refuse(server, code, "because")
    error = await failure(client, "rank")
    assert type(error) is CLASSES[code]
    assert (error.code, error.target) == (code, server.target)
    assert "because" in error.message
    assert isinstance(error.__cause__, grpc.RpcError)


@pytest.mark.parametrize("way", ["rank", "batch", "stream"])
async def test_details_are_decoded(client: AnyClient, server: ScriptedServer, way: str) -> None:
    bad_request = error_details_pb2.BadRequest()
    bad_request.field_violations.add(field="candidate_ids", description="20,000 of at most 10,000")
    bad_request.field_violations.add(field="top_k", description="-1 is negative")
    refuse(server, grpc.StatusCode.INVALID_ARGUMENT, "invalid request", (bad_request,))
    error = await failure(client, way)
    assert isinstance(error, InvalidRequest)
    assert error.field_violations == (
        FieldViolation("candidate_ids", "20,000 of at most 10,000"),
        FieldViolation("top_k", "-1 is negative"),
    )
    assert str(error) == "invalid request (candidate_ids: 20,000 of at most 10,000; top_k: -1 is negative)"
    assert error.message == "invalid request"


@pytest.mark.parametrize("way", ["rank", "batch", "stream"])
async def test_the_time_to_come_back_is_decoded(client: AnyClient, server: ScriptedServer, way: str) -> None:
    retry_info = error_details_pb2.RetryInfo()
    retry_info.retry_delay.FromMilliseconds(1250)
    refuse(server, grpc.StatusCode.RESOURCE_EXHAUSTED, "the queue is full", (retry_info,))
    error = await failure(client, way)
    assert isinstance(error, Overloaded)
    assert error.retry_after == 1.25


@pytest.mark.parametrize("way", ["rank", "batch", "stream"])
async def test_the_missing_resource_is_decoded(client: AnyClient, server: ScriptedServer, way: str) -> None:
    info = error_details_pb2.ResourceInfo(resource_type="rankserve.v1.Model", resource_name="m/7", description="gone")
    refuse(server, grpc.StatusCode.NOT_FOUND, "no version 7 of m", (error_details_pb2.DebugInfo(), info))
    error = await failure(client, way)
    assert isinstance(error, ModelNotFound)
    assert error.resource == Resource("rankserve.v1.Model", "m/7", "gone")
    assert (error.field_violations, error.retry_after) == ((), None)


def test_violations_are_not_said_twice() -> None:
    violations = (FieldViolation("top_k", "-1 is negative"),)
    assert str(InvalidRequest("top_k: -1 is negative", field_violations=violations)) == "top_k: -1 is negative"


def test_unavailable_says_where_and_what_to_do() -> None:
    error = from_refusal(ranking_pb2.RequestError(code=14, message="draining"), "127.0.0.1:50051")
    assert str(error) == "the server at 127.0.0.1:50051 is not available, try again later: draining"


@given(code=st.integers(-1000, 1000), message=st.text(), details=st.binary())
def test_damaged_refusals_are_still_errors(code: int, message: str, details: bytes) -> None:
    refusal = ranking_pb2.RequestError(code=code, message=message)
    for kind in ("BadRequest", "RetryInfo", "ResourceInfo", "Other"):
        refusal.details.add(type_url=f"type.googleapis.com/google.rpc.{kind}", value=details)
    error = from_refusal(refusal, "127.0.0.1:50051")
    assert isinstance(error, RankServeError)
    assert str(error)


async def test_damaged_details_do_not_hide_the_status(client: AnyClient, server: ScriptedServer) -> None:
    server.trailing_metadata = (("grpc-status-details-bin", b"\xff\xff"),)
    refuse(server, grpc.StatusCode.NOT_FOUND, "no such model")
    error = await failure(client, "rank")
    assert type(error) is ModelNotFound
    assert error.resource is None


@pytest.mark.parametrize("code", CLASSES, ids=lambda code: code.name)
def test_an_error_reaches_another_process(code: grpc.StatusCode) -> None:
    error = CLASSES[code]("why", code, (FieldViolation("f", "d"),), 1.5, Resource("t", "n", "d"), "127.0.0.1:1")
    copy = through_a_pipe(error)
    assert type(copy) is type(error)
    assert vars(copy) == vars(error)


def test_every_error_is_a_rankserve_error() -> None:
    exported = [getattr(rankserve_client, name) for name in rankserve_client.__all__]
    errors = [each for each in exported if isinstance(each, type) and issubclass(each, Exception)]
    assert len(errors) > 10
    assert all(issubclass(each, RankServeError) for each in errors)
