"""The constructor arguments of the clients, checked and ready for use."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio

from rankserve.v1 import catalog_pb2, ranking_pb2
from rankserve_client.channel import ChannelOptions, channel_options
from rankserve_client.policies import Keepalive, RetryPolicy, is_positive, require
from rankserve_client.targets import is_local, parse_target
from rankserve_client.tls import Tls
from rankserve_client.tokens import TokenSource
from rankserve_client.tracing import CallSpans

DEFAULT_TIMEOUT = 5.0
DEFAULT_RETRY = RetryPolicy()
DEFAULT_KEEPALIVE = Keepalive()
DEFAULT_MAX_MESSAGE_BYTES = 64 * 1024 * 1024

Metadata = Mapping[str, str | bytes] | Iterable[tuple[str, str | bytes]]

REQUEST_ID_KEY = "x-request-id"
# What deploy/envoy/envoy.yaml chooses a server by; the servers themselves do not look at it.
USER_KEY = "x-rankserve-user"
# Which version answers them depends on their user.
_OF_A_USER = (ranking_pb2.RankRequest, catalog_pb2.GetUserRequest, catalog_pb2.GetBaselineRequest)
_REQUEST_ID = re.compile(r"[0-9A-Za-z._:/+=-]{1,128}")
_METADATA_KEY = re.compile(r"(?!grpc-)[0-9a-z_.-]+")
_METADATA_TEXT = re.compile(r"[ -~]*")


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """What both clients need to open a channel and to make a call."""

    uri: str
    target: str
    timeout: float
    fixed_metadata: tuple[tuple[str, str | bytes], ...]
    token: TokenSource | None
    credentials: grpc.ChannelCredentials | None
    options: ChannelOptions
    spans: CallSpans
    send_user: bool

    @property
    def metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """What is sent with any call that is made now."""
        return self.fixed_metadata if self.token is None else (*self.fixed_metadata, self.token.metadata())

    def metadata_of(self, request_id: str | None, request: object | None = None) -> tuple[tuple[str, str | bytes], ...]:
        """The same and the id of a call, with which it is found in the server's logs; None leaves it to the server.

        Where the user is to be sent, he is, of a request that has one.
        """
        metadata = self.metadata
        if self.send_user and isinstance(request, _OF_A_USER):
            metadata += ((USER_KEY, str(request.user_id)),)
        if request_id is None:
            return metadata
        require(
            isinstance(request_id, str) and _REQUEST_ID.fullmatch(request_id) is not None,
            "request_id",
            "1 to 128 letters, digits and ._:/+=-",
            request_id,
        )
        return (*metadata, (REQUEST_ID_KEY, request_id))

    def open_channel(self) -> grpc.Channel:
        """A channel of the blocking kind."""
        if self.credentials is None:
            return grpc.insecure_channel(self.uri, self.options)
        return grpc.secure_channel(self.uri, self.credentials, self.options)

    def open_async_channel(self) -> grpc.aio.Channel:
        """A channel of asyncio's kind; it belongs to the loop that runs."""
        if self.credentials is None:
            return grpc.aio.insecure_channel(self.uri, self.options)
        return grpc.aio.secure_channel(self.uri, self.credentials, self.options)

    def deadline(self, timeout: float | None) -> float | None:
        """Seconds that a call may take, from its `timeout` argument: None is the client's own, infinity is none."""
        seconds = self.timeout if timeout is None else check_timeout(timeout)
        return None if seconds == math.inf else seconds


