"""The families of one server process."""

import time
from collections.abc import Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING

from prometheus_client import ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from rankserve_server.metrics import families
from rankserve_server.metrics.server_counts import ServerCounts
from rankserve_server.transport.interface import Transport
from rankserve_server.versions.repository import Repository
from rankserve_server.versions.shadowing import ShadowScorer

if TYPE_CHECKING:
    from rankserve_server.storage.mirror import Mirror

_LIBRARIES = ("grpcio", "jax", "keras")


class ServerMetrics:
    """Collects what a server counts, and what its parts say of themselves."""

    def __init__(
        self,
        counts: ServerCounts,
        repository: Repository,
        shadows: ShadowScorer,
        transport: Transport,
        mirror: "Mirror | None" = None,
    ) -> None:
        self._mirror = mirror
        self._counts = counts
        self._repository = repository
        self._shadows = shadows
        self._transport = transport
        self._process = ProcessCollector(registry=None)
        self._info = GaugeMetricFamily(
            "rankserve_build_info", "1, with the releases that run.", labels=("version", *_LIBRARIES, "transport")
        )
        releases = [version(library) for library in ("rankserve", *_LIBRARIES)]
        self._info.add_metric((*releases, transport.name), 1)

    def collect_alone(self) -> Iterator[Metric]:
        """Of a server without a supervisor."""
        yield from families.worker_families(running=1, wanted=1, restarts=0)
        yield from self.collect()

    def collect(self) -> Iterator[Metric]:
        """One family after the other. Between them whoever answers requests has the interpreter."""
        for family in self._families():
            yield family
            time.sleep(0)

    def _families(self) -> Iterator[Metric]:
        counts, transport, entries = self._counts, self._transport, self._repository.entries()
        yield self._info
        yield from families.call_families(counts.methods())
        yield from families.queue_families(counts.queue, transport.queued_candidates, transport.in_flight)
        yield from families.version_families(entries)
        yield from families.model_families(entries, self._repository.roles)
        yield from families.shadow_families(entries, self._shadows.totals)
        yield from families.load_families(counts.loads)
        yield from families.observer_families(counts.observer)
        if self._mirror is not None:
            yield from families.store_families(self._mirror.looked, self._mirror.failures, self._mirror.fetched)
        yield from self._process.collect()
