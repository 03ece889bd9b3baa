"""What goes on to the server with a request, and how its statuses come back."""

import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2

from integration.gateway.gateway_process import Gateway, running_gateway
from integration.gateway.recording_server import RecordingServer, recording_server
from rankserve.v1 import ranking_pb2

RANK, INFER = "/api/v1/rank", "/v1/models/m:predict"
BODY = {"user_id": 1, "candidate_ids": [2]}
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OWN_TOKEN = "own-token-of-the-gateway"


@pytest.fixture(scope="module")
def shared() -> Iterator[RecordingServer]:
    with recording_server() as recording:
        yield recording


@pytest.fixture
def recording(shared: RecordingServer) -> RecordingServer:
    """As new."""
    shared.metadata.clear()
    shared.seconds_left.clear()
    shared.called.clear()
    shared.answer = RecordingServer().answer
    return shared


@pytest.fixture(scope="module")
def plain(shared: RecordingServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Small limits; a token that it does not lend."""
    folder = tmp_path_factory.mktemp("plain")
    token = folder / "token"
    token.write_text(OWN_TOKEN)
    flags = ("--timeout", "5", "--max-body-bytes", "2048", "--max-requests", "2", "--token-file", str(token))
    with running_gateway(folder / "errors", "--server", shared.address, *flags) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def lending(shared: RecordingServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Lends its token, lets one site's pages call, answers to a name of its own and has no pages."""
    folder = tmp_path_factory.mktemp("lending")
    token = folder / "token"
    token.write_text(OWN_TOKEN)
    flags = ("--token-file", str(token), "--lend-token", "--cors-origin", "https://shop.example")
    names = ("--allowed-host", "ranking.example", "--no-playground", "--access-log")
    with running_gateway(folder / "errors", "--server", shared.address, *flags, *names) as gateway:
        yield gateway


def test_a_caller_is_who_he_says(plain: Gateway, recording: RecordingServer) -> None:
    plain.post(RANK, BODY, Authorization="Bearer mine", X_Request_Id="r-1", traceparent=PARENT, tracestate="a=b")
    (metadata,) = recording.metadata
    assert metadata["authorization"] == "Bearer mine"
    assert metadata["x-request-id"] == "r-1"
    assert (metadata["traceparent"], metadata["tracestate"]) == (PARENT, "a=b")


def test_the_gateways_own_token_is_not_lent_unless_told(
    plain: Gateway, lending: Gateway, recording: RecordingServer
) -> None:
    plain.post(RANK, BODY)
    lending.post(RANK, BODY)
    lending.post(RANK, BODY, Authorization="Bearer mine")
    tokens = [metadata.get("authorization") for metadata in recording.metadata]
    assert tokens == [None, f"Bearer {OWN_TOKEN}", "Bearer mine"]


@pytest.mark.parametrize("header", ["Basic eDp5", "Bearer", "Bearer a b", "token"])
def test_no_other_authorization_passes(lending: Gateway, recording: RecordingServer, header: str) -> None:
    answer = lending.post(RANK, BODY, Authorization=header)
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert not recording.metadata


def test_marks_of_no_trace_are_left_out(plain: Gateway, recording: RecordingServer) -> None:
    plain.post(RANK, BODY, traceparent="what", tracestate="a=b")
    assert not {"traceparent", "tracestate"} & recording.metadata[0].keys()


@pytest.mark.parametrize(
    ("headers", "most"),
    [({}, 5), ({"Request_Timeout": "0.9"}, 0.9), ({"grpc_timeout": "1500m"}, 1.5), ({"Request_Timeout": "60"}, 5)],
)
def test_a_deadline_goes_on(plain: Gateway, recording: RecordingServer, headers: dict[str, str], most: float) -> None:
    assert plain.post(RANK, BODY, **headers).status == 200
    assert most / 2 < recording.seconds_left[0] <= most + 0.01


@pytest.mark.parametrize("headers", [{"Request_Timeout": "soon"}, {"Request_Timeout": "nan"}, {"grpc_timeout": "0S"}])
def test_a_deadline_that_is_none_is_refused(plain: Gateway, headers: dict[str, str]) -> None:
    assert plain.post(RANK, BODY, **headers).status == 400


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, 400),
        (grpc.StatusCode.UNAUTHENTICATED, 401),
        (grpc.StatusCode.PERMISSION_DENIED, 403),
        (grpc.StatusCode.NOT_FOUND, 404),
        (grpc.StatusCode.FAILED_PRECONDITION, 409),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 429),
        (grpc.StatusCode.INTERNAL, 500),
        (grpc.StatusCode.UNIMPLEMENTED, 501),
        (grpc.StatusCode.UNAVAILABLE, 503),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 504),
    ],
)
def test_statuses_have_their_like(
    plain: Gateway, recording: RecordingServer, code: grpc.StatusCode, status: int
) -> None:
    recording.fail(code, "because")
    answer = plain.post(RANK, BODY)
    assert (answer.status, answer.json["status"], answer.json["code"]) == (status, status, code.name)
    assert ("retry-after" in answer.headers) == (status in (429, 503))
    assert ("www-authenticate" in answer.headers) == (status == 401)
    other = plain.post(INFER, {"inputs": {"user_id": 1, "item_id": 2}})
    assert (other.status, list(other.json)) == (status, ["error"])


