"""The baselines against plain Python and against published figures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankserve_training.baselines import BiasModel, global_mean, regularised_biases
from rankserve_training.rows import RatedPairs
from training.conftest import Training

USERS, ITEMS = 4, 5
Rated = list[tuple[int, int, float]]
RATED = st.lists(
    st.tuples(st.integers(0, USERS), st.integers(0, ITEMS), st.sampled_from([0.5, 1.0, 3.25, 4.0, 5.0])), min_size=1
)


def as_pairs(rated: Rated) -> RatedPairs:
    users, items, ratings = zip(*rated, strict=True)
    return RatedPairs(np.array(users, np.int32), np.array(items, np.int32), np.array(ratings, np.float32))


def slow_biases(rated: Rated) -> tuple[dict[int, float], dict[int, float]]:
    """Ten sweeps of: an item's bias is the shrunk mean of what users' biases leave, and the other way round."""
    mean = sum(rating for *_, rating in rated) / len(rated)
    users = dict.fromkeys(range(USERS + 1), 0.0)
    items = dict.fromkeys(range(ITEMS + 1), 0.0)
    for _ in range(10):
        for item in items:
            left = [rating - mean - users[user] for user, other, rating in rated if other == item]
            items[item] = sum(left) / (10 + len(left))
        for user in users:
            left = [rating - mean - items[item] for other, item, rating in rated if other == user]
            users[user] = sum(left) / (15 + len(left))
    return users, items


@given(rated=RATED)
def test_biases_against_plain_python(rated: Rated) -> None:
    model = regularised_biases(as_pairs(rated), USERS, ITEMS)
    users, items = slow_biases(rated)
    assert model.mean == pytest.approx(sum(rating for *_, rating in rated) / len(rated))
    assert model.user_biases.tolist() == pytest.approx(list(users.values()), abs=1e-12)
    assert model.item_biases.tolist() == pytest.approx(list(items.values()), abs=1e-12)
    expected = [model.mean + users[user] + items[item] for user, item, _ in rated]
    assert model.predict(as_pairs(rated)).tolist() == pytest.approx(expected)


def test_the_global_mean_is_exact() -> None:
    # 0.1 as float32, so often that a sum in float32 would be off.
    pairs = RatedPairs(np.ones(2_000_000, np.int32), np.ones(2_000_000, np.int32), np.full(2_000_000, 0.1, np.float32))
    model = global_mean(pairs, USERS, ITEMS)
    assert model.mean == pytest.approx(float(np.float32(0.1)), rel=1e-12)
    assert model.predict(as_pairs([(0, 0, 1), (4, 5, 1)])).tolist() == [model.mean] * 2
    assert (model.user_biases.shape, model.item_biases.shape) == ((USERS + 1,), (ITEMS + 1,))


def test_who_has_no_rating_has_no_bias() -> None:
    model = regularised_biases(as_pairs([(1, 1, 1.0), (1, 2, 5.0), (2, 2, 5.0)]), USERS, ITEMS)
    assert model.user_biases[[0, 3, 4]].tolist() == model.item_biases[[0, 3, 4, 5]].tolist()[:3] == [0, 0, 0]
    assert model.item_biases[1] < 0 < model.item_biases[2]


def test_movielens(tutorial: Training) -> None:
    """Surprise publishes 0.944 for BaselineOnly on MovieLens 100K, and the mean is off by the standard deviation."""
    metrics = tutorial.trained.metrics
    assert metrics["bias_only_rmse"] == pytest.approx(0.944, abs=0.005)
    data = tutorial.trained.data
    train, test = data.train.ratings.tolist(), data.test.ratings.tolist()
    mean = sum(train) / len(train)
    expected = (sum((rating - mean) ** 2 for rating in test) / len(test)) ** 0.5
    assert metrics["global_mean_rmse"] == pytest.approx(expected, rel=1e-12)
    assert metrics["bias_only_rmse"] < metrics["global_mean_rmse"]


def test_a_model_by_hand() -> None:
    model = BiasModel(3.0, np.array([0.0, 0.5]), np.array([0.0, -1.0]))
    assert model.predict(as_pairs([(0, 0, 1), (1, 0, 1), (0, 1, 1), (1, 1, 1)])).tolist() == [3, 3.5, 2, 2.5]
