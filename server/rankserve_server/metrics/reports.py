"""The families of several processes: as bytes, and as one.

Counters, histograms and summaries are added up, those of processes that have ended too: a sum that falls would look
like a start from zero, and as a rate like a burst of calls. Gauges are those of the processes that live.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

import msgspec
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

_Labels: TypeAlias = dict[str, str]


class Family(msgspec.Struct, array_like=True, frozen=True):
    """A family as it travels: its samples are name, labels and value."""

    name: str
    type: str
    documentation: str
    samples: list[tuple[str, _Labels, float]]


Report: TypeAlias = Sequence[Family]
# Gauges of which each process has its part. Of the others all processes have the same, or the highest counts.
_ADDED_GAUGES = frozenset(
    {
        "process_open_fds",
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
        "rankserve_queued_candidates",
        "rankserve_requests_in_flight",
    }
)
_LOWEST_GAUGES = frozenset({"process_max_fds", "process_start_time_seconds"})
_decoder = msgspec.msgpack.Decoder(list[Family])


def report_of(families: Iterable[Metric]) -> list[Family]:
    """The families of this process."""
    return [
        Family(family.name, family.type, family.documentation, [(s.name, s.labels, s.value) for s in family.samples])
        for family in families
    ]


def encoded(report: Report) -> bytes:
    """A report for another process."""
    return msgspec.msgpack.encode(report)


def decoded(content: bytes) -> Report:
    """What `encoded` has made of a report."""
    return _decoder.decode(content)


def merged(reports: Iterable[Report]) -> Iterator[Metric]:
    """One family for each name."""
    families: dict[str, list[Family]] = {}
    for report in reports:
        for family in report:
            families.setdefault(family.name, []).append(family)
    for parts in families.values():
        first = parts[0]
        result = Metric(first.name, first.documentation, first.type)
        for (name, labels), value in _merged_samples(parts, _way_of(first)).items():
            result.samples.append(Sample(name, dict(labels), value))
        yield result


def added_up(ended: Iterable[Report]) -> list[Family]:
    """What processes that have ended had counted; there are no gauges in it."""
    return report_of(family for family in merged(ended) if family.type != "gauge")


def without_gone_versions(ended: Report, living: Sequence[Report]) -> Report:
    """Leaves out the versions that none of the living has any more; where none has any, they may come yet."""
    kept = {_version_of(labels) for report in living for family in report for _, labels, _ in family.samples}
    if not kept - {None}:
        return ended
    kept.add(None)
    return [
        Family(
            family.name,
            family.type,
            family.documentation,
            [sample for sample in family.samples if _version_of(sample[1]) in kept],
        )
        for family in ended
    ]


def _merged_samples(
    families: Iterable[Family], merge: Callable[[float, float], float]
) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    samples: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for family in families:
        for name, labels, value in family.samples:
            key = (name, tuple(labels.items()))
            samples[key] = merge(samples[key], value) if key in samples else value
    return samples


def _way_of(family: Family) -> Callable[[float, float], float]:
    if family.type != "gauge" or family.name in _ADDED_GAUGES:
        return _sum
    return min if family.name in _LOWEST_GAUGES else max


def _sum(one: float, other: float) -> float:
    return one + other


def _version_of(labels: _Labels) -> tuple[str, str] | None:
    if "version" in labels and "model" in labels:
        return labels["model"], labels["version"]
    return None
