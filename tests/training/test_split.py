"""The random split. That it is the tutorial's is shown in `test_tutorial`."""

import numpy as np
import pytest

from rankserve_training.split import MOST_SHUFFLED_AS_THE_TUTORIAL, random_split


@pytest.mark.parametrize(
    ("count", "train_count"), [(2, 1), (3, 2), (4, 3), (5, 4), (7, 6), (8, 6), (10, 8), (1_000, 800), (1_003, 802)]
)
def test_a_fifth_is_held_out(count: int, train_count: int) -> None:
    train, test = random_split(count, seed=42)
    assert (len(train), len(test)) == (train_count, count - train_count)
    assert train.dtype == test.dtype == np.int64
    assert sorted([*train.tolist(), *test.tolist()]) == list(range(count))


def test_it_is_shuffled_by_the_seed() -> None:
    first, again, other = (np.concatenate(random_split(1_000, seed)).tolist() for seed in (42, 42, 43))
    assert first == again
    assert first != other
    assert first != sorted(first)
    # Far from its place, too: a shuffle of neighbours would keep time and user together.
    assert np.mean(np.abs(np.array(first) - np.arange(1_000))) > 250


def test_a_global_seed_does_not_change_it() -> None:
    import tensorflow as tf

    orders = []
    for seed in (1, 2**31 - 1):
        tf.random.set_seed(seed)
        orders.append(np.concatenate(random_split(100, seed=42)).tolist())
    assert orders[0] == orders[1]


def test_millions_of_rows() -> None:
    """By another shuffle, which takes no more memory than the numbers themselves."""
    count = MOST_SHUFFLED_AS_THE_TUTORIAL + 3
    train, test = random_split(count, seed=42)
    assert (len(train), len(test)) == (800_002, 200_001)
    assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(count))
    again, other = random_split(count, seed=42)[0], random_split(count, seed=43)[0]
    assert np.array_equal(train, again)
    assert not np.array_equal(train, other)
