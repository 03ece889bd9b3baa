"""A server on a thread of the tests' own process, with a fake engine, for a whole module of tests."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from integration.server_process import free_port, wait_for_port
from rankserve_server.config import ServerConfig
from rankserve_server.loader import VersionLoader
from rankserve_server.server import Server
from server.service.conftest import SignalledLoop
from server.small_model import small_model


@contextmanager
def threaded_server(config: ServerConfig, models_dir: Path) -> Iterator[str]:
    """Serves `small/3` on a free port, whatever the config says of models and port; gives the address."""
    (models_dir / "small" / "3").mkdir(parents=True)
    config = replace(config, models_dir=models_dir, port=free_port())
    loop = SignalledLoop()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(Server(config).run())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VersionLoader, "load", lambda *_, **__: small_model())
        thread = threading.Thread(target=run)
        thread.start()
        try:
            wait_for_port(config.port)
            yield f"127.0.0.1:{config.port}"
        finally:
            loop.signal(signal.SIGTERM)
            thread.join(30)
            assert not thread.is_alive()


def status_of(call: grpc.Call) -> grpc.StatusCode:
    """How the call of a stream has ended; one that has answered is ended here, as it may be one without an end."""
    answers: Any = call
    with suppress(grpc.RpcError):
        for _ in answers:
            call.cancel()
            return grpc.StatusCode.OK
    return call.code()
