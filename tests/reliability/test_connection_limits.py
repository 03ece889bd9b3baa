"""What one connection may do, and when it is closed. Each limit is set far from the core's own, so that it is ours."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import grpc
import pytest

from conftest import StartServer
from integration.raw_connection import GOAWAY, PING, PREFACE, SETTINGS, frame
from integration.server_process import ServerProcess, running_server
from rankserve.v1 import ranking_pb2, ranking_pb2_grpc

# A limit of a second is kept within so many, on a busy machine.
SOON = 10.0
REQUEST = ranking_pb2.RankRequest(candidate_ids=[1])
PING_CONTENT = bytes(8)


class Peer:
    """A client that has said hello and is silent from then on, unless it is told otherwise."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=0.1)
        self.socket.sendall(PREFACE + frame(SETTINGS, 0, 0))
        self.received = b""

    @classmethod
    def taken(cls, address: str) -> "Peer":
        """One that the server has greeted: it may not have missed those yet that have just gone, and have no room."""
        until = time.monotonic() + SOON
        while True:
            peer = cls(address)
            if not peer.is_closed_within(0.2) and peer.received:
                return peer
            peer.socket.close()
            assert time.monotonic() < until

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def is_closed_within(self, seconds: float, sending: bytes = b"") -> bool:
        """Whether the server closes the connection; meanwhile sends the same again and again, ten times a second."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if sending:
                time.sleep(0.1)
                with suppress(OSError):  # what the server has said before it closed is still to be read
                    self.socket.sendall(sending)
            try:
                content = self.socket.recv(65_536)
            except TimeoutError:
                continue
            except OSError:
                return True
            if not content:
                return True
            self.received += content
        return False


@pytest.fixture(scope="module")
def limited(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Takes little of everything."""
    flags = ("--max-connection-streams", "2", "--max-metadata-bytes", "3000", "--max-connections", "3")
    with running_server(models_dir, tmp_path_factory.mktemp("limited") / "errors", *flags) as server:
        yield server


@pytest.fixture(scope="module")
def curious(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Asks for signs of life every second, and answers whoever asks for its own."""
    flags = ("--keepalive-seconds", "1", "--keepalive-timeout-seconds", "1", "--min-ping-seconds", "0")
    with running_server(models_dir, tmp_path_factory.mktemp("curious") / "errors", *flags) as server:
        yield server


@pytest.mark.reliability
def test_calls_over_the_limit_wait_in_the_client(limited: ServerProcess) -> None:
    silent = threading.Event()

    def silence() -> Iterator[ranking_pb2.RankRequest]:
        silent.wait(30)
        yield from ()

    with grpc.insecure_channel(limited.address) as channel:
        stub = ranking_pb2_grpc.RankingServiceStub(channel)
        assert list(stub.Rank(REQUEST, timeout=10).item_ids) == [1]
        streams = [stub.RankStream(silence(), timeout=30) for _ in range(2)]
        with pytest.raises(grpc.RpcError) as caught:
            stub.Rank(REQUEST, timeout=1)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        for stream in streams:
            stream.cancel()
        assert list(stub.Rank(REQUEST, timeout=10).item_ids) == [1]
        silent.set()


def test_metadata_over_the_limit(limited: ServerProcess) -> None:
    with grpc.insecure_channel(limited.address) as channel:
        stub = ranking_pb2_grpc.RankingServiceStub(channel)
        assert list(stub.Rank(REQUEST, timeout=10, metadata=(("x-note", "a" * 2_000),)).item_ids) == [1]
        for _ in range(10):  # each time, not now and then
            with pytest.raises(grpc.RpcError) as caught:
                stub.Rank(REQUEST, timeout=10, metadata=(("x-note", "a" * 4_000),))
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_connections_over_the_limit_are_closed_at_once(limited: ServerProcess) -> None:
    peers = [Peer.taken(limited.address) for _ in range(3)]
    for _ in range(2):
        with Peer(limited.address) as one_too_many:
            assert one_too_many.is_closed_within(1)
    assert not any(peer.is_closed_within(0.1) for peer in peers)
    peers[0].socket.close()
    time.sleep(1)
    with grpc.insecure_channel(limited.address) as channel:  # there is room again
        assert list(ranking_pb2_grpc.RankingServiceStub(channel).Rank(REQUEST, timeout=10).item_ids) == [1]
    for peer in peers:
        peer.socket.close()


@pytest.mark.reliability
def test_old_connections_are_closed_and_callers_do_not_notice(start_trained: StartServer) -> None:
    flags = ("--max-connection-age-seconds", "1", "--max-connection-age-grace-seconds", "1")
    server = start_trained(*flags).wait_until_ready()
    with Peer(server.address) as peer, grpc.insecure_channel(server.address) as channel:
        stub = ranking_pb2_grpc.RankingServiceStub(channel)
        until = time.monotonic() + 4
        while time.monotonic() < until:
            assert list(stub.Rank(REQUEST, timeout=10).item_ids) == [1]
        assert peer.is_closed_within(SOON)


@pytest.mark.reliability
def test_idle_connections_are_closed(start_trained: StartServer) -> None:
    server = start_trained("--max-connection-idle-seconds", "1").wait_until_ready()
    with Peer(server.address) as peer:
        assert peer.is_closed_within(SOON)


@pytest.mark.reliability
def test_peers_that_do_not_answer_are_closed_and_those_that_do_are_not(curious: ServerProcess) -> None:
    with Peer(curious.address) as peer:
        assert peer.is_closed_within(SOON)
    # A real client answers; the connection that it asks over stays the same.
    with grpc.insecure_channel(curious.address) as channel:
        states: list[grpc.ChannelConnectivity] = []
        assert list(ranking_pb2_grpc.RankingServiceStub(channel).Rank(REQUEST, timeout=10).item_ids) == [1]
        channel.subscribe(states.append)
        time.sleep(4)
        assert set(states) == {grpc.ChannelConnectivity.READY}


def test_who_pings_too_often_is_cut(limited: ServerProcess) -> None:
    with Peer.taken(limited.address) as peer:
        assert peer.is_closed_within(SOON, frame(PING, 0, 0, PING_CONTENT))
        assert b"too_many_pings" in peer.received
        assert bytes([GOAWAY]) in peer.received


@pytest.mark.reliability
def test_who_may_ping_is_not_cut(curious: ServerProcess) -> None:
    with Peer(curious.address) as peer:
        assert not peer.is_closed_within(1.5, frame(PING, 0, 0, PING_CONTENT))
        assert b"too_many_pings" not in peer.received
