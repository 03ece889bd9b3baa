"""One server with two versions, and one gateway in front of it, for all tests that do not disturb them."""

from collections.abc import Iterator

import grpc
import pytest

from integration.gateway.gateway_process import Gateway, running_gateway
from integration.server_process import ServerProcess, running_server
from rankserve.v1 import models_pb2, models_pb2_grpc
from rankserve_client import RankingClient
from server.two_towers import publish_towers, random_towers

ALIAS = "stable"


@pytest.fixture(scope="session")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Versions 1 and 2 of `towers`, of which 1 has an alias and 2 is current."""
    models_dir = tmp_path_factory.mktemp("models")
    for seed in (0, 1):
        publish_towers(models_dir, random_towers(seed))
    errors = tmp_path_factory.mktemp("server") / "errors"
    with running_server(models_dir, errors, "--keep-versions", "2", "--max-batch-requests", "20") as server:
        with grpc.insecure_channel(server.address) as channel:
            request = models_pb2.ChangeServingRequest(set_alias=models_pb2.SetAlias(alias=ALIAS, version=1))
            models_pb2_grpc.ModelServiceStub(channel).ChangeServing(request, timeout=30)
        yield server


@pytest.fixture(scope="session")
def gateway(behind: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("gateway") / "errors", "--server", behind.address) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def client(behind: ServerProcess) -> Iterator[RankingClient]:
    """What answers of the gateway are held against."""
    with RankingClient(behind.address) as client:
        yield client
