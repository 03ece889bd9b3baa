"""The server's life: listen, load, answer, drain."""

import asyncio
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from rankserve.v1 import models_pb2, models_pb2_grpc, ranking_pb2, ranking_pb2_grpc
from rankserve_server.config import ServerConfig, address_of
from rankserve_server.loaded_model import LoadedModel
from rankserve_server.repository import Repository
from rankserve_server.service.calls import Calls
from rankserve_server.service.model_service import ModelService
from rankserve_server.service.ranking_service import RankingService
from rankserve_server.service.score_waiter import ScoreWaiter

_log = logging.getLogger(__name__)

RANKING_SERVICE = ranking_pb2.DESCRIPTOR.services_by_name["RankingService"].full_name
MODEL_SERVICE = models_pb2.DESCRIPTOR.services_by_name["ModelService"].full_name
# "" is the whole server, as probes ask for it that name no service.
_HEALTH_NAMES = ("", RANKING_SERVICE)
# What is left after the drain are calls without an end, such as Watch of the health service, and answers on their way.
_LAST_BYTES_SECONDS = 1.0


class StartError(Exception):
    """The server cannot start. The message says why and what to do."""


class _StoppedError(Exception):
    """A signal came while the models were being loaded."""


class Server:
    """One server process: `asyncio.run(Server(config).run())`."""

    def __init__(self, config: ServerConfig) -> None:
        self.config = config

    async def run(self) -> None:
        """Serves until SIGTERM or SIGINT, then finishes what is in flight. A second signal ends that at once.

        Raises:
            StartError: where the address is taken or not usable.
            ArtifactError: where no model can be served.
        """
        self._stopping = asyncio.Event()
        self._hurrying = asyncio.Event()
        with self._signals_handled():
            self._build()
            self._listen()
            await self._server.start()
            try:
                if await self._load():
                    await self._serve()
            finally:
                await self._shut_down()

    def _build(self) -> None:
        config = self.config
        self._repository = Repository(config.models_dir, config.default_model)
        self._waiter = ScoreWaiter(config.limits.max_queued_candidates)
        self._calls = Calls()
        self._health = health.aio.HealthServicer()
        self._server = grpc.aio.server(
            options=[
                # Without it a second server would share the port, and the clients of both would get either.
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", config.limits.max_message_bytes),
            ]
        )
        ranking = RankingService(self._repository, self._waiter, self._calls, config.limits)
        ranking_pb2_grpc.add_RankingServiceServicer_to_server(ranking, self._server)
        models_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(self._repository, self._calls), self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (RANKING_SERVICE, MODEL_SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)

    def _listen(self) -> None:
        """Takes the port before anything is loaded, so that a taken one is known at once."""
        address = self.config.address
        try:
            port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise StartError(
                f"cannot listen on {address}: is another server running there? Choose another with --port"
            ) from error
        self._address = address_of(self.config.host, port)

    async def _load(self) -> bool:
        """Loads the models beside the event loop; False where a signal came meanwhile."""
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        try:
            await asyncio.to_thread(self._repository.load, self._check_not_stopped)
        except _StoppedError:
            return False
        return True

    async def _serve(self) -> None:
        await self._set_health(health_pb2.HealthCheckResponse.SERVING)
        served = ", ".join(_describe(model) for model in self._repository.served())
        # The one line on stdout; scripts wait for it.
        print(f"rankserve ready on {self._address}, serving {served}", flush=True)
        await self._stopping.wait()

    async def _shut_down(self) -> None:
        """Load balancers first learn of it, then calls in flight are finished, then connections are closed."""
        await self._health.enter_graceful_shutdown()
        drain = asyncio.create_task(self._calls.drain(self.config.drain_seconds))
        hurry = asyncio.create_task(self._hurrying.wait())
        await asyncio.wait((drain, hurry), return_when=asyncio.FIRST_COMPLETED)
        left = drain.result() if drain.done() else self._calls.count
        hurry.cancel()
        drain.cancel()
        if left:
            _log.warning("Stopping with %d calls in flight.", left)
        await self._server.stop(None if left else _LAST_BYTES_SECONDS)
        self._waiter.close()

    async def _set_health(self, status: int) -> None:
        for name in _HEALTH_NAMES:
            await self._health.set(name, status)

    def _check_not_stopped(self) -> None:
        """Between the steps of loading, on its thread."""
        if self._stopping.is_set():
            raise _StoppedError

    def _stop(self) -> None:
        if self._stopping.is_set():
            self._hurrying.set()
        self._stopping.set()

    @contextmanager
    def _signals_handled(self) -> Iterator[None]:
        """SIGTERM and SIGINT stop the server while this is open."""
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGTERM, signal.SIGINT)
        for number in numbers:
            loop.add_signal_handler(number, self._stop)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)


def _describe(model: LoadedModel) -> str:
    return f"{model.name}/{model.version} ({len(model.users):,} users, {len(model.catalog):,} items)"
