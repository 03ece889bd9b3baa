"""Measures on held-out items: by hand, and against all orders that ties allow."""

from collections.abc import Callable
from itertools import pairwise, permutations
from math import log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rankserve_training.data import RatingScale
from rankserve_training.evaluation import reranking
from rankserve_training.evaluation.per_user import PerUser
from rankserve_training.evaluation.reranking import Reranking, rerank
from training.evaluation.cases import STARS, as_pairs

Rated = list[tuple[float, float]]  # score and rating


def test_a_user_by_hand() -> None:
    """Shown: 3, 5, 1 stars. DCG = 7 + 31 / log2(3) + 1 / 2; ideal: 5, 3, 1 with 31 + 7 / log2(3) + 1 / 2."""
    found = rerank(np.array([0.9, 0.1, 0.5]), as_pairs([(7, 1, 3), (7, 2, 1), (7, 3, 5)]), STARS)
    expected = (7 + 31 / 1.584962500721156 + 0.5) / (31 + 7 / 1.584962500721156 + 0.5)
    assert found.ndcg_at_5.values.tolist() == found.ndcg_at_10.values.tolist() == [pytest.approx(expected)]
    assert found.mrr.values.tolist() == [0.5]
    assert found.pairwise_accuracy.values.tolist() == [pytest.approx(2 / 3)]
    assert found.ndcg_at_5.users.tolist() == [7]


def test_only_the_first_k_count() -> None:
    """The one item of 2 stars is shown sixth of seven: nothing of it is left at 5 but what the others gain."""
    rows = [(1, item, 2.0 if item == 6 else 1.0) for item in range(1, 8)]
    found = rerank(-np.arange(7.0), as_pairs(rows), STARS)
    discounts = [1 / log2(place + 1) for place in range(1, 8)]
    at_5 = sum(discounts[:5]) / (3 + sum(discounts[1:5]))
    at_10 = (sum(discounts) + 2 * discounts[5]) / (sum(discounts) + 2)
    assert found.ndcg_at_5.mean == pytest.approx(at_5)
    assert found.ndcg_at_10.mean == pytest.approx(at_10)


def test_who_says_nothing_is_left_out() -> None:
    rows = [
        *[(0, 1, 5), (0, 2, 1)],  # nobody in particular
        (1, 1, 5),  # a single item
        *[(2, 1, 5), (2, 2, 5)],  # equal ratings
        *[(3, 1, 5), (3, 2, 4)],  # all relevant
        *[(4, 1, 3), (4, 2, 1)],  # none relevant
        *[(5, 1, 4), (5, 2, 3)],
    ]
    found = rerank(np.arange(len(rows), dtype=np.float64), as_pairs(rows), STARS)
    assert found.ndcg_at_10.users.tolist() == found.pairwise_accuracy.users.tolist() == [3, 4, 5]
    assert found.mrr.users.tolist() == [5]
    assert len(found.mrr) == 1
    assert rerank(np.empty(0), as_pairs([]), STARS).mrr.users.tolist() == []


