"""Ratings drawn at random for measuring."""

import numpy as np
import pytest

from rankserve_training.data import RatingScale, load
from rankserve_training.data.ratings_file import first_repeat
from rankserve_training.data.synthetic import SIZES, synthetic_ratings


def test_they_are_ratings() -> None:
    found = synthetic_ratings(users=300, items=200, count=10_000, seed=1)
    assert found.name == "synthetic/300x200x10000"
    assert found.scale == RatingScale(1, 5)
    assert found.users.ids.tolist() == list(range(1, 301))
    assert found.items.ids.tolist() == list(range(1, 201))
    assert len(found.items.titles) == len(found.items.genres) == 200
    ratings = found.ratings
    columns = (ratings.user_ids, ratings.item_ids, ratings.values, ratings.timestamps)
    assert [column.dtype for column in columns] == [np.int64, np.int64, np.float32, np.int64]
    assert [len(column) for column in columns] == [10_000] * 4
    assert (ratings.user_ids.min(), ratings.user_ids.max()) == (1, 300)
    assert (ratings.item_ids.min(), ratings.item_ids.max()) == (1, 200)
    assert np.unique(ratings.values).tolist() == [1, 2, 3, 4, 5]
    assert first_repeat(ratings.user_ids, ratings.item_ids) is None


def test_they_are_in_random_order() -> None:
    ratings = synthetic_ratings(300, 200, 10_000, seed=1).ratings
    first, second = ratings.user_ids[:5_000], ratings.user_ids[5_000:]
    assert abs(first.mean() - second.mean()) < 5


def test_a_few_items_have_many_ratings() -> None:
    ratings = synthetic_ratings(3_000, 2_000, 100_000, seed=1).ratings
    counts = np.sort(np.bincount(ratings.item_ids)[1:])[::-1]
    # The first tenth has more than the second half has together.
    assert counts[:200].sum() > 2 * counts[1_000:].sum()
    assert counts[-1] > 0


def test_there_is_something_to_learn() -> None:
    """An item's own mean predicts its ratings better than the mean of all, and better than the noise would let it."""
    ratings = synthetic_ratings(3_000, 200, 100_000, seed=1).ratings
    items, values = ratings.item_ids, ratings.values.astype(np.float64)
    means = np.bincount(items, values) / np.maximum(np.bincount(items), 1)
    assert np.std(values - means[items]) < 0.95 * np.std(values)


def test_the_seed_decides() -> None:
    first, again, other = (synthetic_ratings(300, 200, 10_000, seed) for seed in (1, 1, 2))
    assert first.ratings.user_ids.tolist() == again.ratings.user_ids.tolist()
    assert first.ratings.fingerprint() == again.ratings.fingerprint() != other.ratings.fingerprint()


@pytest.mark.parametrize("count", [0, 51])
def test_more_ratings_than_can_be_drawn(count: int) -> None:
    with pytest.raises(ValueError, match=f"from 1 to half of the 100 pairs, not {count}"):
        synthetic_ratings(10, 10, count, seed=1)
    assert len(synthetic_ratings(10, 10, 50, seed=1).ratings) == 50


def test_by_name() -> None:
    found = load("synthetic/1m")
    assert (found.name, found.source) == ("synthetic/1m", "random numbers, for measuring")
    assert (len(found.users.ids), len(found.items.ids), len(found.ratings)) == SIZES["synthetic/1m"]
    assert found.ratings.fingerprint() == load("synthetic/1m").ratings.fingerprint()
