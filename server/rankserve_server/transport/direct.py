"""The transport with the direct lane: a public threaded `grpc.Server` whose ranking service the lane answers."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc
from grpc_health.v1 import health_pb2

from rankserve_server.config import ServerConfig
from rankserve_server.protocols.service import ProtocolService
from rankserve_server.security.access import Access
from rankserve_server.security.interceptors import GateInterceptor
from rankserve_server.service.health import Health
from rankserve_server.service.model_service import ModelService
from rankserve_server.service.planning import Planner
from rankserve_server.transport.lane import Lane
from rankserve_server.transport.protocol_handlers import threaded_handlers
from rankserve_server.transport.services import (
    HEALTH_NAMES,
    LAST_BYTES_SECONDS,
    MODEL_SERVICE,
    add_port,
    channel_options,
    registry_of,
)

if TYPE_CHECKING:
    from rankserve_server.metrics.server_counts import ServerCounts
    from rankserve_server.observing.call_observer import CallObserver

# Threads for ModelService and its like, started as they are needed. The calls are short, but hold one each until their
# message is there.
_POOL_THREADS = 64


class DirectTransport:
    """See `Transport`."""

    name = "direct"

    def __init__(
        self,
        config: ServerConfig,
        planner: Planner,
        models: ModelService,
        access: Access,
        protocols: Sequence[ProtocolService],
        counts: "ServerCounts | None" = None,
        observer: "CallObserver | None" = None,
    ) -> None:
        self._credentials = access.credentials
        calls, queue = (None, None) if counts is None else (counts.new_calls(), counts.queue)
        self._health = Health(HEALTH_NAMES)
        self._server = grpc.server(
            ThreadPoolExecutor(_POOL_THREADS),
            interceptors=[GateInterceptor(access.gate, calls, observer)] if access.gate else [],
            options=channel_options(config),
        )
        self._lane = Lane(
            self._server,
            planner,
            config.limits,
            self._health,
            access.gate,
            access.reflection,
            protocols,
            calls,
            queue,
            observer,
        )
        registry = registry_of(self._server, calls, observer)
        registry.add_registered_method_handlers(MODEL_SERVICE, threaded_handlers(models.answers()))
        for service in protocols:
            registry.add_registered_method_handlers(service.name, threaded_handlers(service.slow))

    @property
    def in_flight(self) -> int:
        return self._lane.in_flight

    @property
    def queued_candidates(self) -> int:
        return self._lane.jobs.queued_candidates

    @property
    def turns(self) -> int:
        return self._lane.rounds

    def listen(self, address: str) -> int:
        return add_port(self._server, address, self._credentials)

    async def start(self) -> None:
        self._server.start()
        self._lane.start()

    async def set_serving(self) -> None:
        self._health.set(health_pb2.HealthCheckResponse.SERVING)

    async def set_not_serving(self) -> None:
        self._health.set(health_pb2.HealthCheckResponse.NOT_SERVING)

    def set_models_health(self, ready: Mapping[str, bool]) -> None:
        self._health.set_models(ready)

    async def drain(self, seconds: float) -> int:
        return await asyncio.to_thread(self._lane.drain, seconds)

    async def stop(self, at_once: bool) -> None:
        self._lane.stop_asking()
        stopped = self._server.stop(None if at_once else LAST_BYTES_SECONDS)
        await asyncio.to_thread(stopped.wait)
        await asyncio.to_thread(self._lane.close)
