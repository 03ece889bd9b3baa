"""Who is hidden, what is revealed of him, and what the baselines make of it."""

from collections import Counter

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rankserve_training.baselines import item_mean, regularised_biases
from rankserve_training.evaluation.cold_start import (
    ColdUserProtocol,
    cold_start_baselines,
    cold_start_curves,
    hide_items,
    hide_users,
)
from rankserve_training.metrics import mae, rmse
from rankserve_training.rows import RatedPairs
from training.evaluation.cases import as_pairs

PROTOCOL = ColdUserProtocol(share=0.5, revealed=(0, 1, 3), fewest_tested=2)


def ratings_of(counts: list[int], seed: int = 0) -> RatedPairs:
    """As many ratings of each user (rows from 1) as asked for, in random order. No two are alike."""
    rows = [
        (user, item, 1.0 + (user + item) % 5) for user, count in enumerate(counts, 1) for item in range(1, count + 1)
    ]
    return as_pairs([rows[place] for place in np.random.default_rng(seed).permutation(len(rows))])


def keys(pairs: RatedPairs) -> list[tuple[int, int]]:
    return list(zip(pairs.users.tolist(), pairs.items.tolist(), strict=True))


@given(counts=st.lists(st.integers(1, 9), min_size=4, max_size=12), seed=st.integers(0, 20))
@settings(deadline=None)
def test_hidden_users(counts: list[int], seed: int) -> None:
    pairs = ratings_of(counts)
    protocol = ColdUserProtocol(share=0.5, revealed=(0, 1, 3), fewest_tested=2, seed=seed)
    try:
        cold = hide_users(pairs, protocol)
    except ValueError:
        assert min(counts) < 5  # all hidden users had too few
        return
    by_user = Counter(cold.test.users.tolist())
    assert len(by_user) == cold.users
    assert cold.users + cold.left_out == round(len(counts) / 2)
    assert len(set(cold.train.users.tolist())) == len(counts) - round(len(counts) / 2)
    assert not set(cold.train.users.tolist()) & set(by_user)
    for user, count in by_user.items():
        assert count == counts[user - 1] - 3 >= 2
    before: set[tuple[int, int]] = set()
    for number in (0, 1, 3):
        history = cold.history(number)
        assert Counter(history.users.tolist()) == dict.fromkeys(by_user, number) if number else not len(history)
        assert before <= set(keys(history))
        assert not set(keys(history)) & set(keys(cold.test))
        assert history.users.tolist() == sorted(history.users.tolist())
        before = set(keys(history))


def test_ratings_stay_with_their_pairs_and_strangers_are_left_out() -> None:
    rows = [(user, item, 1.0 + (user * item) % 5) for user in range(7) for item in range(1, 9)]
    cold = hide_users(as_pairs(rows), PROTOCOL)
    for part in (cold.train, cold.test, cold.history(3)):
        assert part.ratings.tolist() == [1.0 + (user * item) % 5 for user, item in keys(part)]
        assert 0 not in part.users
    assert len(cold.train) + len(cold.test) + len(cold.history(3)) == 48


def test_what_is_revealed_is_drawn_at_random_by_seed() -> None:
    pairs = ratings_of([30] * 8)
    first, again, other = (
        keys(hide_users(pairs, ColdUserProtocol(0.5, (5,), 1, seed)).history(5)) for seed in (1, 1, 2)
    )
    assert first == again != other
    assert {item for _, item in first} != set(range(1, 6))


def test_curves_by_hand() -> None:
    """A model that predicts one more than the number of ratings it is shown of each user."""
    pairs = ratings_of([9] * 6)
    cold = hide_users(pairs, PROTOCOL)
    asked = []

    def rate(history: RatedPairs, tested: RatedPairs) -> npt.NDArray[np.float64]:
        asked.append((len(history), keys(tested)))
        return np.full(len(tested), 1.0 + len(history) / cold.users)

    (curve,) = cold_start_curves(cold, {"counts": rate})
    assert curve.name == "counts"
    assert [point.revealed for point in curve.points] == [0, 1, 3]
    for point in curve.points:
        guess = np.full(len(cold.test), 1.0 + point.revealed)
        assert point.accuracy.rows == len(cold.test)
        assert point.accuracy.rmse == pytest.approx(rmse(guess, cold.test.ratings))
        assert point.accuracy.mae == pytest.approx(mae(guess, cold.test.ratings))
    assert [count for count, _ in asked] == [0, cold.users, 3 * cold.users]
    assert all(tested == keys(cold.test) for _, tested in asked)


