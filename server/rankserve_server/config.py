"""Every knob of the server, with its default."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rankserve_server.limits import Limits

TransportName = Literal["auto", "aio", "direct"]


@dataclass(frozen=True)
class ServerConfig:
    """How a server runs. The command line only builds one of these.

    Attributes:
        models_dir: where versions lie: MODELS_DIR/NAME/VERSION.
        host: address to listen on; loopback unless the operator decides otherwise.
        port: 0 for any free one.
        default_model: which model answers requests that name none; None where there is only one.
        drain_seconds: how long a stopping server waits for calls in flight.
        transport: `aio`, `direct`, or `auto` for the direct lane where it can be used.
    """

    models_dir: Path = Path("models")
    host: str = "127.0.0.1"
    port: int = 50051
    default_model: str | None = None
    drain_seconds: float = 30.0
    transport: TransportName = "auto"
    limits: Limits = field(default_factory=Limits)

    @property
    def address(self) -> str:
        """HOST:PORT, an IPv6 address in brackets."""
        return address_of(self.host, self.port)


def address_of(host: str, port: int) -> str:
    """HOST:PORT, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
