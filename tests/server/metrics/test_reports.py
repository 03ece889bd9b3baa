"""Several processes as one: what is added up, what is not, and what stays of those that have ended."""

import pytest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from rankserve_server.metrics.reports import (
    Report,
    added_up,
    decoded,
    encoded,
    merged,
    report_of,
    without_gone_versions,
)


def report(*families: Metric) -> Report:
    """As it arrives from another process."""
    return decoded(encoded(report_of(families)))


def counter(value: float, version: str = "1") -> Metric:
    family = CounterMetricFamily("rankserve_requests_total", "", labels=("model", "version"))
    family.add_metric(("shop", version), value)
    return family


def histogram(*counts: float, total: float) -> Metric:
    bounds = ("1.0", "+Inf")
    return HistogramMetricFamily("seconds", "", buckets=list(zip(bounds, counts, strict=True)), sum_value=total)


def gauge(name: str, value: float) -> Metric:
    return GaugeMetricFamily(name, "", value)


def values(families: list[Metric], name: str) -> list[float]:
    return [sample.value for family in families for sample in family.samples if sample.name == name]


def test_counters_and_histograms_are_added_up() -> None:
    one = report(counter(2), histogram(1, 3, total=5))
    other = report(counter(5), histogram(0, 1, total=7))
    families = list(merged([one, other]))
    assert values(families, "rankserve_requests_total") == [7]
    assert values(families, "seconds_bucket") == [1, 4]
    assert values(families, "seconds_count") == [4]
    assert values(families, "seconds_sum") == [12]
    assert [family.type for family in families] == ["counter", "histogram"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rankserve_requests_in_flight", 10),
        ("process_resident_memory_bytes", 10),
        ("process_start_time_seconds", 3),
        ("process_max_fds", 3),
        ("rankserve_served_version", 7),
    ],
)
def test_a_gauge_is_what_it_means(name: str, expected: float) -> None:
    assert values(list(merged([report(gauge(name, 3)), report(gauge(name, 7))])), name) == [expected]


def test_what_has_ended_still_counts_but_for_its_gauges() -> None:
    ended = added_up([report(counter(2), gauge("rankserve_queued_candidates", 9)), report(counter(3))])
    families = list(merged([report(counter(4), gauge("rankserve_queued_candidates", 1)), ended]))
    assert values(families, "rankserve_requests_total") == [9]
    assert values(families, "rankserve_queued_candidates") == [1]


def test_where_nobody_lives_the_counters_stay() -> None:
    families = list(merged([added_up([report(counter(2), gauge("rankserve_queued_candidates", 9))])]))
    assert values(families, "rankserve_requests_total") == [2]
    assert not values(families, "rankserve_queued_candidates")


def test_versions_that_have_gone_are_forgotten() -> None:
    ended = added_up([report(counter(2, "1"), counter(3, "2"), histogram(1, 1, total=1))])
    living = [report(counter(1, "2"))]
    families = list(merged([*living, without_gone_versions(ended, living)]))
    assert values(families, "rankserve_requests_total") == [4]
    assert values(families, "seconds_count") == [1]


def test_nothing_is_forgotten_while_nobody_has_a_version() -> None:
    """As while all workers start again."""
    ended = added_up([report(counter(2, "1"))])
    assert without_gone_versions(ended, []) == ended
    assert without_gone_versions(ended, [report(histogram(0, 0, total=0))]) == ended
