"""The requests of a server's request log (`rankserve serve --request-log`), as they were made."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from google.protobuf import json_format

from rankserve.v1 import ranking_pb2
from rankserve_client.bench.workload import IdRange, LoggedRequest
from rankserve_client.messages import to_selector


class _Entry(NamedTuple):
    """When a request was answered, in seconds, and what it was."""

    time: float
    request: ranking_pb2.RankRequest


@dataclass(frozen=True, slots=True)
class LogSummary:
    """What a request log holds."""

    requests: int
    bad_lines: int
    """Lines that are no requests; the last one of a server that was killed may be half of one."""
    seconds: float
    """From the first request to the last."""
    candidates: IdRange
    """The fewest and the most of a request; the whole catalogue counts as 1."""
    users: IdRange
    items: IdRange


def summary(path: Path) -> LogSummary:
    """Reads all of it.

    Raises:
        OSError: it cannot be read.
        ValueError: it holds no request.
    """
    times, sizes, users, items, bad = [], [], [], [], 0
    for entry in _entries(path):
        if entry is None:
            bad += 1
            continue
        times.append(entry.time)
        sizes.append(max(1, len(entry.request.candidate_ids)))
        users.append(entry.request.user_id)
        items += [min(entry.request.candidate_ids, default=1), max(entry.request.candidate_ids, default=1)]
    if not times:
        raise ValueError(f"{path} holds no request: none of its {bad:,} lines is one")
    ranges = [IdRange(min(column), max(column)) for column in (sizes, users, items)]
    return LogSummary(len(times), bad, max(times) - min(times), *ranges)


def read_share(
    path: Path, process: int, processes: int, model: str | None, version: int | None
) -> tuple[list[LoggedRequest], list[float]]:
    """Every `processes`-th request, by time, and when each was made: seconds from the log's first one.

    `model` and `version` are asked instead of what was asked then; None: the same.
    """
    entries = sorted((entry for entry in _entries(path) if entry is not None), key=lambda entry: entry.time)
    requests, arrivals = [], []
    for entry in entries[process::processes]:
        if (selector := to_selector(model, version, None)) is not None:
            entry.request.model.CopyFrom(selector)
        count = len(entry.request.candidate_ids)
        requests.append(LoggedRequest(entry.request.SerializeToString(), count, model, version))
        arrivals.append(entry.time - entries[0].time)
    return requests, arrivals


def _entries(path: Path) -> Iterator[_Entry | None]:
    """What each line says; None where it is no request."""
    with path.open("rb") as file:
        for line in file:
            if line.strip():
                yield _entry(line)


def _entry(line: bytes) -> _Entry | None:
    try:
        fields = json.loads(line)
        request = json_format.ParseDict(fields["request"], ranking_pb2.RankRequest())
        return _Entry(datetime.fromisoformat(fields["time"]).timestamp(), request)
    except (ValueError, KeyError, TypeError, AttributeError, json_format.ParseError):
        return None
