"""Retries, several servers, and the ways to reach them."""

import subprocess
import threading
from pathlib import Path

import grpc
import pytest

from client.conftest import Connect
from client.scripted_server import RefusedError, ScriptedServer, echo
from rankserve.v1 import ranking_pb2
from rankserve_client import InvalidRequest, RankQuery, RankServeError, RetryPolicy, Unavailable

FAST = RetryPolicy(attempts=4, initial_backoff=0.01, max_backoff=0.02)


def fail_first(count: int, code: grpc.StatusCode, server: ScriptedServer) -> None:
    """Lets the first calls fail. The threads of the server share the count."""
    lock = threading.Lock()
    remaining = count

    def answer(request: ranking_pb2.RankRequest) -> ranking_pb2.RankResponse:
        nonlocal remaining
        with lock:
            remaining -= 1
            if remaining >= 0:
                raise RefusedError(code)
        return echo(request)

    server.answer = answer


async def test_unavailable_is_tried_again(connect: Connect, server: ScriptedServer) -> None:
    fail_first(3, grpc.StatusCode.UNAVAILABLE, server)
    ranking = await connect(server.target, retry=FAST).rank(7, [204])
    assert ranking.item_ids == (204,)
    assert len(server.requests) == 4


async def test_attempts_have_an_end(connect: Connect, server: ScriptedServer) -> None:
    fail_first(99, grpc.StatusCode.UNAVAILABLE, server)
    with pytest.raises(Unavailable, match="the script says no"):
        await connect(server.target, retry=FAST).rank(7, [204])
    assert len(server.requests) == 4


@pytest.mark.parametrize("retry", [None, RetryPolicy(attempts=1)])
async def test_retries_can_be_off(connect: Connect, server: ScriptedServer, retry: RetryPolicy | None) -> None:
    fail_first(1, grpc.StatusCode.UNAVAILABLE, server)
    with pytest.raises(Unavailable):
        await connect(server.target, retry=retry).rank(7, [204])
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "code",
    [code for code in grpc.StatusCode if code not in (grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE)],
    ids=lambda code: code.name,
)
async def test_nothing_else_is_tried_again(connect: Connect, server: ScriptedServer, code: grpc.StatusCode) -> None:
    fail_first(1, code, server)
    with pytest.raises(RankServeError):
        await connect(server.target, retry=FAST).rank(7, [204])
    assert len(server.requests) == 1


async def test_the_default_retries(connect: Connect, server: ScriptedServer) -> None:
    fail_first(1, grpc.StatusCode.UNAVAILABLE, server)
    assert len(await connect(server.target).rank(7, [204])) == 1


async def test_a_struggling_server_is_not_buried_in_retries(connect: Connect, server: ScriptedServer) -> None:
    fail_first(10_000, grpc.StatusCode.UNAVAILABLE, server)
    client = connect(server.target, retry=RetryPolicy(attempts=5, initial_backoff=0.01, max_backoff=0.01))
    for _ in range(60):
        with pytest.raises(Unavailable):
            await client.rank(7, [204])
    assert 60 < len(server.requests) < 60 + 60  # 5 x 60 without throttling


async def test_calls_are_spread_over_all_servers(connect: Connect) -> None:
    with ScriptedServer() as one, ScriptedServer() as other:
        client = connect([one.target, other.target])
        assert client.client.target == f"{one.target}, {other.target}"
        for _ in range(100):
            await client.rank(7, [204])
            if one.requests and other.requests:
                break
        before = len(one.requests), len(other.requests)
        for _ in range(10):
            await client.rank(7, [204])
        assert len(one.requests) - before[0] == 5
        assert len(other.requests) - before[1] == 5


async def test_a_killed_server_is_not_noticed(connect: Connect) -> None:
    with ScriptedServer() as one, ScriptedServer() as other:
        client = connect([one.target, other.target])
        for _ in range(10):
            await client.rank(7, [204])
        one.stop()
        for _ in range(20):
            assert (await client.rank(7, [204])).item_ids == (204,)
        assert len(other.requests) >= 20


