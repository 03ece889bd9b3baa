"""Splits: each row on one side, and on the right one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankserve_training import split
from rankserve_training.evaluation.protocols import fold_split, k_folds, random_split, time_split


def test_the_random_split_is_the_tutorials() -> None:
    assert random_split is split.random_split


@given(count=st.integers(2, 60), data=st.data())
def test_folds_test_each_row_once(count: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(2, count))
    folds = k_folds(count, k, seed=3)
    assert sorted(np.concatenate(folds).tolist()) == list(range(count))
    assert {len(fold) for fold in folds} <= {count // k, -(-count // k)}
    for number in range(k):
        train, test = fold_split(folds, number)
        assert test.tolist() == folds[number].tolist()
        assert sorted([*train.tolist(), *test.tolist()]) == list(range(count))


def test_folds_are_shuffled_by_their_seed() -> None:
    first, again, other = (np.concatenate(k_folds(100, 5, seed)).tolist() for seed in (1, 1, 2))
    assert first == again != other
    assert first != list(range(100))


@pytest.mark.parametrize("k", [0, 1, 4])
def test_folds_that_are_refused(k: int) -> None:
    with pytest.raises(ValueError, match="from 2 to 3"):
        k_folds(3, k, 0)


def test_the_last_are_held_out() -> None:
    train, test = time_split(np.array([50, 10, 40, 20, 40]), 0.4)
    assert (train.tolist(), test.tolist()) == ([1, 3, 2], [4, 0])


@given(times=st.lists(st.integers(0, 9), min_size=2, max_size=30), share=st.floats(0.001, 0.999))
def test_no_test_rating_is_older_than_one_trained_on(times: list[int], share: float) -> None:
    train, test = time_split(np.array(times), share)
    assert sorted([*train.tolist(), *test.tolist()]) == list(range(len(times)))
    assert len(train) >= 1 <= len(test)
    assert len(test) == pytest.approx(len(times) * share, abs=1)
    assert (times[train[-1]], train[-1]) < (times[test[0]], test[0])


@pytest.mark.parametrize(("count", "share"), [(1, 0.5), (5, 0.0), (5, 1.0)])
def test_time_splits_that_are_refused(count: int, share: float) -> None:
    with pytest.raises(ValueError, match="2 or more ratings"):
        time_split(np.arange(count), share)
