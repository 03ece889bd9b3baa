"""A server on a thread of the test's own process, with a fake engine that the test can hold."""

import asyncio
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from integration.server_process import free_port
from rankserve.v1 import models_pb2_grpc, ranking_pb2, ranking_pb2_grpc
from rankserve_server.config import ServerConfig, TransportName
from rankserve_server.limits import Limits
from rankserve_server.loaded_model import LoadedModel
from rankserve_server.loader import VersionLoader
from rankserve_server.observing.observing_config import ObservingConfig
from rankserve_server.server import Server
from server.fake_engine import FakeEngine
from server.small_model import small_model

Serve: TypeAlias = Callable[..., AbstractAsyncContextManager["LocalServer"]]
Health: TypeAlias = health_pb2.HealthCheckResponse
_STOP_SECONDS = 20.0
# The first attempt comes before the server listens.
_RECONNECT_AT_ONCE = [(f"grpc.{which}_reconnect_backoff_ms", 20) for which in ("initial", "min", "max")]


class SignalledLoop(asyncio.SelectorEventLoop):
    """Real signals come to the main thread only: here they are method calls."""

    def __init__(self) -> None:
        super().__init__()
        self._handlers: dict[int, Callable[[], object]] = {}

    def add_signal_handler(self, sig: int, callback: Callable[..., Any], *args: Any) -> None:  # type: ignore[override]  # narrower than asyncio's, enough here
        self._handlers[sig] = partial(callback, *args)

    def remove_signal_handler(self, sig: int) -> bool:
        return self._handlers.pop(sig, None) is not None

    def signal(self, sig: int) -> None:
        """Can be called on any thread."""
        self.call_soon_threadsafe(self._handlers[sig])


class LocalServer:
    """A server, and stubs to call it."""

    def __init__(self, config: ServerConfig, channel: grpc.aio.Channel, engine: FakeEngine) -> None:
        self.engine = engine
        self.channel = channel
        self.ranking: ranking_pb2_grpc.RankingServiceAsyncStub = ranking_pb2_grpc.RankingServiceStub(channel)
        self.models: models_pb2_grpc.ModelServiceAsyncStub = models_pb2_grpc.ModelServiceStub(channel)
        self.health: Any = health_pb2_grpc.HealthStub(channel)  # its types know nothing of its methods
        self.address = config.address
        self._loop = SignalledLoop()
        self._running = asyncio.create_task(asyncio.to_thread(self._run, config))
        self._stopping = False

    def _run(self, config: ServerConfig) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(Server(config).run())

    def stop(self) -> None:
        """Sends it the signal that an operator would."""
        self._stopping = True
        self._loop.signal(signal.SIGTERM)

    async def stopped(self, seconds: float = _STOP_SECONDS) -> float:
        """Waits for its end, and returns how many seconds that took."""
        started = time.monotonic()
        if not self._stopping and not self._running.done():
            self.stop()
        await asyncio.wait_for(asyncio.shield(self._running), seconds)
        return time.monotonic() - started

    async def health_is(self, status: int) -> None:
        """Waits until the health service says so."""
        watch = self.health.Watch(health_pb2.HealthCheckRequest(), wait_for_ready=True)
        async for answer in watch:
            if answer.status == status:
                watch.cancel()
                return
        raise AssertionError("Watch has ended")


async def read(stream: grpc.aio.StreamStreamCall[Any, ranking_pb2.RankResponse]) -> ranking_pb2.RankResponse:
    """The next answer, which there has to be."""
    response = await stream.read()
    assert isinstance(response, ranking_pb2.RankResponse)
    return response


@pytest.fixture(params=["aio", "direct"])
def transport(request: pytest.FixtureRequest) -> TransportName:
    """Both have to do the same."""
    name: TransportName = request.param
    return name


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transport: TransportName) -> Serve:
    """Serves one version, `small/3`, with the given limits. Where there is an event `loaded`, loading waits for it."""
    (tmp_path / "small" / "3").mkdir(parents=True)

    @asynccontextmanager
    async def local_server(
        *,
        loaded: threading.Event | None = None,
        drain_seconds: float = 30.0,
        grace_seconds: float = 0.0,
        observing: ObservingConfig | None = None,
        **limits: int,
    ) -> AsyncIterator[LocalServer]:
        model = small_model()
        monkeypatch.setattr(VersionLoader, "load", lambda loader, *_, **__: _loaded(model, loaded, loader.checkpoint))
        config = ServerConfig(
            tmp_path,
            port=free_port(),
            drain_seconds=drain_seconds,
            grace_seconds=grace_seconds,
            transport=transport,
            limits=Limits(**limits),
            observing=observing or ObservingConfig(),
        )
        async with grpc.aio.insecure_channel(config.address, _RECONNECT_AT_ONCE) as channel:
            assert isinstance(model.engine, FakeEngine)
            server = LocalServer(config, channel, model.engine)
            await server.health_is(Health.SERVING if loaded is None else Health.NOT_SERVING)
            try:
                yield server
            finally:
                await server.stopped()

    return local_server


def _loaded(model: LoadedModel, may_end: threading.Event | None, checkpoint: Callable[[], None]) -> LoadedModel:
    while may_end is not None and not may_end.wait(0.01):
        checkpoint()
    return model
