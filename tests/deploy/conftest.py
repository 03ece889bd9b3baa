"""A small version, servers of it, and an Envoy before them."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from deploy.envoy_process import EnvoyProcess, write_descriptors
from deploy.three_servers import ThreeServers
from server.two_towers import Published, publish_towers, random_towers


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """A version of two towers with random weights."""
    return publish_towers(tmp_path_factory.mktemp("deployed"), random_towers())


@pytest.fixture(scope="session")
def descriptors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make descriptors` writes."""
    return write_descriptors(tmp_path_factory.mktemp("descriptors") / "rankserve.pb")


@pytest.fixture(scope="module")
def servers(published: Published, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreeServers]:
    """Three of them, on ports that they keep when they are started again."""
    with ThreeServers(published.models_dir, tmp_path_factory.mktemp("three")) as started:
        yield started


@pytest.fixture(scope="module")
def envoy(servers: ThreeServers, descriptors: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnvoyProcess]:
    """With the configuration of deploy/, before the three."""
    with ExitStack() as stack:
        process = stack.enter_context(EnvoyProcess(servers.ports, descriptors, tmp_path_factory.mktemp("envoy")))
        process.wait_for_healthy(3)
        yield process
