"""The ranking server, as a gateway reaches it: one channel, and a client on it for each request."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2

from rankserve.v1 import models_pb2_grpc, ranking_pb2
from rankserve_client.async_client import AsyncRankingClient
from rankserve_client.error_decoding import from_rpc_error
from rankserve_client.errors import InvalidRequest
from rankserve_client.gateway.config import GatewayConfig
from rankserve_client.settings import (
    DEFAULT_KEEPALIVE,
    DEFAULT_MAX_MESSAGE_BYTES,
    DEFAULT_RETRY,
    Metadata,
    client_settings,
)
from rankserve_client.targets import is_local
from rankserve_client.tokens import TokenSource

_HEALTH_SECONDS = 2.0
_HEALTH_CHECK = "/grpc.health.v1.Health/Check"
_RANKING_SERVICE = ranking_pb2.DESCRIPTOR.services_by_name["RankingService"].full_name

_Response = TypeVar("_Response")


class Upstream:
    """Opened within the event loop, by `open`; `close` ends it."""

    def __init__(self, config: GatewayConfig) -> None:
        """
        Raises:
            ValueError: where an address cannot be used, or the token would be sent for everybody to read.
            OSError: where a file of the certificate or the token cannot be read.
        """
        security = config.security
        # The gateway's own token is looked at only where it is lent.
        self._settings = client_settings(
            config.servers,
            None,
            timeout=config.timeout,
            retry=DEFAULT_RETRY,
            keepalive=DEFAULT_KEEPALIVE,
            credentials=None,
            authority=None,
            metadata=(),
            max_message_bytes=DEFAULT_MAX_MESSAGE_BYTES,
            tls=security.tls,
            token_file=security.token_file if config.lend_token else None,
            insecure_token=security.insecure_token,
        )
        self._carries_tokens = bool(security.tls) or security.insecure_token or is_local(self._settings.target)
        self.lends_token = config.lend_token
        self._channel: grpc.aio.Channel | None = None

    @property
    def target(self) -> str:
        """The addresses of the servers."""
        return self._settings.target

    def open(self) -> None:
        """Makes the channel; it connects with the first call."""
        self._channel = self._settings.open_async_channel()

    async def close(self) -> None:
        """Ends the connections."""
        if self._channel is not None:
            await self._channel.close()

    @property
    def channel(self) -> grpc.aio.Channel:
        """The one that all calls share."""
        if self._channel is None:
            raise RuntimeError("the gateway is not open")
        return self._channel

    def connect(self, token: str | None, metadata: Metadata, timeout: float) -> "Connection":
        """What a request calls the server with.

        Args:
            token: the caller's own; None for the gateway's, where that is lent.
            metadata: pairs to send with every call.
            timeout: seconds for each call.

        Raises:
            InvalidRequest: where the token has letters that no token has, or would go to another machine in plaintext.
        """
        pairs = tuple(metadata.items() if hasattr(metadata, "items") else metadata)
        if token is None:
            lent = self._settings.token
            return Connection(self.channel, (*pairs, lent.metadata()) if lent else pairs, timeout, self.target)
        if not self._carries_tokens:
            raise InvalidRequest(
                "this gateway reaches its server without TLS, so a token would be there for everybody on the way to "
                "read; whoever runs it has to give --tls, or --insecure-token where something else encrypts",
                grpc.StatusCode.INVALID_ARGUMENT,
            )
        try:
            pair = TokenSource(token, None).metadata()
        except ValueError as error:
            raise InvalidRequest(
                "the Authorization header should hold a token of printable ASCII without spaces",
                grpc.StatusCode.INVALID_ARGUMENT,
            ) from error
        return Connection(self.channel, (*pairs, pair), timeout, self.target)

    async def is_serving(self) -> bool:
        """Whether the server says that it serves; nobody needs a token for that."""
        check = self.channel.unary_unary(
            _HEALTH_CHECK,
            health_pb2.HealthCheckRequest.SerializeToString,
            health_pb2.HealthCheckResponse.FromString,
        )
        request = health_pb2.HealthCheckRequest(service=_RANKING_SERVICE)
        try:
            response = await check(request, timeout=_HEALTH_SECONDS)
        except grpc.RpcError:
            return False
        return bool(response.status == health_pb2.HealthCheckResponse.SERVING)


class Connection:
    """The server for one request of HTTP, with its token, its marks for tracing and its deadline."""

    def __init__(
        self, channel: grpc.aio.Channel, metadata: tuple[tuple[str, str | bytes], ...], timeout: float, target: str
    ) -> None:
        self.timeout = timeout
        self._channel = channel
        self._metadata = metadata
        self._target = target

    @property
    def client(self) -> AsyncRankingClient:
        """Ranks and describes models."""
        return AsyncRankingClient(channel=self._channel, metadata=self._metadata, timeout=self.timeout)

    @property
    def catalog(self) -> "models_pb2_grpc.ModelServiceAsyncStub":
        """Its methods are called through `call`."""
        return models_pb2_grpc.ModelServiceStub(self._channel)

    async def call(self, method: Callable[..., Awaitable[_Response]], request: Any) -> _Response:
        """Calls what the client has no method for.

        Raises:
            RankServeError: the call failed.
        """
        try:
            return await method(request, timeout=self.timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise from_rpc_error(error, self._target, self.timeout) from error