def test_details_come_back(plain: Gateway, recording: RecordingServer) -> None:
    busy = error_details_pb2.RetryInfo(retry_delay=Duration(seconds=1, nanos=200_000_000))
    recording.fail(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", busy)
    answer = plain.post(RANK, BODY)
    assert (answer.headers["retry-after"], answer.json["retry_after"]) == ("2", 1.2)
    missing = error_details_pb2.ResourceInfo(resource_type="rankserve.v1.Model", resource_name="m/7")
    recording.fail(grpc.StatusCode.NOT_FOUND, "not there", missing)
    assert plain.post(RANK, BODY).json["resource"] == "m/7"


def test_an_address_behind_the_gateway_is_not_told(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "errors", "--server", "127.0.0.1:1", "--timeout", "2") as gateway:
        for path in (RANK, INFER):
            answer = gateway.post(path, BODY if path == RANK else {"inputs": {"user_id": 1, "item_id": 2}})
            assert answer.status == 503
            assert b"127.0.0.1" not in answer.body
        assert gateway.get("/healthz").status == 200
        assert gateway.get("/readyz").status == 503
        assert gateway.get("/v2/health/ready").status == 503


def test_a_token_does_not_leave_the_machine_unencrypted(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "errors", "--server", "192.0.2.1:50051", "--timeout", "1") as gateway:
        answer = gateway.post(RANK, BODY, Authorization="Bearer mine")
    assert answer.status == 400
    assert "--insecure-token" in answer.json["detail"]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"x" * 2049, {}, 413),
        (b"{}", {"Content_Encoding": "gzip"}, 415),
        (b"{}", {"Host": "evil.example"}, 421),
        (b"{}", {"Host": "ranking.example"}, 421),
    ],
)
def test_what_the_gateway_does_not_take(
    plain: Gateway, recording: RecordingServer, body: bytes, headers: dict[str, str], status: int
) -> None:
    assert plain.post(RANK, body, **headers).status == status
    assert not recording.metadata


def test_a_body_without_a_length_is_limited_too(plain: Gateway) -> None:
    chunk = b"400\r\n" + b"x" * 1024 + b"\r\n"
    assert raw(plain, b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 3).startswith(b"HTTP/1.1 413")


def test_a_body_that_does_not_come_is_not_waited_for(plain: Gateway) -> None:
    assert raw(plain, b"Content-Length: 99\r\nRequest-Timeout: 0.2\r\n\r\n{").startswith(b"HTTP/1.1 408")


def test_names_and_sites_that_are_let_in(lending: Gateway, plain: Gateway) -> None:
    assert lending.post(RANK, BODY, Host="ranking.example:8080").status == 200
    origin = {"Origin": "https://shop.example"}
    assert lending.get("/healthz", **origin).headers["access-control-allow-origin"] == "https://shop.example"
    assert "access-control-allow-origin" not in lending.get("/healthz", Origin="https://evil.example").headers
    assert "access-control-allow-origin" not in plain.get("/healthz", **origin).headers
    preflight = {**origin, "Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "authorization"}
    assert lending.call("OPTIONS", RANK, headers=preflight).status == 200
    assert lending.get("/playground/").status == 404
    assert '"GET /playground/ HTTP/1.1" 404' in lending.errors


def test_no_more_requests_at_a_time_than_allowed(plain: Gateway, recording: RecordingServer) -> None:
    going, arrived = threading.Event(), threading.Semaphore(0)

    def answer(_: grpc.ServicerContext, __: bytes) -> bytes:
        arrived.release()
        going.wait(30)
        return ranking_pb2.RankResponse(model_name="m", model_version=1).SerializeToString()

    recording.answer = answer
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(plain.post, RANK, BODY) for _ in range(2)]
        for _ in waiting:
            assert arrived.acquire(timeout=30)
        refused = plain.post(RANK, BODY)
        probed = plain.get("/healthz")
        going.set()
        assert [answer.result().status for answer in waiting] == [200, 200]
    assert (refused.status, refused.headers["retry-after"], probed.status) == (503, "1", 200)


def test_work_of_a_caller_who_has_gone_is_cancelled(plain: Gateway, recording: RecordingServer) -> None:
    cancelled = threading.Event()

    def answer(context: grpc.ServicerContext, _: bytes) -> bytes:
        context.add_callback(cancelled.set)
        assert cancelled.wait(4)  # sooner than its deadline
        return b""

    recording.answer = answer
    host, port = plain.address.split(":")
    with socket.create_connection((host, int(port))) as connection:
        body = b'{"user_id": 1, "candidate_ids": [2]}'
        head = f"POST {RANK} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        assert recording.called.wait(30)
    assert cancelled.wait(4)


def test_what_is_in_flight_is_answered_after_sigterm(recording: RecordingServer, tmp_path: Path) -> None:
    going = threading.Event()

    def answer(_: grpc.ServicerContext, __: bytes) -> bytes:
        going.wait(30)
        return ranking_pb2.RankResponse(model_name="m", model_version=1).SerializeToString()

    recording.answer = answer
    gateway = Gateway("--server", recording.address, errors=tmp_path / "errors")
    try:
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(gateway.post, RANK, BODY)
            assert recording.called.wait(30)
            gateway.process.send_signal(signal.SIGTERM)
            while listens(gateway):
                time.sleep(0.01)
            going.set()
            assert waiting.result().status == 200
        assert gateway.process.wait(30) == 0, gateway.errors
    finally:
        gateway.close()


def test_a_request_id_is_short(plain: Gateway) -> None:
    for length in (128, 129):
        given = "x" * length
        assert (plain.get("/healthz", X_Request_Id=given).headers["x-request-id"] == given) == (length == 128)


def raw(gateway: Gateway, rest: bytes) -> bytes:
    host, port = gateway.address.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(f"POST {RANK} HTTP/1.1\r\nHost: {host}\r\n".encode() + rest)
        return connection.recv(4096)


def listens(gateway: Gateway) -> bool:
    host, port = gateway.address.split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0