def client_settings(
    target: str | Sequence[str] | None,
    injected: object | None,
    *,
    timeout: float,
    retry: RetryPolicy | None,
    keepalive: Keepalive | None,
    credentials: grpc.ChannelCredentials | None,
    authority: str | None,
    metadata: Metadata,
    max_message_bytes: int,
    tls: Tls | bool = False,
    token: str | None = None,
    token_file: str | Path | None = None,
    insecure_token: bool = False,
    tracer_provider: object = None,
    send_user: bool = False,
) -> ClientSettings:
    """Checks a client's constructor arguments; a ValueError names the argument and the value received."""
    if (target is None) == (injected is None):
        raise ValueError(
            f"give either `target` or `channel`. Received: `target` = {target!r}, `channel` = {injected!r}"
        )
    if injected is not None:
        changed = {
            "retry": retry is not DEFAULT_RETRY,
            "keepalive": keepalive is not DEFAULT_KEEPALIVE,
            "credentials": credentials is not None,
            "tls": tls is not False,
            "authority": authority is not None,
            "max_message_bytes": max_message_bytes != DEFAULT_MAX_MESSAGE_BYTES,
        }
        if any(changed.values()):
            names = ", ".join(f"`{name}`" for name, is_changed in changed.items() if is_changed)
            raise ValueError(f"{names} would have no effect: `channel` brings its own. Leave out one or the other")
    check_timeout(timeout)
    require(retry is None or isinstance(retry, RetryPolicy), "retry", "a RetryPolicy or None", retry)
    require(keepalive is None or isinstance(keepalive, Keepalive), "keepalive", "a Keepalive or None", keepalive)
    require(
        credentials is None or isinstance(credentials, grpc.ChannelCredentials),
        "credentials",
        "a grpc.ChannelCredentials, or None for plaintext",
        credentials,
    )
    require(isinstance(tls, Tls | bool), "tls", "True, False or a Tls", tls)
    require(not tls or credentials is None, "tls", "left out where there are `credentials`", tls)
    require(
        authority is None or (isinstance(authority, str) and authority != ""), "authority", "a host name", authority
    )
    require(
        isinstance(max_message_bytes, int) and 1 <= max_message_bytes < 2**31,
        "max_message_bytes",
        "an integer from 1 to 2147483647",
        max_message_bytes,
    )
    require(isinstance(send_user, bool), "send_user", "True or False", send_user)
    require(
        tracer_provider is None or hasattr(tracer_provider, "get_tracer"),
        "tracer_provider",
        "a TracerProvider of OpenTelemetry",
        tracer_provider,
    )
    where = None if target is None else parse_target(target)
    if tls:
        tls = Tls() if tls is True else tls
        credentials, authority = tls.credentials(), authority or tls.server_name
    source = None if token is None and token_file is None else TokenSource(token, token_file)
    if source and where and credentials is None and not insecure_token and not is_local(where.name):
        raise ValueError(
            f"a token would be sent to {where.name} for everybody on the way to read: use `tls`, or set "
            "`insecure_token` to True where something else encrypts the connection"
        )
    name = where.name if where else "the given channel"
    return ClientSettings(
        uri=where.uri if where else "",
        target=name,
        timeout=timeout,
        fixed_metadata=_check_metadata(metadata),
        token=source,
        credentials=credentials,
        options=channel_options(
            retry, keepalive, max_message_bytes, authority, several_servers=where is not None and where.several
        ),
        spans=CallSpans(tracer_provider, name),
        send_user=send_user,
    )


def check_timeout(timeout: float) -> float:
    """Returns `timeout`; a ValueError where it is not a positive number of seconds or infinity."""
    require(timeout == math.inf or is_positive(timeout), "timeout", "a positive number of seconds or math.inf", timeout)
    return timeout


def _check_metadata(metadata: Metadata) -> tuple[tuple[str, str | bytes], ...]:
    pairs = tuple(metadata.items()) if isinstance(metadata, Mapping) else tuple(metadata)
    for pair in pairs:
        # gRPC itself says only "metadata was invalid", and only when the first call is made.
        require(_is_metadata(pair), "metadata", "pairs of a lower-case key and a printable ASCII value", pair)
    return pairs


def _is_metadata(pair: object) -> bool:
    if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str)):
        return False
    key, value = pair
    if not _METADATA_KEY.fullmatch(key):
        return False
    if key.endswith("-bin"):
        return isinstance(value, bytes)
    return isinstance(value, str) and _METADATA_TEXT.fullmatch(value) is not None
