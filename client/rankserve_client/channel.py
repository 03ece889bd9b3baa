"""The options that a gRPC channel is opened with, the same for both clients."""

import json
from typing import Any

from rankserve_client.policies import Keepalive, RetryPolicy
from rankserve_client.version import __version__

# Where there are several servers, each is asked for the health of this one: while a server loads its models or is about
# to stop, the others get its calls. A single server that stops still answers for a while, so it is not asked.
_RANKING_SERVICE = "rankserve.v1.RankingService"

_MODEL_SERVICE = "rankserve.v1.ModelService"

# Without ChangeServing: to roll back twice is to go forward again. Without RankStream: a stream whose server dies
# before its first answer can hang in gRPC's retries (1.85), and then neither a deadline nor cancelling ends it.
_RETRIED = [
    {"service": _RANKING_SERVICE, "method": "Rank"},
    {"service": _RANKING_SERVICE, "method": "BatchRank"},
    {"service": _MODEL_SERVICE, "method": "ListModels"},
    {"service": _MODEL_SERVICE, "method": "GetModel"},
    {"service": _MODEL_SERVICE, "method": "GetItems"},
    {"service": _MODEL_SERVICE, "method": "SearchItems"},
    {"service": _MODEL_SERVICE, "method": "GetUser"},
    {"service": _MODEL_SERVICE, "method": "GetBaseline"},
    {"service": _MODEL_SERVICE, "method": "Reload"},
]

# gRFC A6: a failure takes one token, a success gives a tenth; no retries while half of the tokens are gone.
_RETRY_THROTTLING = {"maxTokens": 100, "tokenRatio": 0.1}

# By default gRPC waits up to 2 minutes before it tries again to connect; a restarted server is back in seconds.
_RECONNECT = [("grpc.initial_reconnect_backoff_ms", 200), ("grpc.max_reconnect_backoff_ms", 5_000)]

ChannelOptions = list[tuple[str, str | int]]


def channel_options(
    retry: RetryPolicy | None,
    keepalive: Keepalive | None,
    max_message_bytes: int,
    authority: str | None,
    several_servers: bool = False,
) -> ChannelOptions:
    """Everything about a channel but its target and credentials."""
    options: ChannelOptions = [
        ("grpc.service_config", json.dumps(service_config(retry, several_servers))),
        ("grpc.primary_user_agent", f"rankserve-client/{__version__}"),
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        # Connections of its own: a client neither waits out another's reconnect backoff nor shares its bandwidth.
        ("grpc.use_local_subchannel_pool", 1),
        *_RECONNECT,
    ]
    if keepalive is not None:
        options += [
            ("grpc.keepalive_time_ms", round(keepalive.interval * 1000)),
            ("grpc.keepalive_timeout_ms", max(1, round(keepalive.timeout * 1000))),
            ("grpc.keepalive_permit_without_calls", int(keepalive.while_idle)),
        ]
    if authority is not None:
        options.append(("grpc.default_authority", authority))
    return options


def service_config(retry: RetryPolicy | None, several_servers: bool = False) -> dict[str, Any]:
    """gRPC's service config: spread calls over all servers that say they serve and, if asked for, retry."""
    config: dict[str, Any] = {"loadBalancingConfig": [{"round_robin": {}}]}
    if several_servers:
        config["healthCheckConfig"] = {"serviceName": _RANKING_SERVICE}
    if retry is not None and retry.attempts > 1:
        policy = {
            "maxAttempts": retry.attempts,
            "initialBackoff": f"{retry.initial_backoff:.9f}s",
            "maxBackoff": f"{retry.max_backoff:.9f}s",
            "backoffMultiplier": retry.multiplier,
            "retryableStatusCodes": ["UNAVAILABLE"],
        }
        config["methodConfig"] = [{"name": _RETRIED, "retryPolicy": policy}]
        config["retryThrottling"] = _RETRY_THROTTLING
    return config