@pytest.mark.parametrize("rows_at_once", [1, 7, 50])
def test_a_few_users_at_a_time_measure_as_all_do(rows_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    rows = [(int(user), item, float(random.integers(1, 6))) for item, user in enumerate(random.integers(0, 20, 200), 1)]
    scores = random.integers(0, 9, len(rows)) / 2
    whole = rerank(scores, as_pairs(rows), STARS)
    monkeypatch.setattr(reranking, "_BLOCK_ROWS", rows_at_once)
    found = rerank(scores, as_pairs(rows), STARS)
    for name in ("ndcg_at_5", "ndcg_at_10", "mrr", "pairwise_accuracy"):
        assert len(getattr(whole, name)) > 10
        for part in ("users", "values"):
            np.testing.assert_array_equal(getattr(getattr(found, name), part), getattr(getattr(whole, name), part))


@given(
    users=st.lists(
        st.lists(st.tuples(st.sampled_from([0.0, 1.0, 2.5]), st.sampled_from([1.0, 2.0, 3.0, 4.0, 5.0])), max_size=6),
        min_size=1,
        max_size=4,
    ),
    seed=st.integers(0, 99),
)
@settings(deadline=None)
def test_ties_are_worth_the_mean_of_all_orders(users: list[Rated], seed: int) -> None:
    rows = [(user, 1, rating, score) for user, rated in enumerate(users, 1) for score, rating in rated]
    rows = [rows[place] for place in np.random.default_rng(seed).permutation(len(rows))]
    found = rerank(np.array([score for *_, score in rows]), as_pairs([row[:3] for row in rows]), STARS)
    expected: dict[str, dict[int, float]] = {
        name: {} for name in ("ndcg_at_5", "ndcg_at_10", "mrr", "pairwise_accuracy")
    }
    for user, rated in enumerate(users, 1):
        ratings = {rating for _, rating in rated}
        if len(ratings) > 1:
            expected["ndcg_at_5"][user] = slow_mean(rated, lambda shown: slow_ndcg(shown, 5))
            expected["ndcg_at_10"][user] = slow_mean(rated, lambda shown: slow_ndcg(shown, 10))
            expected["pairwise_accuracy"][user] = slow_pairwise_accuracy(rated)
        if min(ratings, default=5) < 4 <= max(ratings, default=0):
            expected["mrr"][user] = slow_mean(rated, lambda shown: 1 / (1 + [r >= 4 for r in shown].index(True)))
    for name, values in expected.items():
        measured = getattr(found, name)
        assert measured.users.tolist() == list(values)
        assert measured.values.tolist() == pytest.approx(list(values.values()))


@given(
    rated=st.lists(st.tuples(st.floats(-2, 2, width=16), st.floats(0.5, 5, width=16)), min_size=2, max_size=30),
)
def test_pairs_of_many_rating_levels(rated: Rated) -> None:
    scores, ratings = np.array(rated).T
    found = rerank(scores, as_pairs([(1, 1, rating) for rating in ratings]), STARS).pairwise_accuracy
    expected = [] if len(set(ratings)) == 1 else [slow_pairwise_accuracy(rated)]
    assert found.values.tolist() == pytest.approx(expected)


def slow_mean(rated: Rated, measure: Callable[[list[float]], float]) -> float:
    """Of a measure of the ratings in the order shown, over the orders of falling score."""
    orders = [order for order in permutations(rated) if all(a[0] >= b[0] for a, b in pairwise(order))]
    return sum(float(measure([rating for _, rating in order])) for order in orders) / len(orders)


def slow_ndcg(shown: list[float], k: int) -> float:
    def dcg(ratings: list[float]) -> float:
        return sum((2**rating - 1) / log2(place + 1) for place, rating in enumerate(ratings[:k], 1))

    return dcg(shown) / dcg(sorted(shown, reverse=True))


def slow_pairwise_accuracy(rated: Rated) -> float:
    pairs = [(a, b) for a in rated for b in rated if a[1] > b[1]]
    return sum(1.0 if a[0] > b[0] else 0.5 if a[0] == b[0] else 0.0 for a, b in pairs) / len(pairs)


def test_other_scales_and_thresholds() -> None:
    rows = [(1, 1, -10), (1, 2, 10)]
    wide = rerank(np.array([1.0, 0.0]), as_pairs(rows), RatingScale(-10, 10))
    assert wide.ndcg_at_10.mean == pytest.approx(1 / log2(3))  # gains 0 and 31, whatever the scale
    assert wide.mrr.mean == 0.5
    four_and_a_half = as_pairs([(1, 1, 4), (1, 2, 5)])
    assert len(rerank(np.array([1.0, 0.0]), four_and_a_half, STARS).mrr) == 0
    assert rerank(np.array([1.0, 0.0]), four_and_a_half, STARS, relevant_from=4.5).mrr.mean == 0.5


@pytest.mark.parametrize("scores", [[1.0], [1.0, np.nan], [np.inf, 1.0]])
def test_scores_that_are_refused(scores: list[float]) -> None:
    with pytest.raises(ValueError, match="cores"):
        rerank(np.array(scores), as_pairs([(1, 1, 1), (1, 2, 2)]), STARS)


def test_a_mean_of_nobody() -> None:
    nobody = PerUser(np.empty(0, np.int32), np.empty(0))
    with pytest.raises(ValueError, match="no user"):
        _ = nobody.mean


def test_constant_predictions_of_many() -> None:
    """Nobody is better off for ties: half of the pairs are right, and the place of a lone hit is anywhere."""
    rows = [(user, item, 5.0 if item == 1 else 1.0) for user in range(1, 501) for item in range(1, 101)]
    found: Reranking = rerank(np.full(len(rows), 3.5, np.float32), as_pairs(rows), STARS)
    assert found.pairwise_accuracy.values == pytest.approx(np.full(500, 0.5))
    assert found.mrr.values == pytest.approx(np.full(500, sum(1 / place for place in range(1, 101)) / 100))
