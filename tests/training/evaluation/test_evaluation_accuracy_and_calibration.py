"""Accuracy by activity, calibration and likelihood, against plain Python and by hand."""

from math import exp, log, sqrt
from statistics import fmean, stdev

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankserve_training.evaluation.calibration import calibration, negative_log_likelihoods
from rankserve_training.evaluation.rating_accuracy import (
    accuracy,
    accuracy_by_item_activity,
    accuracy_by_user_activity,
)
from training.evaluation.cases import STARS, Row, as_pairs, rated_rows


def test_accuracy_by_hand() -> None:
    found = accuracy(np.array([1.0, 3.0]), np.array([2.0, 6.0]))
    assert [found.rows, found.rmse, found.mae] == pytest.approx([2, sqrt(5), 2.0])


@given(train=rated_rows(3, 3, 0, 120), test=rated_rows(5, 5))
def test_activity_against_plain_python(train: list[Row], test: list[Row]) -> None:
    predicted = np.linspace(1, 5, len(test))
    for column, by_activity in ((0, accuracy_by_user_activity), (1, accuracy_by_item_activity)):
        found = by_activity(predicted, as_pairs(test), as_pairs(train))
        expected: dict[str, list[float]] = {}
        for low, high, label in [
            (0, 0, "0"),
            (1, 9, "1-9"),
            (10, 29, "10-29"),
            (30, 99, "30-99"),
            (100, 299, "100-299"),
        ]:
            errors = [
                value - row[2]
                for value, row in zip(predicted.tolist(), test, strict=True)
                if low <= sum(other[column] == row[column] != 0 for other in train) <= high
            ]
            if errors:
                expected[label] = errors
        assert [part.label for part in found] == list(expected)
        for part, errors in zip(found, expected.values(), strict=True):
            assert part.accuracy.rows == len(errors)
            assert part.accuracy.rmse == pytest.approx(sqrt(fmean(error**2 for error in errors)))
            assert part.accuracy.mae == pytest.approx(fmean(map(abs, errors)))


def test_the_most_active() -> None:
    train = as_pairs([(1, 1, 3.0)] * 300 + [(2, 1, 3.0)] * 299)
    found = accuracy_by_user_activity(np.array([3.0, 3.0]), as_pairs([(1, 1, 3), (2, 1, 3)]), train)
    assert [(part.label, part.highest) for part in found] == [("100-299", 299), ("300+", None)]


def test_calibration_by_hand() -> None:
    """Four bins of one star each: 1.5 and 1.7 are given 1 and 4; 4.2 and, beyond the scale, 6 are given 5 and 5."""
    found = calibration(np.array([1.5, 6.0, 1.7, 4.2]), np.array([1.0, 5.0, 4.0, 5.0]), STARS, bins=4)
    first, last = found.bins
    assert [first.predicted, first.given, first.rows] == pytest.approx([1.6, 2.5, 2])
    assert first.standard_error == pytest.approx(sqrt(4.5) / sqrt(2))
    assert [last.predicted, last.given, last.rows, last.standard_error] == pytest.approx([5.1, 5.0, 2, 0.0])
    assert found.expected_error == pytest.approx((2 * 0.9 + 2 * 0.1) / 4)


@given(rated=st.lists(st.tuples(st.floats(0, 6), st.integers(1, 5)), min_size=1, max_size=60), bins=st.integers(1, 20))
def test_calibration_against_plain_python(rated: list[tuple[float, int]], bins: int) -> None:
    predicted, given_ratings = np.array(rated, np.float64).T
    found = calibration(predicted, given_ratings, STARS, bins)
    edges = np.linspace(1, 5, bins + 1).tolist()[1:-1]
    members: dict[int, list[tuple[float, int]]] = {}
    for value, rating in rated:
        members.setdefault(sum(value >= edge for edge in edges), []).append((value, rating))
    gaps = 0.0
    for part, (_, rows) in zip(found.bins, sorted(members.items()), strict=True):
        values, ratings = zip(*rows, strict=True)
        assert part.rows == len(rows)
        assert part.predicted == pytest.approx(fmean(values))
        assert part.given == pytest.approx(fmean(ratings))
        expected = stdev(ratings) / sqrt(len(rows)) if len(rows) > 1 else None
        assert part.standard_error == (expected if expected is None else pytest.approx(expected))
        gaps += len(rows) * abs(fmean(values) - fmean(ratings))
    assert found.expected_error == pytest.approx(gaps / len(rated), abs=1e-12)


@pytest.mark.parametrize("predicted", [[], [1.0, 2.0], [np.nan]])
def test_predictions_that_are_refused(predicted: list[float]) -> None:
    with pytest.raises(ValueError, match="should be"):
        calibration(np.array(predicted), np.array([1.0][: len(predicted)]), STARS)


def test_likelihoods_by_hand() -> None:
    probabilities = np.array([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], np.float32)
    levels = np.array([0.1, 3.0, 5.0], np.float32)
    found = negative_log_likelihoods(probabilities, levels, np.array([3.0, 0.1, 0.1], np.float32))
    assert found.tolist() == pytest.approx([log(4), 0.0, -log(1e-15)])
    assert exp(-found[0]) == pytest.approx(0.25)


def test_likelihoods_that_are_refused() -> None:
    thirds, levels = np.full((2, 3), 1 / 3), np.array([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="among the rating levels"):
        negative_log_likelihoods(thirds, levels, np.array([1.0, 2.5]))
    with pytest.raises(ValueError, match=r"shape \(1, 3\)"):
        negative_log_likelihoods(thirds, levels, np.array([1.0]))
