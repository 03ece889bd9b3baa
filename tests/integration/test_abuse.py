"""Whatever comes in, the server goes on and answers the next caller."""

import itertools
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.rpc import code_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integration.raw_connection import RawConnection, headers_of, message
from integration.server_process import ServerProcess
from integration.statuses import status_of, violations_of
from rankserve.v1 import ranking_pb2, ranking_pb2_grpc

RANKING = "/rankserve.v1.RankingService"
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# Of each transport: see `UNSEEN_CALLS` and `Lane.asked_ahead` of the server.
CALLS_AT_ONCE = {"aio": 500, "direct": 2_000}
EMPTY_SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"

ON_THE_PORT = {
    "nothing": b"",
    "HTTP/1": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a TLS hello": bytes.fromhex("16030100c8010000c40303") + bytes(200),
    "random bytes": bytes(itertools.islice(itertools.cycle(range(7, 256, 13)), 10_000)),
    "half a preface": HTTP2_PREFACE[:10],
    "a preface and garbage": HTTP2_PREFACE + EMPTY_SETTINGS + b"\xff" * 1_000,
    "a frame that says it is large": HTTP2_PREFACE
    + EMPTY_SETTINGS
    + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01"
    + bytes(100),
    "data for a stream that is not open": HTTP2_PREFACE + EMPTY_SETTINGS + b"\x00\x00\x05\x00\x01\x00\x00\x00\x07abcde",
    "headers that cannot be decoded": HTTP2_PREFACE
    + EMPTY_SETTINGS
    + b"\x00\x00\x08\x01\x05\x00\x00\x00\x01"
    + b"\x80" * 8,
}

MALFORMED = {
    "a cut varint": b"\x08\x80",
    "a length past the end": b"\x12\x7f\x01",
    "an unknown wire type": b"\x0f\x01",
    "text": b"user_id: 42",
    "an alias that is not UTF-8": b"\x22\x03\x1a\x01\xff",
}


@pytest.fixture(autouse=True)
def _answers_afterwards(server: ServerProcess) -> Iterator[None]:
    yield
    assert server.process.poll() is None, server.errors
    with grpc.insecure_channel(server.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        response = ranking_pb2_grpc.RankingServiceStub(channel).Rank(
            ranking_pb2.RankRequest(user_id=42, candidate_ids=[204]), timeout=10
        )
    assert list(response.item_ids) == [204]


def connect(server: ServerProcess) -> socket.socket:
    host, _, port = server.address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=5)


@pytest.mark.parametrize("content", ON_THE_PORT.values(), ids=ON_THE_PORT)
@pytest.mark.parametrize("stays", [False, True])
def test_bytes_that_are_not_grpc(server: ServerProcess, content: bytes, stays: bool) -> None:
    with connect(server) as client:
        client.sendall(content)
        if stays:
            _answer_a_caller(server)


def test_connections_that_are_only_opened(server: ServerProcess) -> None:
    clients = [connect(server) for _ in range(200)]
    _answer_a_caller(server)
    for client in clients:
        client.close()


def _answer_a_caller(server: ServerProcess) -> None:
    with grpc.insecure_channel(server.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        request = ranking_pb2.RankRequest(top_k=1)
        assert len(ranking_pb2_grpc.RankingServiceStub(channel).Rank(request, timeout=10).item_ids) == 1


def raw(channel: grpc.Channel, method: str, content: bytes) -> grpc.RpcError:
    """Calls with bytes of our own."""
    call = channel.stream_stream(f"{RANKING}/{method}", bytes, bytes)
    with pytest.raises(grpc.RpcError) as caught:
        list(call(iter([content]), timeout=10))
    return caught.value


@pytest.mark.parametrize("method", ["Rank", "BatchRank"])
@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED)
def test_a_message_that_is_none(channel: grpc.Channel, method: str, content: bytes) -> None:
    if method == "BatchRank":
        content = b"\x0a" + bytes([len(content)]) + content
    status = status_of(raw(channel, method, content))
    assert status.code == code_pb2.INVALID_ARGUMENT
    assert status.message.startswith(f"the request is not a rankserve.v1.{method}Request: ")
    ((field, description),) = violations_of(status)
    assert (field, description) == ("", status.message)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200))
