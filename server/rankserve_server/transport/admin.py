"""A small server of its own for admin calls, at an address that only this machine can reach."""

import asyncio
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc

from rankserve_server.config import ServerConfig
from rankserve_server.protocols.service import ProtocolService
from rankserve_server.security.access import Access
from rankserve_server.security.addresses import UNIX
from rankserve_server.security.interceptors import GateInterceptor
from rankserve_server.service.model_service import ModelService
from rankserve_server.starting import StartError, bound
from rankserve_server.transport.protocol_handlers import threaded_handlers
from rankserve_server.transport.services import (
    LAST_BYTES_SECONDS,
    MODEL_SERVICE,
    channel_options,
    enable_reflection,
    registry_of,
)

if TYPE_CHECKING:
    from rankserve_server.metrics.server_counts import ServerCounts
    from rankserve_server.observing.call_observer import CallObserver

_log = logging.getLogger(__name__)

_POOL_THREADS = 8
# For the owner of the process alone.
_SOCKET_UMASK = 0o177


class AdminServer:
    """ModelService, its like of other protocols, and reflection at `--admin-address`, where there is one."""

    def __init__(
        self,
        config: ServerConfig,
        models: ModelService,
        access: Access,
        protocols: Sequence[ProtocolService],
        counts: "ServerCounts | None" = None,
        observer: "CallObserver | None" = None,
    ) -> None:
        """Does not listen yet."""
        self._config = config
        self._address = config.security.admin_address
        self._models = models
        self._protocols = protocols
        self._gate = access.admin_gate
        self._calls = None if counts is None else counts.new_calls()
        self._observer = observer
        self._server: grpc.Server | None = None

    def start(self) -> None:
        """Takes calls.

        Raises:
            StartError: where the address cannot be had.
        """
        if self._address is None:
            return
        self._server = self._build()
        before = os.umask(_SOCKET_UMASK)
        try:
            _check_free(self._address)
            port = self._server.add_insecure_port(self._address)
        except (OSError, RuntimeError) as error:
            raise StartError(f"cannot listen on --admin-address {self._address}: is another server there?") from error
        finally:
            os.umask(before)
        self._server.start()
        shown = self._address if self._address.startswith(UNIX) else f"{self._address.rpartition(':')[0]}:{port}"
        _log.info("Admin calls are taken at %s.", shown)

    async def stop(self) -> None:
        """Ends every call, and removes a Unix socket."""
        if self._server is not None:
            await asyncio.to_thread(self._server.stop(LAST_BYTES_SECONDS).wait)

    def _build(self) -> grpc.Server:
        server = grpc.server(
            ThreadPoolExecutor(_POOL_THREADS),
            interceptors=[GateInterceptor(self._gate, self._calls, self._observer)] if self._gate else [],
            options=channel_options(self._config),
        )
        registry = registry_of(server, self._calls, self._observer)
        registry.add_registered_method_handlers(MODEL_SERVICE, threaded_handlers(self._models.answers()))
        for service in self._protocols:
            registry.add_registered_method_handlers(service.name, threaded_handlers({**service.quick, **service.slow}))
        if self._config.security.reflection != "off":
            enable_reflection(registry, self._protocols)
        return server


def _check_free(address: str) -> None:
    """Before gRPC, which says in its own words too, on stderr, that somebody listens there.

    Raises:
        OSError: where HOST:PORT cannot be had.
    """
    if not address.startswith(UNIX):
        host, _, port = address.rpartition(":")
        bound(host.strip("[]"), int(port))
