"""The names of what is counted, as families of Prometheus. Nowhere else are there names of metrics or labels.

Callers cannot make label values: methods are those of the server, models, versions and aliases those of the operator.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import grpc
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, SummaryMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.utils import floatToGoString

from rankserve_server.loaded_model import LoadedModel
from rankserve_server.metrics.call_counts import MethodCounts
from rankserve_server.metrics.distribution import Distribution
from rankserve_server.metrics.load_counts import LoadCounts
from rankserve_server.metrics.observer_counts import ObserverCounts
from rankserve_server.metrics.queue_counts import QueueCounts
from rankserve_server.metrics.version_counts import VersionCounts
from rankserve_server.versions.entry import ModelEntry, ModelState, Roles
from rankserve_server.versions.shadowing import ShadowTotals

_TotalsOf: TypeAlias = Callable[[LoadedModel], ShadowTotals | None]
_CODE_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}
_METHOD = ("grpc_type", "grpc_service", "grpc_method")
_VERSION = ("model", "version")
# Of a model, the newest ones: somebody may publish bad versions for weeks before anybody looks.
_MOST_QUARANTINED = 20


def worker_families(running: int, wanted: int, restarts: int) -> Iterator[Metric]:
    """The processes that share the port."""
    yield GaugeMetricFamily("rankserve_workers", "Server processes that run.", running)
    yield GaugeMetricFamily("rankserve_workers_wanted", "Server processes that should run.", wanted)
    yield CounterMetricFamily(
        "rankserve_worker_restarts_total", "Server processes that were started in place of others.", restarts
    )


def store_families(looked: float, failures: int, fetched: int) -> Iterator[Metric]:
    """The store that the versions come from."""
    yield GaugeMetricFamily(
        "rankserve_store_last_look_timestamp_seconds",
        "When the store was last looked at with success, in seconds since 1970; 0 for never.",
        looked,
    )
    yield CounterMetricFamily("rankserve_store_failed_looks_total", "Looks at the store that failed.", failures)
    yield CounterMetricFamily(
        "rankserve_store_copied_versions_total", "Versions that were copied from the store.", fetched
    )


def call_families(methods: Iterable[MethodCounts]) -> Iterator[Metric]:
    """The calls; the names are those that other gRPC servers have too."""
    started = CounterMetricFamily("grpc_server_started_total", "Calls that came.", labels=_METHOD)
    handled = CounterMetricFamily(
        "grpc_server_handled_total", "Calls that ended, by status code.", labels=(*_METHOD, "grpc_code")
    )
    received = CounterMetricFamily("grpc_server_msg_received_total", "Messages of callers.", labels=_METHOD)
    sent = CounterMetricFamily("grpc_server_msg_sent_total", "Messages to callers.", labels=_METHOD)
    seconds = HistogramMetricFamily(
        "grpc_server_handling_seconds", "Seconds from the arrival of a call to its status.", labels=_METHOD
    )
    for counts in methods:
        started.add_metric(counts.labels, counts.started)
        received.add_metric(counts.labels, counts.received)
        sent.add_metric(counts.labels, counts.sent)
        _add(seconds, counts.labels, counts.handling)
        for code, count in enumerate(counts.codes):
            # Also those that never came: a series that begins with its first error has no rate of it.
            handled.add_metric((*counts.labels, _CODE_NAMES[code]), count)
    yield from (started, handled, received, sent, seconds)


def queue_families(queue: QueueCounts, queued: int, in_flight: int) -> Iterator[Metric]:
    """What waits, what is computed, and what is refused."""
    yield GaugeMetricFamily("rankserve_requests_in_flight", "Requests that are being answered.", in_flight)
    yield GaugeMetricFamily("rankserve_queued_candidates", "Candidates that are not scored yet.", queued)
    yield _histogram("rankserve_queue_seconds", "Seconds that a request waits for its first batch.", queue.wait)
    yield _histogram("rankserve_batch_seconds", "Seconds from the start of a batch to its scores.", queue.batch_seconds)
    yield _histogram("rankserve_batch_rows", "Candidates of a batch.", queue.batch_rows)
    yield _histogram("rankserve_batch_requests", "Requests that a batch scores, or a part of.", queue.batch_requests)
    yield CounterMetricFamily("rankserve_scored_rows_total", "Candidates that were scored.", queue.rows)
    yield CounterMetricFamily(
        "rankserve_padding_rows_total", "Rows that were computed only to fill up a compiled shape.", queue.padding
    )
    yield _counter("rankserve_refused_requests_total", "Requests that there was no room for.", queue.refused)
    yield _counter(
        "rankserve_dropped_requests_total", "Requests that nobody waited for when their turn came.", queue.dropped
    )


def observer_families(observer: ObserverCounts) -> Iterator[Metric]:
    """What is missing in logs and traces."""
    yield _counter(
        "rankserve_dropped_observations_total",
        "Spans, lines of the access log and entries of the request log that are missing.",
        observer.dropped,
    )


def load_families(loads: LoadCounts) -> Iterator[Metric]:
    """Versions that were loaded, or could not be."""
    seconds = HistogramMetricFamily(
        "rankserve_load_seconds",
        "Seconds that loading a version took, by what came of it: `loaded`, or what was wrong.",
        labels=("model", "outcome"),
    )
    for labels, distribution in loads.seconds().items():
        _add(seconds, labels, distribution)
    yield seconds
    yield CounterMetricFamily("rankserve_compiled_programs_total", "Programs that were compiled.", loads.compiled)
    yield CounterMetricFamily(
        "rankserve_reused_programs_total", "Programs that were found compiled by an earlier load.", loads.reused
    )


def version_families(entries: Iterable[ModelEntry]) -> Iterator[Metric]:
    """What the versions that are loaded were asked, and have answered."""
    requests = CounterMetricFamily(
        "rankserve_requests_total",
        "Requests, those of BatchRank and RankStream too, that a version was chosen for; the alias is empty where "
        "none was asked for.",
        labels=(*_VERSION, "alias"),
    )
    candidates = HistogramMetricFamily(
        "rankserve_request_candidates", "Candidates of a request that are scored.", labels=_VERSION
    )
    unknown = CounterMetricFamily(
        "rankserve_unknown_items_total", "Candidates that the version does not know.", labels=_VERSION
    )
    cold = CounterMetricFamily(
        "rankserve_cold_user_requests_total", "Requests of users that the version does not know.", labels=_VERSION
    )
    scores = HistogramMetricFamily(
        "rankserve_scores", "Predicted ratings, those of every 64th request.", labels=_VERSION
    )
    for labels, counts in [_counted(entry.model) for entry in entries if entry.model is not None]:
        requests.add_metric((*labels, ""), counts.requests)
        for alias, count in list(counts.aliases.items()):
            requests.add_metric((*labels, alias), count)
        _add(candidates, labels, counts.candidates)
        unknown.add_metric(labels, counts.unknown_items)
        cold.add_metric(labels, counts.cold_users)
        _add(scores, labels, counts.scores)
    yield from (requests, candidates, unknown, cold, scores)


def model_families(entries: Iterable[ModelEntry], roles_of: Callable[[ModelEntry], Roles]) -> Iterator[Metric]:
    """Which versions there are, what they are there for, and what keeps some from serving."""
    served = GaugeMetricFamily(
        "rankserve_served_version", "The version that answers where a request names none.", labels=("model",)
    )
    roles = GaugeMetricFamily(
        "rankserve_version_role",
        "1 for each thing that a loaded version is there for: current, pinned, canary, shadow, alias:NAME, or none.",
        labels=(*_VERSION, "role"),
    )
    quarantined = GaugeMetricFamily(
        "rankserve_quarantined_version",
        f"1 for each version that may not serve, the newest {_MOST_QUARANTINED} of a model, by what is wrong with it.",
        labels=(*_VERSION, "reason"),
    )
    counts = GaugeMetricFamily(
        "rankserve_quarantined_versions", "How many versions of a model may not serve.", labels=("model",)
    )
    bad: dict[str, int] = {}
    for entry in entries:  # the newest of a model first
        bad.setdefault(entry.name, 0)
        if entry.state is ModelState.FAILED:
            bad[entry.name] += 1
            if bad[entry.name] <= _MOST_QUARANTINED:
                quarantined.add_metric((entry.name, str(entry.version), entry.fault), 1)
        elif entry.state is ModelState.READY:
            of_version = roles_of(entry)
            if of_version.is_current:
                served.add_metric((entry.name,), entry.version)
            for role in _role_names(of_version):
                roles.add_metric((entry.name, str(entry.version), role), 1)
    for name, count in bad.items():
        counts.add_metric((name,), count)
    yield from (served, roles, quarantined, counts)


def shadow_families(entries: Iterable[ModelEntry], totals_of: _TotalsOf) -> Iterator[Metric]:
    """How versions in the shadow would have ranked; a rate of a sum through the rate of its count is a mean."""
    requests = CounterMetricFamily(
        "rankserve_shadow_requests_total",
        "Requests of a shadow's share, by what became of them: compared, left_out or failed.",
        labels=(*_VERSION, "outcome"),
    )
    overlap = SummaryMetricFamily(
        "rankserve_shadow_overlap_at_10",
        "The share of the first 10 items of the answer that are among the shadow's own first 10.",
        labels=_VERSION,
    )
    discordance = SummaryMetricFamily(
        "rankserve_shadow_discordance",
        "The share of pairs of items that the shadow has the other way round: Kendall's tau is 1 - 2 * this.",
        labels=_VERSION,
    )
    rise = SummaryMetricFamily(
        "rankserve_shadow_score_rise", "What the shadow's scores are above the answer's.", labels=_VERSION
    )
    fall = SummaryMetricFamily(
        "rankserve_shadow_score_fall", "What the shadow's scores are below the answer's.", labels=_VERSION
    )
    for entry in entries:
        totals = None if entry.model is None else totals_of(entry.model)
        if totals is not None:
            labels = (entry.name, str(entry.version))
            for outcome in ("compared", "left_out", "failed"):
                requests.add_metric((*labels, outcome), getattr(totals, outcome))
            overlap.add_metric(labels, totals.compared, totals.overlap_at_10)
            discordance.add_metric(labels, totals.compared, totals.discordance)
            rise.add_metric(labels, totals.compared, totals.score_rise)
            fall.add_metric(labels, totals.compared, totals.score_fall)
    yield from (requests, overlap, discordance, rise, fall)


def _role_names(roles: Roles) -> list[str]:
    named = {
        "current": roles.is_current,
        "pinned": roles.is_pinned,
        "canary": roles.canary_percent,
        "shadow": roles.shadow_percent,
    }
    names = [name for name, is_so in named.items() if is_so]
    return [*names, *(f"alias:{alias}" for alias in roles.aliases)] or ["none"]


def _counted(model: LoadedModel) -> tuple[tuple[str, str], VersionCounts]:
    return (model.name, str(model.version)), model.counts


def _counter(name: str, text: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=("reason",))
    for reason, count in counts.items():
        family.add_metric((reason,), count)
    return family


def _histogram(name: str, text: str, distribution: Distribution) -> Metric:
    family = HistogramMetricFamily(name, text, labels=())
    _add(family, (), distribution)
    return family


def _add(family: HistogramMetricFamily, labels: Sequence[str], distribution: Distribution) -> None:
    bounds = [*map(floatToGoString, distribution.bounds), "+Inf"]
    # The buckets are read once: what is counted meanwhile must not be in one and not in the next.
    counts = itertools.accumulate(distribution.counts)
    family.add_metric(labels, list(zip(bounds, counts, strict=True)), distribution.total)
