"""What Envoy makes of calls that are not plain gRPC, and what it does with the metadata of calls."""

import json
import signal
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from grpc_status import rpc_status

from deploy.envoy_process import EnvoyProcess
from deploy.three_servers import ThreeServers
from rankserve.v1 import ranking_pb2
from rankserve.v1.ranking_pb2_grpc import RankingServiceStub
from rankserve_client import RankingClient

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(120)]

RANK = "/rankserve.v1.RankingService/Rank"
CANDIDATES = [5, 10, 15, 20]
DATA, TRAILERS = 0x00, 0x80


@pytest.fixture(scope="module")
def expected(servers: ThreeServers) -> tuple[list[int], list[float]]:
    """What a server itself answers user 3."""
    with RankingClient(servers.running[servers.ports[0]].address) as client:
        ranking = client.rank(3, CANDIDATES)
    return list(ranking.item_ids), list(ranking.scores)


def test_json(envoy: EnvoyProcess, expected: tuple[list[int], list[float]]) -> None:
    status, headers, body = envoy.post(RANK, b'{"user_id": "3", "candidate_ids": [5, "10", 15, 20]}')
    answer = json.loads(body)
    assert (status, headers["content-type"]) == (200, "application/json")
    # JSON has no integers of 64 bits: protobuf writes them as strings.
    assert [int(item) for item in answer["item_ids"]] == expected[0]
    assert answer["scores"] == pytest.approx(expected[1], rel=1e-6)
    assert answer["user_known"] is True
    assert answer["unknown_item_ids"] == []


def test_a_refusal_in_json_says_which_field(envoy: EnvoyProcess) -> None:
    status, _, body = envoy.post(RANK, b'{"user_id": 3, "candidate_ids": [5], "top_k": -1}')
    error = json.loads(body)
    assert (status, error["code"]) == (400, grpc.StatusCode.INVALID_ARGUMENT.value[0])
    detail, request = error["details"]
    assert detail["@type"] == "type.googleapis.com/google.rpc.BadRequest"
    assert request["@type"] == "type.googleapis.com/google.rpc.RequestInfo"  # the id is one that Envoy has made
    (violation,) = detail.get("field_violations") or detail["fieldViolations"]
    assert violation["field"] == "top_k"
    assert "-1" in violation["description"]


@pytest.mark.parametrize("body", [b'{"user_id": ', b'{"user": 3}', b'{"user_id": "three"}'])
def test_what_is_no_request_is_refused(envoy: EnvoyProcess, body: bytes) -> None:
    assert envoy.post(RANK, body)[0] == 400


def test_other_calls_as_json(envoy: EnvoyProcess) -> None:
    status, _, body = envoy.post("/rankserve.v1.ModelService/ListModels", b"{}")
    assert status == 200
    assert [model["version"] for model in json.loads(body)["models"]] == ["1"]
    requests = {"requests": [{"user_id": 3, "candidate_ids": [5]}, {"user_id": 6, "candidate_ids": [10]}]}
    status, _, body = envoy.post("/rankserve.v1.RankingService/BatchRank", json.dumps(requests).encode())
    assert status == 200
    assert [answer["item_ids"] for answer in json.loads(body)["responses"]] == [["5"], ["10"]]


@pytest.mark.parametrize("path", ["/rankserve.v1.RankingService/Rnak", "/"])
def test_an_unknown_path_is_refused(envoy: EnvoyProcess, path: str) -> None:
    assert envoy.post(path, b"{}")[0] in (404, 415, 503)


def test_grpc_web(envoy: EnvoyProcess, expected: tuple[list[int], list[float]]) -> None:
    request = ranking_pb2.RankRequest(user_id=3, candidate_ids=CANDIDATES).SerializeToString()
    status, headers, body = envoy.post(
        RANK, _frame(DATA, request), "application/grpc-web+proto", x_grpc_web="1", origin="https://shop.example.com"
    )
    frames = dict(_frames(body))
    assert (status, headers["content-type"]) == (200, "application/grpc-web+proto")
    assert headers["access-control-allow-origin"] == "https://shop.example.com"
    answer = ranking_pb2.RankResponse.FromString(frames[DATA])
    assert (list(answer.item_ids), list(answer.scores)) == expected
    assert b"grpc-status:0" in frames[TRAILERS]


