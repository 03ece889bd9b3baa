"""What a replica counts, as metrics of Ray: with its names, and Ray's labels of deployment, replica and application."""

import threading
from collections.abc import Callable, Iterable

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample
from ray.serve.metrics import Counter, Gauge

# Ray's agents are asked by Prometheus less often than that.
_SECONDS = 5.0
# Ray reports those of each of its processes itself.
_RAYS_OWN = "process_"


class ExportedMetrics:
    """Brings Ray's metrics up to date from time to time, on a thread of its own."""

    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        """Does nothing yet; `collect` gives the families."""
        self._collect = collect
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rankserve-metrics", daemon=True)
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._counted: dict[tuple[str, tuple[str, ...]], float] = {}

    def start(self) -> None:
        """Exports from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Exports once more, and then no more."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def export(self) -> None:
        """Exports everything now."""
        for family in self._collect():
            if family.name.startswith(_RAYS_OWN):
                continue
            for sample in family.samples:
                if sample.name.endswith("_created"):
                    continue
                if family.type in ("counter", "histogram"):
                    self._count(sample, family.documentation)
                else:
                    self._set(sample, family.documentation)

    def _run(self) -> None:
        while not self._over.wait(_SECONDS):
            self.export()
        self.export()

    def _count(self, sample: Sample, description: str) -> None:
        """Ray's counters go up by something; those of a histogram too, as Ray's own histograms take single values."""
        # Ray appends it to every counter.
        name = sample.name.removesuffix("_total")
        counter = self._counters.get(name)
        if counter is None:
            counter = self._counters[name] = Counter(name, description, tuple(sample.labels))
        key = (name, tuple(sample.labels.values()))
        more = sample.value - self._counted.get(key, 0.0)
        if more > 0:
            self._counted[key] = sample.value
            counter.inc(more, tags=dict(sample.labels))

    def _set(self, sample: Sample, description: str) -> None:
        gauge = self._gauges.get(sample.name)
        if gauge is None:
            gauge = self._gauges[sample.name] = Gauge(sample.name, description, tuple(sample.labels))
        gauge.set(sample.value, tags=dict(sample.labels))
