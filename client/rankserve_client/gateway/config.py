"""What a gateway is told when it starts."""

from dataclasses import dataclass
from pathlib import Path

from rankserve_client.cli.connection import DEFAULT_SERVER
from rankserve_client.security import NO_SECURITY, Security

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class GatewayConfig:
    """Everything that can be set; each has an option of `rankserve gateway`.

    Attributes:
        servers: where the ranking servers are.
        security: how they are reached, and the gateway's own token.
        lend_token: whether callers without a token get the gateway's own.
        timeout: seconds that a request may take; callers can ask for less.
        host: address to listen on.
        port: port to listen on; 0 for any free one.
        certificate: for HTTPS; None for plaintext.
        certificate_key: its key.
        allowed_hosts: further names that requests may be sent to; "*" for any.
        cors_origins: sites whose pages may call; "*" for all.
        max_body_bytes: size of a request's body.
        max_requests: requests that are answered at the same time.
        max_connections: connections that are open at the same time.
        drain_seconds: how long requests in flight are waited for when stopping.
        access_log: whether every request is logged.
        playground: whether the pages are served.
        metrics_host: address that metrics are served on.
        metrics_port: likewise; 0 for any free one, None for no metrics.
    """

    servers: tuple[str, ...] = (DEFAULT_SERVER,)
    security: Security = NO_SECURITY
    lend_token: bool = False
    timeout: float = 10.0
    host: str = "127.0.0.1"
    port: int = 8080
    certificate: Path | None = None
    certificate_key: Path | None = None
    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    max_body_bytes: int = 4 * 1024 * 1024
    max_requests: int = 256
    max_connections: int = 1_000
    drain_seconds: int = 30
    access_log: bool = False
    playground: bool = True
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = None

    @property
    def hosts(self) -> frozenset[str] | None:
        """The names that requests may be sent to; None for any.

        On this machine alone, any web page could otherwise have its own name point here and read the answers.
        """
        if "*" in self.allowed_hosts or (self.host not in LOOPBACK and not self.allowed_hosts):
            return None
        return frozenset(name.lower() for name in (*LOOPBACK, self.host, *self.allowed_hosts))
