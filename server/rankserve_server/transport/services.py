"""What both transports put beside the ranking service."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2
from grpc_reflection.v1alpha.reflection_pb2_grpc import add_ServerReflectionServicer_to_server

from rankserve.v1 import models_pb2, ranking_pb2
from rankserve_server.config import ServerConfig
from rankserve_server.limits import ConnectionLimits
from rankserve_server.metrics.call_counts import CallCounts
from rankserve_server.metrics.counted_services import CountedServices
from rankserve_server.observing.observed_services import ObservedServices
from rankserve_server.protocols.described import described_pool
from rankserve_server.protocols.service import ProtocolService
from rankserve_server.service.conversion import parsed

if TYPE_CHECKING:
    import grpc

    from rankserve_server.observing.call_observer import CallObserver

RANKING_SERVICE = ranking_pb2.DESCRIPTOR.services_by_name["RankingService"].full_name
MODEL_SERVICE = models_pb2.DESCRIPTOR.services_by_name["ModelService"].full_name
HEALTH_SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
REFLECTION_SERVICE = reflection.SERVICE_NAME
_SERVICES = (RANKING_SERVICE, MODEL_SERVICE, HEALTH_SERVICE, REFLECTION_SERVICE)
# "" is the whole server, as probes ask for it that name no service.
HEALTH_NAMES = ("", RANKING_SERVICE)
# What is left after the drain are answers on their way, and calls without an end.
LAST_BYTES_SECONDS = 1.0
# Calls of a method that have arrived and that nobody has asked for yet. The core cancels what is over it: without a
# word of why, but far cheaper than we refuse a call with a reason. Where too many come there always are so many, each
# of which waits for those before it: with 2,048, a server of 700 answers a second sees a call 0.7 s after it has come.
# So that many may come at once all the same, the lane asks for calls before they come. grpc.aio does not.
UNSEEN_CALLS = 128
UNSEEN_CALLS_OF_AIO = 512
_FORGIVEN_PINGS = 2


def channel_options(config: ServerConfig, unseen_calls: int = UNSEEN_CALLS) -> list[tuple[str, int]]:
    """The settings of the C core; `unseen_calls` of a method may wait until somebody looks at them."""
    return [
        # Only for workers: otherwise a second server would share the port, and the clients of both would get either.
        ("grpc.so_reuseport", int(config.reuse_port)),
        ("grpc.max_receive_message_length", config.limits.max_message_bytes),
        ("grpc.server.max_pending_requests", unseen_calls),
        ("grpc.server.max_pending_requests_hard_limit", unseen_calls),
        *_connection_options(config.connections),
    ]


def _connection_options(limits: ConnectionLimits) -> list[tuple[str, int]]:
    options = [
        ("grpc.max_allowed_incoming_connections", limits.max_connections),
        ("grpc.max_concurrent_streams", limits.max_connection_streams),
        # Between the two the core refuses at random.
        ("grpc.max_metadata_size", limits.max_metadata_bytes),
        ("grpc.absolute_max_metadata_size", limits.max_metadata_bytes),
        ("grpc.keepalive_time_ms", _milliseconds(limits.keepalive_seconds)),
        ("grpc.keepalive_timeout_ms", _milliseconds(limits.keepalive_timeout_seconds)),
        # Without this one it waits a minute for an answer (1.85), whatever the other says.
        ("grpc.http2.ping_timeout_ms", _milliseconds(limits.keepalive_timeout_seconds)),
        # Otherwise the core asks nobody who has no call under way, and only twice.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", _milliseconds(limits.min_ping_seconds)),
        ("grpc.http2.max_ping_strikes", _FORGIVEN_PINGS),
    ]
    if limits.max_connection_age_seconds:
        options.append(("grpc.max_connection_age_ms", _milliseconds(limits.max_connection_age_seconds)))
        options.append(("grpc.max_connection_age_grace_ms", _milliseconds(limits.max_connection_age_grace_seconds)))
    if limits.max_connection_idle_seconds:
        options.append(("grpc.max_connection_idle_ms", _milliseconds(limits.max_connection_idle_seconds)))
    return options


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1_000))


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


def registry_of(
    server: "grpc.Server | grpc.aio.Server", calls: CallCounts | None, observer: "CallObserver | None" = None
) -> Any:
    """Where services are registered: at the server itself, or where their calls are counted or seen too.

    Generated code takes any of them for a server, whatever it says.
    """
    registry: Any = server if calls is None else CountedServices(server, calls)
    return registry if observer is None else ObservedServices(server, registry, observer)


def enable_reflection(registry: Any, protocols: Sequence[ProtocolService]) -> None:
    """Lets clients of a threaded server ask what services there are."""
    servicer = reflection.ReflectionServicer(_names(protocols), described_pool())
    add_ServerReflectionServicer_to_server(servicer, registry)  # type: ignore[no-untyped-call]  # it has no types


def enable_async_reflection(registry: Any, protocols: Sequence[ProtocolService]) -> None:
    """The same for grpc.aio."""
    servicer = reflection.aio.ReflectionServicer(_names(protocols), described_pool())
    add_ServerReflectionServicer_to_server(servicer, registry)  # type: ignore[no-untyped-call]  # it has no types


def reflection_answers(protocols: Sequence[ProtocolService]) -> Callable[[bytes], bytes]:
    """The same for those who answer one message at a time; what it raises is an InvalidRequestError."""
    servicer = reflection.ReflectionServicer(_names(protocols), described_pool())

    def answer(message: bytes) -> bytes:
        request = parsed(reflection_pb2.ServerReflectionRequest, message)
        # It is a generator of one answer.
        (response,) = servicer.ServerReflectionInfo(iter([request]), None)  # type: ignore[arg-type]  # it never looks at its context
        encoded: bytes = response.SerializeToString()
        return encoded

    return answer


def _names(protocols: Sequence[ProtocolService]) -> list[str]:
    return [*_SERVICES, *(service.name for service in protocols)]
