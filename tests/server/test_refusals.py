"""Refusals have a share of a thread's time, whatever one of them takes."""

import pytest

from rankserve_server.transport.refusals import Refusals

ROUND_SECONDS = 0.002
SECONDS = 10.0


@pytest.mark.parametrize("cost", [10e-6, 50e-6, 500e-6, 0.005])
@pytest.mark.parametrize("most_a_round", [1, 8, 500])
def test_they_take_a_twentieth_of_the_time(cost: float, most_a_round: int) -> None:
    """Where there are always more calls to refuse, a round refuses as many as it may, or so many."""
    budget = Refusals(0.0)
    refused = 0
    for number in range(round(SECONDS / ROUND_SECONDS)):
        if budget.affordable > 0:
            count = min(most_a_round, int(budget.affordable) + 1)
            for _ in range(count):
                budget.count()
            refused += count
        budget.end_round((number + 1) * ROUND_SECONDS, cost)
    possible = most_a_round * SECONDS / ROUND_SECONDS
    assert refused == pytest.approx(min(0.05 * SECONDS / cost, possible), rel=0.05)


def test_what_is_not_used_is_not_kept_for_long() -> None:
    budget = Refusals(0.0)
    budget.end_round(3_600.0, 50e-6)
    assert 1 <= budget.affordable <= 1_000


def test_what_was_too_much_is_made_up_for_within_a_second() -> None:
    budget = Refusals(0.0)
    for _ in range(100_000):
        budget.count()
    budget.end_round(0.01, 50e-6)
    assert budget.affordable == pytest.approx(-1_000)
    budget.end_round(1.02, 50e-6)
    assert budget.affordable > 0


def test_they_are_recent_until_they_are_made_up_for() -> None:
    budget = Refusals(0.0)
    budget.end_round(0.001, 50e-6)
    assert not budget.are_recent
    budget.count()
    budget.end_round(0.002, 50e-6)
    assert budget.are_recent
    budget.end_round(0.003, 50e-6)
    assert budget.are_recent
    budget.end_round(0.1, 50e-6)
    assert not budget.are_recent