def test_grpc_web_refused(envoy: EnvoyProcess) -> None:
    request = ranking_pb2.RankRequest(user_id=3, candidate_ids=[5], top_k=-1).SerializeToString()
    status, headers, body = envoy.post(RANK, _frame(DATA, request), "application/grpc-web+proto", x_grpc_web="1")
    told = headers | _trailers(dict(_frames(body)).get(TRAILERS, b""))
    assert (status, told["grpc-status"]) == (200, "3")
    assert "top_k" in told["grpc-message"]


def test_a_page_of_another_site_may_not_read(envoy: EnvoyProcess) -> None:
    _, headers, _ = envoy.post(RANK, b'{"user_id": 3, "candidate_ids": [5]}', origin="https://elsewhere.example")
    assert "access-control-allow-origin" not in headers


def test_refusals_keep_their_details(envoy: EnvoyProcess) -> None:
    with grpc.insecure_channel(envoy.target) as channel, pytest.raises(grpc.RpcError) as raised:
        RankingServiceStub(channel).Rank(ranking_pb2.RankRequest(user_id=3, candidate_ids=[5], top_k=-1), timeout=10)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    error: Any = raised.value
    status = rpc_status.from_call(error)
    assert status is not None
    kinds = [detail.type_url.rpartition("/")[2] for detail in status.details]
    assert kinds == ["google.rpc.BadRequest", "google.rpc.RequestInfo"]


def test_the_callers_request_id_is_kept(envoy: EnvoyProcess) -> None:
    request = ranking_pb2.RankRequest(user_id=3, candidate_ids=[5])
    with grpc.insecure_channel(envoy.target) as channel:
        _, call = RankingServiceStub(channel).Rank.with_call(
            request, timeout=10, metadata=(("x-request-id", "mine-1"),)
        )
    # Of the server, which tells by which id it has noted the call.
    assert ("x-request-id", "mine-1") in list(call.trailing_metadata())


def test_streams_go_through(envoy: EnvoyProcess) -> None:
    requests = [ranking_pb2.RankRequest(user_id=3, candidate_ids=[item]) for item in CANDIDATES]
    with grpc.insecure_channel(envoy.target) as channel:
        answers = list(RankingServiceStub(channel).RankStream(iter(requests), timeout=10))
    assert [list(answer.item_ids) for answer in answers] == [[item] for item in CANDIDATES]


def test_a_user_stays_with_a_server(envoy: EnvoyProcess) -> None:
    servers_of_users = set()
    with RankingClient(envoy.target, send_user=True, retry=None) as client:
        for user in range(30):
            before = envoy.calls_by_port("rankserve_by_user")
            for _ in range(5):
                client.rank(user, [5])
            after = envoy.calls_by_port("rankserve_by_user")
            (server,) = [port for port, calls in after.items() if calls > before[port]]
            assert after[server] - before[server] == 5
            servers_of_users.add(server)
    assert len(servers_of_users) == 3


def test_the_callers_deadline_holds_where_no_server_answers(envoy: EnvoyProcess, servers: ThreeServers) -> None:
    with _hanging(servers):
        started = time.monotonic()
        status, headers, _ = envoy.post(RANK, b'{"user_id": 3, "candidate_ids": [5]}', grpc_timeout="300m")
        took = time.monotonic() - started
    envoy.wait_for_healthy(3)
    assert 0.25 < took < 1.2, (status, headers)
    assert status in (408, 504)


@contextmanager
def _hanging(servers: ThreeServers) -> Iterator[None]:
    for server in servers.running.values():
        server.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for server in servers.running.values():
            server.signal(signal.SIGCONT)


def _frame(kind: int, content: bytes) -> bytes:
    return struct.pack(">BI", kind, len(content)) + content


def _frames(body: bytes) -> Iterator[tuple[int, bytes]]:
    while body:
        kind, length = struct.unpack(">BI", body[:5])
        yield kind, body[5 : 5 + length]
        body = body[5 + length :]


def _trailers(frame: bytes) -> dict[str, str]:
    pairs = [line.partition(":") for line in frame.decode().splitlines() if line]
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
