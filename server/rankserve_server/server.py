"""The server's life: listen, load, answer, drain."""

import asyncio
import gc
import logging
import os
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Protocol, TypeVar

from rankserve_server.config import ServerConfig, address_of
from rankserve_server.errors import StoppingError
from rankserve_server.loaded_model import LoadedModel
from rankserve_server.loader import VersionLoader
from rankserve_server.loader_forks import LoaderForks
from rankserve_server.metrics.server_counts import ServerCounts
from rankserve_server.notify import Notifier
from rankserve_server.observing.opening import open_observer
from rankserve_server.protocols.open_inference.service import open_inference
from rankserve_server.protocols.service import ProtocolService
from rankserve_server.protocols.tf_serving.service import tf_serving
from rankserve_server.request_log.warm_up import WarmUp
from rankserve_server.security.access import Access
from rankserve_server.service.model_service import ModelService
from rankserve_server.service.planning import Planner
from rankserve_server.starting import (
    READY,
    StartError,
    address_error,
    free_address,
    print_ready,
    stop_signals_handled,
)
from rankserve_server.storage.mirror import Mirror
from rankserve_server.storage.store_watcher import StoreWatcher
from rankserve_server.tracing.load_trace import traced
from rankserve_server.transport.admin import AdminServer
from rankserve_server.transport.choosing import open_transport
from rankserve_server.transport.interface import Transport
from rankserve_server.versions.entry import ModelState
from rankserve_server.versions.repository import Repository
from rankserve_server.versions.shadowing import ShadowScorer
from rankserve_server.versions.watcher import Watcher
from rankserve_training.artifact import ArtifactError

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")

# New objects after which those that refer to each other are looked for; some hundred requests.
_COLLECTED_OBJECTS = 10_000


class RunningMetrics(Protocol):
    """What brings the metrics to whoever wants them."""

    def start(self) -> None:
        """From now on."""

    def stop(self) -> None:
        """No more."""


