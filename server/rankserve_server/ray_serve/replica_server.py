"""The server inside a replica: models, queue, engine and services as in a server of our own, and no port."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from ray.serve.grpc_util import RayServegRPCContext

from rankserve_server.config import ServerConfig
from rankserve_server.metrics.server_counts import ServerCounts
from rankserve_server.protocols.service import ProtocolService
from rankserve_server.ray_serve.methods import Method
from rankserve_server.ray_serve.transport import RayTransport
from rankserve_server.security.access import Access
from rankserve_server.server import Server
from rankserve_server.service.model_service import ModelService
from rankserve_server.service.planning import Planner
from rankserve_server.starting import StartError

if TYPE_CHECKING:
    from rankserve_server.ray_serve.exported_metrics import ExportedMetrics


class ReplicaServer(Server):
    """`await start()`, then calls, then `await stop()`, all on one event loop."""

    _ray_transport: RayTransport

    def __init__(self, config: ServerConfig, version: int | None) -> None:
        super().__init__(config, version=version)

    async def start(self) -> None:
        """Loads; calls can be answered when it returns.

        Raises:
            StartError: where no model can be served, or not the version that is asked for.
        """
        self._stopping = asyncio.Event()
        self._hurrying = asyncio.Event()
        self._build()
        if await self._load():
            self._check_version()
            await self._begin_serving()
            if self._metrics is not None:
                self._metrics.start()

    async def stop(self) -> None:
        """Finishes what is in flight."""
        await self._shut_down()
        if self._metrics is not None:
            await asyncio.to_thread(self._metrics.stop)

    def check_serving(self) -> None:
        """Raises a RuntimeError where no version can answer."""
        if not self._serving:
            raise RuntimeError("the replica does not serve")
        self._repository.check_ready()
        if not self._repository.served() and not self._repository.unloaded_names():
            raise RuntimeError("no version of any model is loaded")

    async def answer(self, method: Method, message: bytes, context: RayServegRPCContext) -> bytes:
        """See `RayTransport.answer`."""
        return await self._ray_transport.answer(method, message, context)

    def stream(
        self, method: Method, requests: AsyncIterator[bytes], context: RayServegRPCContext
    ) -> AsyncIterator[bytes]:
        """See `RayTransport.stream`."""
        return self._ray_transport.stream(method, requests, context)

    def _new_counts(self) -> ServerCounts:
        return ServerCounts()

    def _open_transport(
        self,
        planner: Planner,
        models: ModelService,
        access: Access,
        protocols: list[ProtocolService],
        counts: ServerCounts | None,
    ) -> RayTransport:
        self._ray_transport = RayTransport(self.config, planner, models, access, protocols, counts or ServerCounts())
        return self._ray_transport

    def _metrics_of(self, counts: ServerCounts | None) -> "ExportedMetrics | None":
        from rankserve_server.metrics.server_metrics import ServerMetrics
        from rankserve_server.ray_serve.exported_metrics import ExportedMetrics

        if counts is None:
            return None
        metrics = ServerMetrics(counts, self._repository, self._shadows, self._transport)
        return ExportedMetrics(metrics.collect)

    def _check_version(self) -> None:
        """A replica that has something else than it is to have must not take the place of one that is well."""
        if self._version is None:
            return
        current = self._repository.select()
        if current.version != self._version:
            reason = next(
                (e.message for e in self._repository.entries_of("") if e.version == self._version and e.message),
                "there is none",
            )
            raise StartError(f"version {self._version} of model {current.name!r} cannot be served: {reason}")
