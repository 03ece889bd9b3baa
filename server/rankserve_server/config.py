"""Every knob of the server, with its default."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from rankserve_server.limits import ConnectionLimits, Limits
from rankserve_server.observing.observing_config import LogLevel, ObservingConfig
from rankserve_server.security.security_config import SecurityConfig

TransportName = Literal["auto", "aio", "direct"]


def user_program_cache() -> Path | None:
    """Where programs are kept by default (XDG Base Directory Specification); None where the user has no directory."""
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # there is no home
        return None
    return base / "rankserve" / "programs" if base.is_absolute() else None


@dataclass(frozen=True)
class ServerConfig:
    """How a server runs. The command line only builds one of these.

    Attributes:
        models_dir: where versions lie: MODELS_DIR/NAME/VERSION; with a store, the cache that mirrors it.
        store_url: of the store that MODELS_DIR mirrors; None where there is none.
        store_seconds: how often the store is looked at; 0 for never.
        max_version_mib: how large a version may be that is copied from a store.
        host: address to listen on; loopback unless the operator decides otherwise.
        port: 0 for any free one.
        default_model: which model answers requests that name none; None where there is only one.
        watch_seconds: how often MODELS_DIR is looked at for new versions and the operator's wishes; 0 for never.
        keep_versions: how many of the newest versions of a model are loaded; 0 for all.
        max_table_mib: how large the folded tables of one version may become; what would pass it is kept as embeddings.
        max_memory_mib: what this process may hold in all when it loads another version; None for what the machine has.
        program_cache: where compiled programs are kept, of this user alone; None for nowhere.
        grace_seconds: how long a server that was told to stop goes on, so that load balancers see that it will.
        drain_seconds: how long a stopping server waits for calls in flight.
        workers: how many processes share the port.
        quiet: whether nothing is printed but warnings and errors.
        reuse_port: whether this is one of them; set by the supervisor.
        other_protocols: whether clients of the Open Inference Protocol and of TF Serving are answered too.
        transport: `aio`, `direct`, or `auto` for the direct lane where it can be used.
        metrics_host: address that metrics are served on.
        metrics_port: likewise; 0 for any free one, None for no metrics.
        metrics_socket: the file descriptor that a worker sends its metrics to; set by the supervisor.
    """

    models_dir: Path = Path("models")
    store_url: str | None = None
    store_seconds: float = 10.0
    max_version_mib: int = 65_536
    host: str = "127.0.0.1"
    port: int = 50051
    default_model: str | None = None
    watch_seconds: float = 1.0
    keep_versions: int = 1
    max_table_mib: int = 2_048
    max_memory_mib: int | None = None
    program_cache: Path | None = field(default_factory=user_program_cache)
    grace_seconds: float = 0.0
    drain_seconds: float = 30.0
    transport: TransportName = "auto"
    workers: int = 1
    quiet: bool = False
    other_protocols: bool = True
    reuse_port: bool = False
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = None
    metrics_socket: int | None = None
    limits: Limits = field(default_factory=Limits)
    connections: ConnectionLimits = field(default_factory=ConnectionLimits)
    security: SecurityConfig = field(default_factory=SecurityConfig)
    observing: ObservingConfig = field(default_factory=ObservingConfig)

    @property
    def log_level(self) -> LogLevel:
        """What is less important is not said."""
        asked = self.observing.log_level
        return "warning" if self.quiet and asked in ("debug", "info") else asked

    @property
    def address(self) -> str:
        """HOST:PORT, an IPv6 address in brackets."""
        return address_of(self.host, self.port)


def address_of(host: str, port: int) -> str:
    """HOST:PORT, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def encode_config(config: ServerConfig) -> str:
    """The config as JSON, for another process."""
    return msgspec.json.encode(config, enc_hook=str).decode()


def decode_config(encoded: str) -> ServerConfig:
    """What `encode_config` encoded."""
    return msgspec.json.decode(encoded, type=ServerConfig, dec_hook=lambda kind, value: kind(value))
