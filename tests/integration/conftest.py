"""One server for each transport and kind of model."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from integration.server_process import ServerProcess
from rankserve.v1 import ranking_pb2_grpc
from server.two_towers import Published, publish_towers, random_towers


@pytest.fixture(scope="session", params=["aio", "direct"])
def server(
    request: pytest.FixtureRequest, models_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """For tests that do not disturb it; every one of them runs on both transports."""
    with _served(models_dir, request.param, tmp_path_factory) as process:
        yield process


@pytest.fixture(scope="session")
def towers(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """A version of two towers, which uses all that a request can tell."""
    return publish_towers(tmp_path_factory.mktemp("towers"), random_towers())


@pytest.fixture(scope="session", params=["aio", "direct"])
def towers_server(
    request: pytest.FixtureRequest, towers: Published, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """The same with this version."""
    with _served(towers.models_dir, request.param, tmp_path_factory) as process:
        yield process


@contextmanager
def _served(models_dir: Path, transport: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    arguments = ("--models-dir", str(models_dir), "--port", "0", "--transport", transport)
    process = ServerProcess(*arguments, errors=tmp_path_factory.mktemp("server") / "errors", forked=True)
    try:
        yield process.wait_until_ready()
        assert process.process.poll() is None, f"the server has died: {process.errors}"
        ended = process.stop()
        assert (ended.code, ended.output) == (0, "")
        assert "Traceback" not in ended.errors
    finally:
        process.close()


@pytest.fixture
def channel(server: ServerProcess) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.address) as opened:
        yield opened


@pytest.fixture
def stub(channel: grpc.Channel) -> ranking_pb2_grpc.RankingServiceStub:
    return ranking_pb2_grpc.RankingServiceStub(channel)