def test_any_bytes_as_a_request(channel: grpc.Channel, content: bytes) -> None:
    """Some are valid requests, as protobuf is."""
    codes = [code_pb2.OK, code_pb2.INVALID_ARGUMENT, code_pb2.NOT_FOUND, code_pb2.UNIMPLEMENTED]
    call = channel.unary_unary(f"{RANKING}/Rank", bytes, bytes).future(content, timeout=10)
    assert call.code().value[0] in codes


def test_a_stream_of_malformed_messages(channel: grpc.Channel) -> None:
    good = ranking_pb2.RankRequest(candidate_ids=[1]).SerializeToString()
    stream = channel.stream_stream(f"{RANKING}/RankStream", bytes, bytes)(iter([good, b"\x08\x80", good]), timeout=10)
    before, refused, after = [ranking_pb2.RankResponse.FromString(response) for response in stream]
    assert before == after
    assert list(before.item_ids) == [1]
    assert refused.error.code == code_pb2.INVALID_ARGUMENT
    assert refused.error.message.startswith("the request is not a rankserve.v1.RankRequest: ")


def test_messages_over_the_limit(channel: grpc.Channel) -> None:
    for method in ("Rank", "BatchRank", "RankStream"):
        error = raw(channel, method, bytes(4 * 1024 * 1024 + 1))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_method_that_is_not_there(channel: grpc.Channel) -> None:
    for method in ("/rankserve.v1.RankingService/Forget", "/other.Service/Rank", "/", "/rankserve.v1.RankingService/"):
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(method, bytes, bytes)(b"", timeout=10)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_unary_calls_without_and_with_too_many_messages(channel: grpc.Channel) -> None:
    good = ranking_pb2.RankRequest(candidate_ids=[1]).SerializeToString()
    call = channel.stream_unary(f"{RANKING}/Rank", bytes, bytes)
    with pytest.raises(grpc.RpcError) as caught:
        call(iter([]), timeout=10)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert call.future(iter([good, good, good]), timeout=10).code() is not grpc.StatusCode.DEADLINE_EXCEEDED


def test_calls_whose_request_never_comes(channel: grpc.Channel, server: ServerProcess) -> None:
    """More of them than the direct lane asks the core for at once."""
    end = threading.Event()

    def silence() -> Iterator[bytes]:
        end.wait(30)
        yield from ()

    calls = [channel.stream_unary(f"{RANKING}/Rank", bytes, bytes).future(silence(), timeout=30) for _ in range(200)]
    _answer_a_caller(server)
    for call in calls:
        call.cancel()
    end.set()


def test_many_calls_at_once(server: ServerProcess, request: pytest.FixtureRequest) -> None:
    """As many as may wait until somebody looks at them: the core cancels what is more."""
    calls = CALLS_AT_ONCE[request.node.callspec.params["server"]]
    body = message(ranking_pb2.RankRequest(candidate_ids=[1]).SerializeToString())
    with RawConnection(server.address) as one, RawConnection(server.address) as other:
        for client in (one, other):
            for _ in range(calls // 2):
                client.call(headers_of("Rank", "60S"), body)
            client.flush()
        statuses = []
        for client in (one, other):
            while client.in_flight:
                client.flush()
                statuses += [answer.status for _, answer in client.receive()]
    assert Counter(statuses) == {code_pb2.OK: calls}


def test_many_files_and_threads_are_not_left_open(server: ServerProcess) -> None:
    process = Path(f"/proc/{server.pid}")
    before = [len(list((process / kind).iterdir())) for kind in ("fd", "task")]
    for _ in range(100):
        _answer_a_caller(server)
    after = [len(list((process / kind).iterdir())) for kind in ("fd", "task")]
    assert all(now <= then + 10 for now, then in zip(after, before, strict=True)), (before, after)
