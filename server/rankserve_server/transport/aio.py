"""The transport on grpcio's public asyncio API."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health_pb2

from rankserve_server.config import ServerConfig
from rankserve_server.protocols.service import ProtocolService, ScoredStream
from rankserve_server.security.access import Access
from rankserve_server.security.interceptors import AsyncGateInterceptor
from rankserve_server.service.async_health_service import AsyncHealthService
from rankserve_server.service.async_scoring import AsyncScoring
from rankserve_server.service.calls import Calls
from rankserve_server.service.conversion import encoded_refusal
from rankserve_server.service.health import Health
from rankserve_server.service.model_service import ModelService
from rankserve_server.service.planning import Planner
from rankserve_server.service.score_waiter import ScoreWaiter
from rankserve_server.transport.protocol_handlers import answered, threaded_handlers
from rankserve_server.transport.services import (
    HEALTH_NAMES,
    HEALTH_SERVICE,
    LAST_BYTES_SECONDS,
    MODEL_SERVICE,
    RANKING_SERVICE,
    UNSEEN_CALLS_OF_AIO,
    add_port,
    channel_options,
    enable_async_reflection,
    registry_of,
)

if TYPE_CHECKING:
    from rankserve_server.metrics.server_counts import ServerCounts
    from rankserve_server.observing.call_observer import CallObserver

# The one logger of grpc.aio's own.
_GRPC_AIO_LOGGER = "grpc._cython.cygrpc"
# Threads for ModelService, whose calls are short and rare.
_POOL_THREADS = 4
_LAST_REFUSALS_SECONDS = 0.1


def _is_news(record: logging.LogRecord) -> bool:
    """Not that a client has gone while its answer was sent: grpc.aio logs that with a traceback, as an error."""
    return not record.getMessage().startswith("ExecuteBatchError")


class AioTransport:
    """See `Transport`. Belongs to the running event loop."""

    name = "aio"

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
        logging.getLogger(_GRPC_AIO_LOGGER).addFilter(_is_news)
        self._credentials = access.credentials
        self._waiter = ScoreWaiter(config.limits, None if counts is None else counts.queue, observer)
        self._calls = Calls()
        self._health = AsyncHealthService(Health(HEALTH_NAMES))
        calls = None if counts is None else counts.new_calls()
        self._server = grpc.aio.server(
            migration_thread_pool=ThreadPoolExecutor(_POOL_THREADS),
            interceptors=[AsyncGateInterceptor(access.gate, calls, observer)] if access.gate else [],
            options=channel_options(config, UNSEEN_CALLS_OF_AIO),
        )
        scoring = AsyncScoring(planner, self._waiter, self._calls, config.limits.max_stream_requests, observer)
        registry = registry_of(self._server, calls, observer)
        register_services(registry, scoring, planner, models, self._health, protocols)
        if access.reflection:
            enable_async_reflection(registry, protocols)

    @property
    def in_flight(self) -> int:
        return self._calls.count

    @property
    def queued_candidates(self) -> int:
        return self._waiter.queued_candidates

    @property
    def turns(self) -> int:
        return time.monotonic_ns()  # whoever can ask runs on the loop that answers

    def listen(self, address: str) -> int:
        return add_port(self._server, address, self._credentials)

    async def start(self) -> None:
        await self._server.start()

    async def set_serving(self) -> None:
        self._health.set(health_pb2.HealthCheckResponse.SERVING)

    async def set_not_serving(self) -> None:
        self._health.set(health_pb2.HealthCheckResponse.NOT_SERVING)

    def set_models_health(self, ready: Mapping[str, bool]) -> None:
        self._health.set_models(ready)

    async def drain(self, seconds: float) -> int:
        return await self._calls.drain(seconds)

    async def stop(self, at_once: bool) -> None:
        self._health.end()
        if not at_once:
            # grpc.aio takes calls one by one, and a stop cancels those that it has not taken yet: under load, most
            # callers. Refused, they know that they may try elsewhere.
            await asyncio.sleep(_LAST_REFUSALS_SECONDS)
        await self._server.stop(None if at_once else LAST_BYTES_SECONDS)
        self._waiter.close()


def register_services(
    registry: Any,
    scoring: AsyncScoring,
    planner: Planner,
    models: ModelService,
    health: AsyncHealthService,
    protocols: Sequence[ProtocolService],
) -> None:
    """Registers every service but reflection; `registry` is what generated code takes for a server."""
    # Registered, not generic: the core then knows the method, which saves some 5% of a request.
    registry.add_registered_method_handlers(RANKING_SERVICE, _handlers_of(scoring, planner))
    registry.add_registered_method_handlers(MODEL_SERVICE, threaded_handlers(models.answers()))
    registry.add_registered_method_handlers(HEALTH_SERVICE, _health_handlers_of(health))
    for service in protocols:
        handlers = {**_protocol_handlers_of(service, scoring), **threaded_handlers(service.slow)}
        registry.add_registered_method_handlers(service.name, handlers)


def _handlers_of(scoring: AsyncScoring, planner: Planner) -> "dict[str, grpc.RpcMethodHandler[bytes, bytes]]":
    stream = ScoredStream(planner.plan_rank, encoded_refusal)
    return {
        "Rank": grpc.stream_unary_rpc_method_handler(scoring.unary(planner.plan_rank)),
        "BatchRank": grpc.stream_unary_rpc_method_handler(scoring.unary(planner.plan_batch_rank)),
        "RankStream": grpc.stream_stream_rpc_method_handler(scoring.stream(stream)),
    }


def _protocol_handlers_of(
    service: ProtocolService, scoring: AsyncScoring
) -> "dict[str, grpc.RpcMethodHandler[bytes, bytes]]":
    unary = {name: scoring.unary(plan) for name, plan in service.scored.items()}
    unary |= {name: answered(answer) for name, answer in service.quick.items()}
    streams = {name: scoring.stream(scored) for name, scored in service.streams.items()}
    return {
        **{name: grpc.stream_unary_rpc_method_handler(handler) for name, handler in unary.items()},
        **{name: grpc.stream_stream_rpc_method_handler(handler) for name, handler in streams.items()},
    }


def _health_handlers_of(health: AsyncHealthService) -> "dict[str, grpc.RpcMethodHandler[bytes, bytes]]":
    return {
        "Check": grpc.unary_unary_rpc_method_handler(health.check),
        "List": grpc.unary_unary_rpc_method_handler(health.list),
        "Watch": grpc.unary_stream_rpc_method_handler(health.watch),
    }
