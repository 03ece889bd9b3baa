"""What a gateway counts of its requests, and the port where Prometheus gets it."""

import time
from collections.abc import MutableMapping
from typing import Any, Final

import click
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from starlette.types import ASGIApp, Receive, Scope, Send

from rankserve_client.errors import RankServeError
from rankserve_client.gateway.metrics_endpoint import MetricsEndpoint
from rankserve_client.version import __version__

# Where the path of the operation that answers is put: a path as it came could be anything.
ROUTE: Final = "rankserve_route"
_NO_ROUTE: Final = "other"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "OPTIONS"})
_BUCKETS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class GatewayMetrics:
    """The families of one gateway. Its event loop counts, and any thread may read."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client leaves this one function untyped
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        build = Gauge("rankserve_gateway_build_info", "1, with the release.", ["version"], registry=self._registry)
        build.labels(__version__).set(1)
        self._requests = Counter(
            "rankserve_gateway_requests",
            "Requests that have ended, by path, method and status of HTTP; 499 where the caller has gone.",
            ["route", "method", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "rankserve_gateway_request_seconds",
            "From the head of a request to the end of its answer.",
            ["route", "method"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._in_flight = Gauge(
            "rankserve_gateway_requests_in_flight", "Requests that are being answered.", registry=self._registry
        )
        self._failures = Counter(
            "rankserve_gateway_upstream_failures",
            "Requests that failed because the ranking server did not answer well, by the status of gRPC.",
            ["code"],
            registry=self._registry,
        )

    def failed(self, error: RankServeError) -> None:
        """Notes why a request fails; what the gateway itself refuses has not come from a server."""
        if error.target:
            self._failures.labels(error.code.name).inc()

    def serve(self, host: str, port: int) -> None:
        """Answers Prometheus from now on, on a thread of its own.

        Raises:
            ClickException: where the address cannot be had.
        """
        try:
            endpoint = MetricsEndpoint(host, port, self._registry)
        except OSError as error:
            raise click.ClickException(
                f"cannot serve metrics on {host}:{port}: {error.strerror or error}; choose another address with "
                "--metrics-host and --metrics-port"
            ) from error
        shown = f"[{host}]" if ":" in host else host
        click.echo(f"Metrics are served at http://{shown}:{endpoint.port}/metrics.", err=True)

    def counted(self, app: ASGIApp) -> ASGIApp:
        """An application whose requests are counted."""

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            status, started = 500, time.perf_counter()

            async def send_noting_status(message: MutableMapping[str, Any]) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            self._in_flight.inc()
            try:
                await app(scope, receive, send_noting_status)
            finally:
                self._in_flight.dec()
                route = scope.get(ROUTE, _NO_ROUTE)
                method = scope["method"] if scope["method"] in _METHODS else _NO_ROUTE
                self._requests.labels(route, method, str(status)).inc()
                self._seconds.labels(route, method).observe(time.perf_counter() - started)

        return answer
