import itertools
import math
import statistics

import pytest

from rankserve_client.bench.arrivals import poisson_arrivals
from rankserve_client.bench.plan import Plan
from rankserve_client.bench.workload import IdRange, parse_candidates

RATE = 200.0
SECONDS = 200


def counts_by_second(*streams: list[float]) -> list[int]:
    counts = [0] * SECONDS
    for due in itertools.chain(*streams):
        counts[int(due)] += 1
    return counts


def arrivals(rate: float, seed: str) -> list[float]:
    return list(itertools.takewhile(lambda due: due < SECONDS, poisson_arrivals(rate, seed)))


def assert_poisson(counts: list[int], rate: float) -> None:
    """Mean and variance are both the rate, within four standard errors."""
    assert statistics.mean(counts) == pytest.approx(rate, abs=4 * math.sqrt(rate / len(counts)))
    assert statistics.variance(counts) == pytest.approx(rate, rel=4 * math.sqrt(2 / len(counts)))


def test_counts_have_the_mean_and_the_variance_of_poisson() -> None:
    assert_poisson(counts_by_second(arrivals(RATE, "1")), RATE)


def test_gaps_are_exponential() -> None:
    due = arrivals(RATE, "2")
    gaps = [after - before for before, after in itertools.pairwise([0.0, *due])]
    assert all(gap >= 0 for gap in gaps)
    assert statistics.mean(gaps) == pytest.approx(1 / RATE, rel=0.03)
    assert statistics.stdev(gaps) == pytest.approx(1 / RATE, rel=0.03)
    median = math.log(2) / RATE
    assert statistics.median(gaps) == pytest.approx(median, rel=0.05)


def test_the_processes_shares_add_up_to_poisson_of_the_whole_rate() -> None:
    shares = [arrivals(RATE / 4, f"3 arrivals {process}") for process in range(4)]
    assert_poisson(counts_by_second(*shares), RATE)


def test_the_same_seed_gives_the_same_times() -> None:
    assert arrivals(50, "7") == arrivals(50, "7")
    assert arrivals(50, "7") != arrivals(50, "8")


def test_shares_add_up_to_the_plan() -> None:
    plan = Plan(
        servers=("127.0.0.1:1",),
        users=IdRange(1, 2),
        items=IdRange(1, 200),
        candidates=parse_candidates("100"),
        concurrency=16,
        rate=None,
        duration=None,
        requests=1_000,
        connections=4,
        processes=3,
        max_outstanding=100,
    )
    shares = plan.shares()
    assert [share.process for share in shares] == [0, 1, 2]
    assert [share.concurrency for share in shares] == [6, 5, 5]
    assert [share.requests for share in shares] == [334, 333, 333]
    assert [share.connections for share in shares] == [2, 1, 1]
    assert [share.max_outstanding for share in shares] == [34, 33, 33]