async def test_a_restarted_server_is_found_again(connect: Connect) -> None:
    with ScriptedServer() as first:
        client = connect(first.target)
        await client.rank(7, [204])
    with pytest.raises(Unavailable):
        await client.rank(7, [204])
    with ScriptedServer(address=first.target) as second:
        for _ in range(200):
            try:
                await client.rank(7, [204], timeout=1)
                break
            except RankServeError:
                continue
        assert second.requests


async def test_ipv6_and_ipv4_mix(connect: Connect) -> None:
    with ScriptedServer(address="[::1]:0") as six, ScriptedServer() as four:
        client = connect([six.target, four.target])
        for _ in range(100):
            await client.rank(7, [204])
            if six.requests and four.requests:
                break
        assert six.requests
        assert four.requests


async def test_unix_sockets(connect: Connect, tmp_path: Path) -> None:
    one_path, other_path = f"unix:{tmp_path}/one", f"unix:{tmp_path}/other"
    with ScriptedServer(address=one_path) as one, ScriptedServer(address=other_path) as other:
        assert (await connect(one_path).rank(7, [204])).item_ids == (204,)
        client = connect([one_path, other_path])
        for _ in range(100):
            await client.rank(7, [204])
            if len(one.requests) > 1 and other.requests:
                break
        assert len(one.requests) > 1
        assert other.requests


async def test_a_host_name(connect: Connect, server: ScriptedServer) -> None:
    port = server.target.rpartition(":")[2]
    assert (await connect(f"localhost:{port}").rank(7, [204])).item_ids == (204,)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """A key and a self-signed certificate of `ranking.example`."""
    directory = tmp_path_factory.mktemp("certificate")
    key, certificate = directory / "key.pem", directory / "certificate.pem"
    command = "openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -days 2 -subj /CN=test"
    options = ["-addext", "subjectAltName=DNS:ranking.example", "-keyout", str(key), "-out", str(certificate)]
    try:
        subprocess.run([*command.split(), *options], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    return key.read_bytes(), certificate.read_bytes()


async def test_tls(connect: Connect, certificate: tuple[bytes, bytes]) -> None:
    trust = grpc.ssl_channel_credentials(certificate[1])
    with (
        ScriptedServer(credentials=grpc.ssl_server_credentials([certificate])) as one,
        ScriptedServer(credentials=grpc.ssl_server_credentials([certificate])) as other,
    ):
        for target in (one.target, [one.target, other.target]):
            client = connect(target, credentials=trust, authority="ranking.example")
            assert (await client.rank(7, [204])).item_ids == (204,)
        for options in ({}, {"authority": "other.example"}):
            with pytest.raises(Unavailable):
                await connect(one.target, credentials=trust, retry=None, **options).rank(7, [204])
        with pytest.raises(Unavailable):
            await connect(one.target, retry=None).rank(7, [204])


async def test_a_refused_call_is_not_repeated_on_another_server(connect: Connect) -> None:
    with ScriptedServer() as one, ScriptedServer() as other:
        for server in (one, other):
            fail_first(99, grpc.StatusCode.INVALID_ARGUMENT, server)
        client = connect([one.target, other.target], retry=FAST)
        with pytest.raises(InvalidRequest):
            await client.rank(7, [204])
        assert len(one.requests) + len(other.requests) == 1


async def test_streams_go_where_a_server_is(connect: Connect) -> None:
    with ScriptedServer() as one, ScriptedServer() as other:
        client = connect([one.target, other.target], retry=FAST)
        for _ in range(10):
            await client.rank(7, [204])
        one.stop()
        for _ in range(6):
            results = await client.rank_stream([RankQuery(user, [204]) for user in range(3)])
            assert len(results) == 3
