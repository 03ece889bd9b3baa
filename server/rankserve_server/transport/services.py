"""What both transports put beside the ranking service."""

from typing import TYPE_CHECKING

from grpc_health.v1 import health
from grpc_reflection.v1alpha import reflection

from rankserve.v1 import models_pb2, ranking_pb2
from rankserve_server.config import ServerConfig

if TYPE_CHECKING:
    import grpc

RANKING_SERVICE = ranking_pb2.DESCRIPTOR.services_by_name["RankingService"].full_name
MODEL_SERVICE = models_pb2.DESCRIPTOR.services_by_name["ModelService"].full_name
# "" is the whole server, as probes ask for it that name no service.
HEALTH_NAMES = ("", RANKING_SERVICE)
# What is left after the drain are calls without an end, such as Watch of the health service, and answers on their way.
LAST_BYTES_SECONDS = 1.0
# Calls that have arrived and that nobody has looked at yet. The core's own limit is a thousand, which two busy clients
# reach between two batches, and what is over it is cancelled without a reason. Our queue has a limit of its own, and
# refuses with one.
_UNSEEN_CALLS = 16_384


def channel_options(config: ServerConfig) -> list[tuple[str, int]]:
    """The settings of the C core."""
    return [
        # Only for workers: otherwise a second server would share the port, and the clients of both would get either.
        ("grpc.so_reuseport", int(config.reuse_port)),
        ("grpc.max_receive_message_length", config.limits.max_message_bytes),
        ("grpc.server.max_pending_requests", _UNSEEN_CALLS),
        ("grpc.server.max_pending_requests_hard_limit", _UNSEEN_CALLS),
    ]


def add_port(
    server: "grpc.Server | grpc.aio.Server", address: str, credentials: "grpc.ServerCredentials | None"
) -> int:
    """Takes HOST:PORT for a server, with TLS where there are credentials, and returns the port.

    Raises:
        RuntimeError: where it cannot be had.
    """
    if credentials is None:
        return server.add_insecure_port(address)
    return server.add_secure_port(address, credentials)


def enable_reflection(server: "grpc.Server | grpc.aio.Server") -> None:
    """Lets clients ask what services there are."""
    names = (RANKING_SERVICE, MODEL_SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
