"""Which transport a server uses."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rankserve_server.config import ServerConfig
from rankserve_server.protocols.service import ProtocolService
from rankserve_server.security.access import Access
from rankserve_server.service.model_service import ModelService
from rankserve_server.service.planning import Planner
from rankserve_server.transport import grpc_core
from rankserve_server.transport.aio import AioTransport
from rankserve_server.transport.direct import DirectTransport
from rankserve_server.transport.interface import Transport

if TYPE_CHECKING:
    from rankserve_server.metrics.server_counts import ServerCounts
    from rankserve_server.observing.call_observer import CallObserver

_log = logging.getLogger(__name__)


def open_transport(
    config: ServerConfig,
    planner: Planner,
    models: ModelService,
    access: Access,
    protocols: Sequence[ProtocolService],
    counts: "ServerCounts | None" = None,
    observer: "CallObserver | None" = None,
) -> Transport:
    """The transport that is asked for; the asyncio one where the direct lane cannot be used."""
    if config.transport == "aio":
        return AioTransport(config, planner, models, access, protocols, counts, observer)
    reason = grpc_core.unsupported_reason()
    if reason is not None:
        _log.warning("Transport aio instead of direct: %s.", reason)
        return AioTransport(config, planner, models, access, protocols, counts, observer)
    return DirectTransport(config, planner, models, access, protocols, counts, observer)
