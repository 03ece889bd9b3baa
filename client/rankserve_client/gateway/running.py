"""The life of a gateway: listening, answering, draining."""

import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import click
import uvicorn
from uvicorn.config import LOGGING_CONFIG

from rankserve_client.gateway.app import build_app
from rankserve_client.gateway.config import GatewayConfig
from rankserve_client.gateway.metrics import GatewayMetrics
from rankserve_client.gateway.upstream import Upstream

# Longer than load balancers keep theirs would be better still, but a page that was closed should not hold one for long.
_KEEP_ALIVE_SECONDS = 65
_MAX_HEAD_BYTES = 64 * 1024


def run_gateway(config: GatewayConfig) -> None:
    """Answers until a signal comes.

    Raises:
        ValueError: where an address of a server cannot be used.
        OSError: where a file cannot be read, or the address cannot be had.
    """
    upstream = Upstream(config)
    metrics = None if config.metrics_port is None else GatewayMetrics()
    app = build_app(config, upstream, metrics)
    listener = _listener(config)
    scheme = "http" if config.certificate is None else "https"
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    server = _Server(
        uvicorn.Config(
            app if metrics is None else metrics.counted(app),
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="on",
            log_config=_logging(),
            log_level="info" if config.access_log else "warning",
            access_log=config.access_log,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=config.max_connections,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=config.drain_seconds,
            ssl_certfile=config.certificate,
            ssl_keyfile=config.certificate_key,
            h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
        ),
        f"rankserve gateway ready on {scheme}://{shown}:{port}, asking {upstream.target}",
    )
    if metrics is not None and config.metrics_port is not None:
        metrics.serve(config.metrics_host, config.metrics_port)
    with listener, _signals_end_well():
        server.run([listener])
    if not server.started:
        sys.exit(1)


class _Server(uvicorn.Server):
    """Says when it is ready."""

    def __init__(self, config: uvicorn.Config, ready: str) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            click.echo(self._ready)


def _listener(config: GatewayConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        return socket.create_server((config.host, config.port), family=family, backlog=2_048)
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {config.host}:{config.port}: {error.strerror or error}; choose others with --host and "
            "--port"
        ) from error


@contextmanager
def _signals_end_well() -> Iterator[None]:
    """uvicorn raises the signals that stopped it once more when it is done; by then there is nothing left to stop."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _logging() -> dict[str, Any]:
    """uvicorn's own, all of it on stderr: stdout has the ready line alone."""
    config = deepcopy(LOGGING_CONFIG)
    config["handlers"]["access"]["stream"] = "ext://sys.stderr"
    return config
