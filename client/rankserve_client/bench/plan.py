"""What a run does: the options as one value, and the share of each process."""

from dataclasses import dataclass, replace
from pathlib import Path

from rankserve_client.bench.workload import CandidateMix, IdRange
from rankserve_client.security import NO_SECURITY, Security


@dataclass(frozen=True, slots=True)
class Plan:
    """One run, or the share of one process in it. Exactly one of `concurrency`, `rate` and `speed` is set."""

    servers: tuple[str, ...]
    users: IdRange
    items: IdRange
    candidates: CandidateMix
    concurrency: int | None
    """Closed loop: requests under way at any time."""
    rate: float | None
    """Open loop: requests per second."""
    duration: float | None
    """Seconds; None: until `requests` have been sent."""
    requests: int | None
    """None: until `duration` is over."""
    warm_up: float = 1.0
    connections: int = 1
    processes: int = 1
    max_outstanding: int = 1_000
    top_k: int = 0
    model: str | None = None
    version: int | None = None
    timeout: float = 10.0
    seed: int = 42
    security: Security = NO_SECURITY
    replay: Path | None = None
    """A request log whose requests are sent; None: they are made up."""
    speed: float | None = None
    """Open loop: requests are due when they were made then, so many times as fast."""
    process: int = 0
    """Which of the processes this share is for, from 0."""

    @property
    def interval(self) -> float:
        """Seconds of one step of the figures over time."""
        expected = self.duration
        if expected is None and self.rate and self.requests:
            expected = self.requests / self.rate
        return max(0.1, expected / 100) if expected else 0.5

    def warming_up(self) -> "Plan":
        """The same load, for the warm-up only."""
        return replace(self, duration=self.warm_up, requests=None, seed=self.seed + 1)

    def shares(self) -> list["Plan"]:
        """One plan for each process. Poisson arrivals of 1/P of the rate in P processes add up to the whole rate's."""
        return [
            replace(
                self,
                concurrency=None if self.concurrency is None else self._part(self.concurrency, process),
                rate=None if self.rate is None else self.rate / self.processes,
                requests=None if self.requests is None else self._part(self.requests, process),
                connections=self._part(self.connections, process),
                max_outstanding=self._part(self.max_outstanding, process),
                process=process,
            )
            for process in range(self.processes)
        ]

    def _part(self, whole: int, process: int) -> int:
        return whole // self.processes + (process < whole % self.processes)