class Server:
    """One server process: `asyncio.run(Server(config).run())`."""

    def __init__(self, config: ServerConfig, forks: LoaderForks | None = None, version: int | None = None) -> None:
        """Starts nothing yet.

        Args:
            config: how it is to run.
            forks: what loading processes are forked from; None for one that is started when it is needed.
            version: of the default model, that answers whatever the operator's plan says; None for what that says.
        """
        self.config = config
        self._version = version
        self._forks = forks or LoaderForks()
        # A worker is not the process that systemd knows.
        self._notifier = Notifier({} if config.reuse_port else os.environ)
        self._serving = False

    async def run(self) -> None:
        """Serves until SIGTERM or SIGINT, then finishes what is in flight. A second signal ends that at once.

        Raises:
            StartError: where the address is taken or not usable, or no model can be served.
        """
        self._stopping = asyncio.Event()
        self._hurrying = asyncio.Event()
        with stop_signals_handled(self._stop):
            self._build()
            with self._calls_seen(), self._metrics_served():
                if self.config.reuse_port:
                    await self._load_then_listen()
                else:
                    await self._listen_then_load()

    @contextmanager
    def _calls_seen(self) -> Iterator[None]:
        """What is noted of calls is told until the last one has ended."""
        if self._observer is not None:
            self._observer.start()
        try:
            yield
        finally:
            if self._observer is not None:
                self._observer.stop()

    @contextmanager
    def _metrics_served(self) -> Iterator[None]:
        """Also while the models are loaded, and until the last call has ended."""
        if self._metrics is not None:
            self._metrics.start()
        try:
            yield
        finally:
            if self._metrics is not None:
                self._metrics.stop()

    async def _listen_then_load(self) -> None:
        """A taken port is known at once, and probes can be answered while the models are loaded."""
        await self._listen()
        try:
            if await self._load():
                await self._serve()
        finally:
            await self._shut_down()

    async def _load_then_listen(self) -> None:
        """A worker gets its share of the connections as soon as it listens, so it has to be able to answer."""
        if await self._load():
            await self._listen()
            try:
                await self._serve()
            finally:
                await self._shut_down()

    def _build(self) -> None:
        config, observing = self.config, self.config.observing
        counts = self._new_counts()
        self._observer = observer = open_observer(observing, None if counts is None else counts.observer)
        loader = VersionLoader(
            self._check_not_stopped,
            config.max_table_mib,
            config.max_memory_mib,
            config.security.trusted_keys,
            config.program_cache,
            counts=None if counts is None else counts.loads,
            warm_up=self._warm_up(),
            log_format=observing.log_format,
            log_level=config.log_level,
            forks=self._forks,
        )
        load = loader.load if counts is None else counts.loads.timed(loader.load)
        tell = None if observer is None else observer.tell
        if tell is not None:
            load = traced(load, loader.steps, tell)
        self._mirror = self._mirror_of(config)
        self._repository = Repository(
            config.models_dir, config.default_model, config.keep_versions, load, tell, self._mirror, self._version
        )
        self._store_watcher = None if self._mirror is None else StoreWatcher(self._mirror, config.store_seconds)
        self._watcher = Watcher(self._repository, config.watch_seconds)
        self._shadows = ShadowScorer(self._repository)
        planner = Planner(self._repository, config.limits, self._shadows, counted=counts is not None)
        access, models = Access(config), ModelService(self._repository, self._shadows, config.limits)
        protocols = self._other_protocols(planner) if config.other_protocols else []
        self._transport = self._open_transport(planner, models, access, protocols, counts)
        self._admin = AdminServer(config, models, access, protocols, counts, observer)
        self._metrics = self._metrics_of(counts)

    def _mirror_of(self, config: ServerConfig) -> Mirror | None:
        if config.store_url is None:
            return None
        largest = config.max_version_mib * 2**20
        return Mirror(config.store_url, config.models_dir, config.keep_versions, largest, self._check_not_stopped)

    def _new_counts(self) -> ServerCounts | None:
        """None where nobody wants to know."""
        return None if self.config.metrics_port is None else ServerCounts()

    def _open_transport(
        self,
        planner: Planner,
        models: ModelService,
        access: Access,
        protocols: list[ProtocolService],
        counts: ServerCounts | None,
    ) -> Transport:
        return open_transport(self.config, planner, models, access, protocols, counts, self._observer)

    def _warm_up(self) -> WarmUp | None:
        observing = self.config.observing
        if observing.warmup is None:
            return None
        return WarmUp(observing.warmup, self.config.limits, observing.warmup_requests, observing.warmup_seconds)

    def _other_protocols(self, planner: Planner) -> list[ProtocolService]:
        repository, limits = self._repository, self.config.limits
        inference = open_inference(planner, repository, limits, lambda: self._serving)
        return [inference, *tf_serving(planner, repository, limits)]

    def _metrics_of(self, counts: ServerCounts | None) -> "RunningMetrics | None":
        """Where the metrics go: of a worker to its supervisor; None where nobody wants them."""
        if counts is None or self.config.metrics_port is None:
            return None
        # Prometheus' library is imported only where there are metrics.
        from rankserve_server.metrics.endpoint import MetricsEndpoint
        from rankserve_server.metrics.server_metrics import ServerMetrics
        from rankserve_server.metrics.worker_reports import ReportSender

        metrics = ServerMetrics(counts, self._repository, self._shadows, self._transport, self._mirror)
        if self.config.metrics_socket is not None:
            return ReportSender(self.config.metrics_socket, metrics.collect)
        return MetricsEndpoint(self.config.metrics_host, self.config.metrics_port, metrics.collect_alone)

    async def _listen(self) -> None:
        if not self.config.reuse_port:
            free_address(self.config)
        try:
            port = self._transport.listen(self.config.address)
        except RuntimeError as error:
            raise address_error(self.config, error) from error
        self._address = address_of(self.config.host, port)
        await self._transport.start()
        self._admin.start()

    async def _load(self) -> bool:
        """Loads the models beside the event loop; False where a signal came meanwhile."""
        try:
            await asyncio.to_thread(self._repository.load)
        except StoppingError:
            return False
        except asyncio.CancelledError:
            # Ctrl-C came before our own handlers stood. The thread has to learn of it: the process waits for its end.
            self._stopping.set()
            raise
        except ArtifactError as error:
            raise StartError(str(error)) from error
        _freeze_heap()
        return True

    async def _begin_serving(self) -> None:
        self._serving = True
        await self._transport.set_serving()
        self._show_models_health()
        self._repository.on_change(partial(self._versions_changed, asyncio.get_running_loop()))
        self._watcher.start()
        if self._store_watcher is not None:
            self._store_watcher.start()

    async def _serve(self) -> None:
        await self._begin_serving()
        served = ", ".join(map(_describe, self._repository.served())) or "no model: all are unloaded"
        if not self.config.quiet or self.config.reuse_port:  # the supervisor of a worker waits for it
            print_ready(f"{READY}{self._address}, serving {served}")
        self._notifier.send("READY=1")
        async with self._notifier.watched(lambda: self._transport.turns):
            await self._stopping.wait()
            await self._leave()

    async def _leave(self) -> None:
        """Load balancers first learn of it; for as long as they may need to, whoever comes is answered."""
        self._notifier.send("STOPPING=1")
        self._serving = False
        await self._transport.set_not_serving()
        await self._unless_hurried(asyncio.sleep(self.config.grace_seconds))

    async def _shut_down(self) -> None:
        """Calls in flight are finished, then connections are closed."""
        self._stopping.set()  # also where it was not a signal that ended it: no version is loaded any more
        self._serving = False
        await self._transport.set_not_serving()
        left = await self._unless_hurried(self._transport.drain(self.config.drain_seconds))
        if left is None:
            left = self._transport.in_flight
        if left:
            _log.warning("Stopping with %d requests in flight.", left)
        await self._transport.stop(at_once=bool(left))
        await self._admin.stop()
        await asyncio.to_thread(self._watcher.stop)
        if self._store_watcher is not None:
            await asyncio.to_thread(self._store_watcher.stop)
        await asyncio.to_thread(self._shadows.stop)

    async def _unless_hurried(self, waiting: Coroutine[Any, Any, _Result]) -> _Result | None:
        """Waits for something, until a second signal at most; then it is None."""
        task = asyncio.create_task(waiting)
        hurry = asyncio.create_task(self._hurrying.wait())
        await asyncio.wait((task, hurry), return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if task.done():
            return task.result()
        task.cancel()
        return None

    def _versions_changed(self, loop: asyncio.AbstractEventLoop) -> None:
        """On whichever thread has changed them."""
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(self._show_models_health)

    def _show_models_health(self) -> None:
        """What the health service says of each model, by NAME, and of each version, by NAME/VERSION."""
        if self._stopping.is_set():
            return
        served = {model.name: True for model in self._repository.served()}
        versions = {f"{e.name}/{e.version}": e.state is ModelState.READY for e in self._repository.entries()}
        self._transport.set_models_health(served | versions)

    def _check_not_stopped(self) -> None:
        """Between the steps of loading, on its thread."""
        if self._stopping.is_set():
            raise StoppingError("the server is shutting down, and loads nothing any more; another one can answer")

    def _stop(self) -> None:
        if self._stopping.is_set():
            self._hurrying.set()
        self._stopping.set()


def _freeze_heap() -> None:
    """Takes all that was loaded out of garbage collection: looking through it again and again stops every request.

    What a request leaves behind is freed without it, but for errors; so it need not look often either.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECTED_OBJECTS)
    gc.enable()  # see `running`


def _describe(model: LoadedModel) -> str:
    return f"{model.name}/{model.version} ({len(model.users):,} users, {len(model.catalog):,} items)"
