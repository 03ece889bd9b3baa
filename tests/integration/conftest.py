"""One server for each transport."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from integration.server_process import ServerProcess
from rankserve.v1 import ranking_pb2_grpc


@pytest.fixture(scope="session", params=["aio", "direct"])
def server(
    request: pytest.FixtureRequest, models_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """For tests that do not disturb it; every one of them runs on both transports."""
    arguments = ("--models-dir", str(models_dir), "--port", "0", "--transport", request.param)
    process = ServerProcess(*arguments, errors=tmp_path_factory.mktemp("server") / "errors")
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
