"""From counts to the figures of a report."""

from dataclasses import dataclass
from typing import Any, Final

from rankserve_client.bench.histogram import Histogram
from rankserve_client.bench.plan import Plan
from rankserve_client.bench.tally import Counts

PERCENTILES: Final = {"min": 0.0, "p50": 50.0, "p90": 90.0, "p99": 99.0, "p99_9": 99.9, "max": 100.0}

# Above these the generator measures itself: its processes had no more CPU to use, or sent late.
_BUSY_CPU_SHARE = 0.9
_LATE_MS = 1.0


@dataclass(frozen=True, slots=True)
class Interval:
    """One step of the run; latencies are None where no answer came."""

    seconds: float
    """From the start of the run to the middle of the step."""
    requests_per_second: float
    p50_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, slots=True)
class Result:
    """A run: what was asked for, what was counted and who answered."""

    plan: Plan
    counts: Counts
    server: str
    model_name: str
    model_version: int

    @property
    def seconds(self) -> float:
        """How long the load ran. Where its requests ran out first, until the last answer."""
        if self.plan.duration is None or self.counts.out_of_requests:
            return max(self.counts.last_end, 1e-6)
        return self.plan.duration

    @property
    def requests_per_second(self) -> float:
        return self.counts.answered_in_time / self.seconds

    @property
    def candidates_per_second(self) -> float:
        return self.counts.candidates_in_time / self.seconds

    @property
    def sent_per_second(self) -> float:
        return self.counts.sent / self.seconds

    @property
    def latency_ms(self) -> dict[str, float] | None:
        """By the names of `PERCENTILES`, and the mean; None where nothing was answered."""
        return _percentiles(self.counts.latency)

    @property
    def lateness_ms(self) -> dict[str, float] | None:
        """How late the open loop sent; None for a closed one."""
        return _percentiles(self.counts.lateness)

    @property
    def bottlenecks(self) -> list[str]:
        """Why the generator, rather than the server, set the limit; empty where it did not."""
        reasons = []
        busiest = max(self.counts.cpu_shares, default=0.0)
        if busiest >= _BUSY_CPU_SHARE:
            reasons.append(f"a process of it used {busiest:.0%} of a core")
        late = self.lateness_ms
        if late and late["p99"] > _LATE_MS:
            reasons.append(f"it sent 1 % of the requests over {late['p99']:.1f} ms late")
        if skipped := self.counts.not_sent["late"]:
            reasons.append(f"it did not get to {skipped:,} requests at all")
        return reasons

    @property
    def over_time(self) -> list[Interval]:
        """The run in equal steps; the last one that is not complete is left out."""
        width = self.plan.interval
        steps = max(1, int(self.seconds / width + 1e-9))
        return [self._interval(step, width) for step in range(steps)]

    def _interval(self, step: int, width: float) -> Interval:
        middle = (step + 0.5) * width
        histogram = self.counts.over_time.get(step)
        if not histogram:
            return Interval(middle, 0.0, None, None)
        return Interval(middle, len(histogram) / width, histogram.percentile_ms(50), histogram.percentile_ms(99))


def _percentiles(histogram: Histogram) -> dict[str, float] | None:
    if not histogram:
        return None
    by_name = {name: histogram.percentile_ms(percentile) for name, percentile in PERCENTILES.items()}
    return by_name | {"mean": round(histogram.mean_ms(), 3)}


def to_json(result: Result) -> dict[str, Any]:
    """What `--json` writes; `command.py` describes the keys."""
    plan, counts = result.plan, result.counts
    return {
        "server": result.server,
        "model": {"name": result.model_name, "version": result.model_version},
        "answered_by": [
            {"name": name, "version": version, "answers": answers}
            for (name, version), answers in sorted(counts.answered_by.items())
        ],
        "settings": _settings(plan),
        "seconds": round(result.seconds, 3),
        "counts": {
            "sent": counts.sent,
            "answered": counts.answered,
            "failed": counts.failed,
            "failures": dict(sorted(counts.failures.items())),
            "wrong": counts.wrong.total(),
            "wrong_kinds": dict(sorted(counts.wrong.items())),
            "not_sent": counts.not_sent.total(),
            "not_sent_reasons": dict(sorted(counts.not_sent.items())),
            "with_unknown_ids": counts.with_unknown,
        },
        "rates": {
            "asked": plan.rate,
            "sent": round(result.sent_per_second, 3),
            "requests": round(result.requests_per_second, 3),
            "candidates": round(result.candidates_per_second, 3),
        },
        "latency_ms": result.latency_ms,
        "generator": {
            "bottleneck": bool(result.bottlenecks),
            "reasons": result.bottlenecks,
            "cpu_shares": [round(share, 3) for share in counts.cpu_shares],
            "lateness_ms": result.lateness_ms,
        },
        "over_time": [
            {
                "seconds": round(step.seconds, 3),
                "requests_per_second": round(step.requests_per_second, 3),
                "p50_ms": step.p50_ms,
                "p99_ms": step.p99_ms,
            }
            for step in result.over_time
        ],
    }


def _settings(plan: Plan) -> dict[str, Any]:
    is_open = plan.concurrency is None
    return {
        "loop": "open" if is_open else "closed",
        "concurrency": plan.concurrency,
        "rate": plan.rate,
        "candidates": plan.candidates.text,
        "top_k": plan.top_k,
        "duration": plan.duration,
        "requests": plan.requests,
        "warm_up": plan.warm_up,
        "connections": plan.connections,
        "processes": plan.processes,
        "max_outstanding": plan.max_outstanding if is_open else None,
        "timeout": plan.timeout,
        "users": [plan.users.low, plan.users.high],
        "items": [plan.items.low, plan.items.high],
        "seed": plan.seed,
        "replay": None if plan.replay is None else str(plan.replay),
        "speed": plan.speed,
    }
