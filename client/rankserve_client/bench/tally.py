"""What is counted while the load runs, in each process, and how the counts of several become one."""

import math
import resource
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import grpc

from rankserve_client.bench.answers import fault_of, parse
from rankserve_client.bench.histogram import Histogram
from rankserve_client.bench.workload import AnyRequest


@dataclass
class Counts:
    """The counts of a process, or of all of them. Times are seconds from the start."""

    answered: int = 0
    """Calls that ended with OK, wrong answers included."""
    answered_in_time: int = 0
    """Of these, those that came before the run's end: what the rates are made of."""
    candidates_in_time: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    """By gRPC status."""
    messages: dict[str, str] = field(default_factory=dict)
    """The first message of each status."""
    wrong: Counter[str] = field(default_factory=Counter)
    """By kind, see `answers.fault_of`."""
    not_sent: Counter[str] = field(default_factory=Counter)
    """By reason: `outstanding`, too many were, or `late`, the generator did not get to it."""
    with_unknown: int = 0
    """Answers to an unknown user or with unknown items."""
    answered_by: Counter[tuple[str, int]] = field(default_factory=Counter)
    """By name and version of the model."""
    latency: Histogram = field(default_factory=Histogram)
    """Of the calls that ended with OK, from when they were due (open loop) or sent (closed loop)."""
    lateness: Histogram = field(default_factory=Histogram)
    """Open loop: from when a request was due to when it was sent."""
    over_time: dict[int, Histogram] = field(default_factory=dict)
    """`latency` by interval in which the answers came."""
    last_end: float = 0.0
    """When the last call ended."""
    out_of_requests: bool = False
    """Whether the number of requests ended the run, rather than its duration."""
    cpu_shares: list[float] = field(default_factory=list)
    """CPU seconds for each second of sending, by process."""

    @property
    def failed(self) -> int:
        return self.failures.total()

    @property
    def sent(self) -> int:
        return self.answered + self.failed

    def add(self, other: "Counts") -> None:
        """Adds the counts of another process."""
        for name in ("answered", "answered_in_time", "candidates_in_time", "with_unknown"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("failures", "wrong", "not_sent", "answered_by"):
            getattr(self, name).update(getattr(other, name))
        self.messages = other.messages | self.messages
        self.latency.add(other.latency)
        self.lateness.add(other.lateness)
        for interval, histogram in other.over_time.items():
            self.over_time.setdefault(interval, Histogram(digits=2)).add(histogram)
        self.last_end = max(self.last_end, other.last_end)
        self.cpu_shares += other.cpu_shares


def merge(several: Iterable[Counts]) -> Counts:
    """The counts of all processes together."""
    total = Counts(out_of_requests=True)
    for counts in several:
        total.add(counts)
        total.out_of_requests &= counts.out_of_requests
    return total


class Tally:
    """Counts the calls of one process; the threads of its connections share it."""

    def __init__(self, start: float, duration: float | None, interval: float) -> None:
        self.counts = Counts()
        self.start = start
        self.end = math.inf if duration is None else start + duration
        self._interval = interval
        self._lock = Lock()
        self._cpu_at_start = _cpu_seconds()

    def record(self, request: AnyRequest, since: float, now: float, call: Any) -> None:
        """Checks and counts a call, a `grpc.Future` that is also a `grpc.Call`, which ended `now`."""
        code = call.code()
        if code is not grpc.StatusCode.OK:
            with self._lock:
                self.counts.failures[code.name] += 1
                self.counts.messages.setdefault(code.name, call.details() or "")
                self.counts.last_end = max(self.counts.last_end, now - self.start)
            return
        response = parse(call.result())
        fault = "unreadable" if response is None else fault_of(request, response)
        with self._lock:
            self._count_answer(request, now - since, now)
            if fault:
                self.counts.wrong[fault] += 1
            if response is not None:
                self.counts.answered_by[response.model_name, response.model_version] += 1
                self.counts.with_unknown += not response.user_known or bool(response.unknown_item_ids)

    def sending_has_ended(self) -> None:
        """Takes the CPU share: while the last answers are waited for, the generator rests."""
        elapsed = max(1e-9, time.monotonic() - self.start)
        self.counts.cpu_shares = [(_cpu_seconds() - self._cpu_at_start) / elapsed]

    def _count_answer(self, request: AnyRequest, latency: float, now: float) -> None:
        counts = self.counts
        counts.answered += 1
        if now <= self.end:
            counts.answered_in_time += 1
            counts.candidates_in_time += request.count
        counts.last_end = max(counts.last_end, now - self.start)
        counts.latency.record(latency)
        interval = int((now - self.start) / self._interval)
        histogram = counts.over_time.get(interval)
        if histogram is None:
            histogram = counts.over_time[interval] = Histogram(digits=2)
        histogram.record(latency)


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
