"""RMSE and MAE against plain Python."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankserve_training.metrics import mae, rmse

RATINGS = st.floats(-1e6, 1e6, width=32)


@given(pairs=st.lists(st.tuples(RATINGS, RATINGS), min_size=1, max_size=50))
def test_against_plain_python(pairs: list[tuple[float, float]]) -> None:
    predicted, given_ratings = (np.array(column, np.float32) for column in zip(*pairs, strict=True))
    errors = [first - second for first, second in pairs]
    assert rmse(predicted, given_ratings) == pytest.approx(math.sqrt(math.fsum(e * e for e in errors) / len(errors)))
    assert mae(predicted, given_ratings) == pytest.approx(math.fsum(map(abs, errors)) / len(errors))


def test_sums_are_not_in_float32() -> None:
    """Where 2^24 ones would add up to no more than 2^24."""
    ones = np.ones(20_000_000, np.float32)
    assert rmse(ones, np.zeros_like(ones)) == 1.0
    assert mae(ones, np.zeros_like(ones)) == 1.0


@pytest.mark.parametrize(("predicted", "given_ratings"), [((3,), (2,)), ((0,), (0,)), ((2, 1), (2, 1)), ((2, 1), (2,))])
def test_shapes_that_are_refused(predicted: tuple[int, ...], given_ratings: tuple[int, ...]) -> None:
    for metric in (rmse, mae):
        with pytest.raises(ValueError, match=r"shapes should be \(n,\) and equal, not "):
            metric(np.zeros(predicted), np.zeros(given_ratings))