def test_the_baselines() -> None:
    """The item mean does not look at the history. The bias of a user is the shrunk mean of what the items leave."""
    train = as_pairs([(1, 1, 2), (1, 2, 4), (2, 1, 3), (2, 2, 5)])
    raters = cold_start_baselines(train, user_count=4, item_count=3)
    tested = as_pairs([(3, 1, 1), (3, 3, 1), (4, 2, 1)])
    history = as_pairs([(3, 1, 5), (3, 2, 5)])
    assert list(raters) == ["item mean", "biases"]
    for revealed in (history, as_pairs([])):
        assert raters["item mean"](revealed, tested).tolist() == pytest.approx([2.5, 3.5, 4.5])
    biases = regularised_biases(train, 4, 3)
    left = [5 - biases.mean - biases.item_biases[1], 5 - biases.mean - biases.item_biases[2]]
    bias = sum(left) / (15 + 2)
    expected = [
        biases.mean + biases.item_biases[1] + bias,
        biases.mean + bias,
        biases.mean + biases.item_biases[2],
    ]
    assert raters["biases"](history, tested).tolist() == pytest.approx(expected)
    assert biases.with_history(history).user_biases.tolist() == pytest.approx([0, 0, 0, bias, 0])


def test_the_item_mean() -> None:
    model = item_mean(as_pairs([(1, 1, 2), (2, 1, 3), (1, 2, 5), (1, 0, 1)]), 2, 3)
    # Item 3 has no rating, and item 0 is many items: both are predicted the mean of all, 11 / 4.
    assert model.rate(as_pairs([(1, 1, 0), (0, 2, 0), (2, 3, 0), (1, 0, 0)])).tolist() == pytest.approx(
        [2.5, 5, 2.75, 2.75]
    )
    assert model.prefer(np.array([1, 0], np.int32)).tolist() == [[2.5, 5, 2.75]] * 2
    assert model.prefer(np.array([1], np.int32)).dtype == np.float32


@given(counts=st.lists(st.integers(1, 6), min_size=3, max_size=10), share=st.floats(0.01, 0.6), seed=st.integers(0, 9))
@settings(deadline=None)
def test_hidden_items(counts: list[int], share: float, seed: int) -> None:
    by_user = ratings_of(counts)
    pairs = RatedPairs(by_user.items, by_user.users, by_user.ratings)
    cold = hide_items(pairs, share, seed)
    assert cold.items.tolist() == sorted(set(cold.test.items.tolist()))
    assert len(cold.items) == max(round(len(counts) * share), 1)
    assert not set(cold.items.tolist()) & set(cold.train.items.tolist())
    assert sorted(keys(cold.train) + keys(cold.test)) == sorted(keys(pairs))


def test_what_is_refused() -> None:
    for arguments in (
        {"share": 0.0},
        {"share": 1.0},
        {"revealed": ()},
        {"revealed": (3, 1)},
        {"revealed": (-1,)},
        {"fewest_tested": 0},
    ):
        with pytest.raises(ValueError, match="should"):
            ColdUserProtocol(**arguments)
    with pytest.raises(ValueError, match="too few users"):
        hide_users(ratings_of([2, 2, 2]), PROTOCOL)
    with pytest.raises(ValueError, match="between 0 and 1"):
        hide_items(ratings_of([2, 2]), 1.5)
    with pytest.raises(ValueError, match="2 items or more"):
        hide_items(as_pairs([(1, 1, 1), (2, 1, 1)]))
