"""A server on a thread of the tests' own process, with a fake engine, for a whole module of tests."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from integration.server_process import free_port
from rankserve_server import server as server_module
from rankserve_server.config import ServerConfig
from rankserve_server.loader import VersionLoader
from rankserve_server.server import Server
from server.small_model import small_model


@contextmanager
def threaded_server(config: ServerConfig, models_dir: Path) -> Iterator[str]:
    """Serves `small/3` on a free port, whatever the config says of models and port; gives the address."""
    (models_dir / "small" / "3").mkdir(parents=True)
    config = replace(config, models_dir=models_dir, port=free_port())
    stops: list[Callable[[], object]] = []
    ready = threading.Event()

    @contextmanager
    def stop_handled(stop: Callable[[], None]) -> Iterator[None]:
        """Real signals come to the main thread only."""
        stops.append(partial(asyncio.get_running_loop().call_soon_threadsafe, stop))
        yield

    def run() -> None:
        asyncio.run(Server(config).run())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server_module, "stop_signals_handled", stop_handled)
        patch.setattr(server_module, "print_ready", lambda _: ready.set())
        patch.setattr(VersionLoader, "load", lambda *_, **__: small_model())
        thread = threading.Thread(target=run)
        thread.start()
        try:
            assert ready.wait(30)
            yield f"127.0.0.1:{config.port}"
        finally:
            stops[0]()
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
