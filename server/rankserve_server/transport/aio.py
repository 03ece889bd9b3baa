"""The transport on grpcio's public asyncio API."""

import asyncio
import logging
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc
from grpc_health.v1 import health_pb2

from rankserve.v1 import models_pb2_grpc
from rankserve_server.config import ServerConfig
from rankserve_server.security.access import Access
from rankserve_server.security.interceptors import AsyncGateInterceptor
from rankserve_server.service.async_health_service import AsyncHealthService
from rankserve_server.service.async_ranking_service import AsyncRankingService
from rankserve_server.service.calls import Calls
from rankserve_server.service.health import Health
from rankserve_server.service.model_service import ModelService
from rankserve_server.service.planning import Planner
from rankserve_server.service.score_waiter import ScoreWaiter
from rankserve_server.transport.services import (
    HEALTH_NAMES,
    HEALTH_SERVICE,
    LAST_BYTES_SECONDS,
    RANKING_SERVICE,
    UNSEEN_CALLS_OF_AIO,
    add_port,
    channel_options,
    enable_async_reflection,
    registry_of,
)

if TYPE_CHECKING:
    from rankserve_server.metrics.server_counts import ServerCounts

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
        counts: "ServerCounts | None" = None,
    ) -> None:
        logging.getLogger(_GRPC_AIO_LOGGER).addFilter(_is_news)
        self._credentials = access.credentials
        self._waiter = ScoreWaiter(config.limits, None if counts is None else counts.queue)
        self._calls = Calls()
        self._health = AsyncHealthService(Health(HEALTH_NAMES))
        calls = None if counts is None else counts.new_calls()
        self._server = grpc.aio.server(
            migration_thread_pool=ThreadPoolExecutor(_POOL_THREADS),
            interceptors=[AsyncGateInterceptor(access.gate, calls)] if access.gate else [],
            options=channel_options(config, UNSEEN_CALLS_OF_AIO),
        )
        ranking = AsyncRankingService(planner, self._waiter, self._calls, config.limits.max_stream_requests)
        # Registered, not generic: the core then knows the method, which saves some 5% of a request.
        registry = registry_of(self._server, calls)
        registry.add_registered_method_handlers(RANKING_SERVICE, _handlers_of(ranking))
        models_pb2_grpc.add_ModelServiceServicer_to_server(models, registry)
        registry.add_registered_method_handlers(HEALTH_SERVICE, _health_handlers_of(self._health))
        if access.reflection:
            enable_async_reflection(registry)

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


def _handlers_of(ranking: AsyncRankingService) -> "dict[str, grpc.RpcMethodHandler[bytes, bytes]]":
    return {
        "Rank": grpc.stream_unary_rpc_method_handler(ranking.rank),
        "BatchRank": grpc.stream_unary_rpc_method_handler(ranking.batch_rank),
        "RankStream": grpc.stream_stream_rpc_method_handler(ranking.rank_stream),
    }


def _health_handlers_of(health: AsyncHealthService) -> "dict[str, grpc.RpcMethodHandler[bytes, bytes]]":
    return {
        "Check": grpc.unary_unary_rpc_method_handler(health.check),
        "List": grpc.unary_unary_rpc_method_handler(health.list),
        "Watch": grpc.unary_stream_rpc_method_handler(health.watch),
    }
