"""A small version that can do everything, and one server of it for each transport."""

import shutil
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest

from conftest import StartServer
from integration.server_process import RANKSERVE, ServerProcess
from server.two_towers import Published, publish_towers, random_towers

SOON = 12.0
# What grpc.aio logs, with a traceback, where a client goes while an answer is under way; not of direct.
GRPC_AIO_ITSELF = "ExecuteBatchError raised in core by servicer method"


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """A version of two towers with random weights, which uses all that a request can tell."""
    return publish_towers(tmp_path_factory.mktemp("small"), random_towers())


@pytest.fixture(scope="session", params=["aio", "direct"])
def server(
    request: pytest.FixtureRequest, published: Published, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """Whatever is done to it, it has to end well: exit code 0, no traceback of ours."""
    arguments = ("--models-dir", str(published.models_dir), "--port", "0", "--transport", request.param)
    process = ServerProcess(*arguments, errors=tmp_path_factory.mktemp("server") / "errors", forked=True)
    try:
        yield process.wait_until_ready()
        assert process.process.poll() is None, f"the server has died: {process.errors}"
        started = time.monotonic()
        ended = process.stop()
        # What it still believed in flight would hold it for 30 seconds.
        assert time.monotonic() - started < SOON, ended.errors
        assert "in flight" not in ended.errors, ended.errors
        assert (ended.code, ended.output) == (0, ""), ended.errors
        assert ended.errors.count("Traceback") == ended.errors.count(GRPC_AIO_ITSELF), ended.errors
    finally:
        process.close()


@pytest.fixture
def start_server(published: Published, tmp_path: Path) -> Iterator[StartServer]:
    """Starts `rankserve serve` with the given flags, by default on the small version and a free port."""
    servers: list[ServerProcess] = []

    def start(
        *flags: str,
        models: Path = published.models_dir,
        port: int = 0,
        command: tuple[str, ...] = (RANKSERVE,),
        env: Mapping[str, str] | None = None,
        forked: bool = True,
    ) -> ServerProcess:
        arguments = ("--models-dir", str(models), "--port", str(port), *flags)
        errors = tmp_path / f"errors-{len(servers)}"
        forked = forked and command == (RANKSERVE,) and env is None
        servers.append(ServerProcess(*arguments, errors=errors, command=command, env=env, forked=forked))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def start_trained(start_server: StartServer, models_dir: Path) -> StartServer:
    """The same by default on the trained version, whose candidates cost what those of a real model do."""
    return partial(start_server, models=models_dir)


@pytest.fixture
def models(published: Published, tmp_path: Path) -> Path:
    """A MODELS_DIR of one's own that holds the version, to be broken."""
    return Path(shutil.copytree(published.models_dir, tmp_path / "models"))
