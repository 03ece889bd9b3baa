"""Whether predictions can be taken at their word."""

from dataclasses import dataclass

import numpy as np

from rankserve_training.data import RatingScale
from rankserve_training.evaluation.per_user import Float64s
from rankserve_training.metrics import Floats

_BINS = 16
# Keeps the cost of a rating that was held to be impossible finite, at 34.5 nats.
_LEAST_PROBABILITY = 1e-15
_LEVEL_TOLERANCE = 1e-5


@dataclass(frozen=True)
class ReliabilityBin:
    """Test rows with similar predictions.

    Attributes:
        predicted: their mean predicted rating.
        given: their mean given rating.
        rows: how many, 1 or more.
        standard_error: of `given`: the standard deviation by the root of the rows; None for a single row.
    """

    predicted: float
    given: float
    rows: int
    standard_error: float | None


@dataclass(frozen=True)
class Calibration:
    """Predicted beside given ratings.

    Attributes:
        bins: those that have rows, by rising prediction.
        expected_error: mean of |predicted - given| over the bins, weighted by their rows; in rating units, 0 at best.
    """

    bins: tuple[ReliabilityBin, ...]
    expected_error: float


def calibration(predicted: Floats, given: Floats, scale: RatingScale, bins: int = _BINS) -> Calibration:
    """Compares means in bins of equal width over the rating scale.

    The expected calibration error is that of Guo et al., "On Calibration of Modern Neural Networks" (2017), section 2,
    with mean ratings in place of confidence and accuracy.

    Args:
        predicted: floats[n]; those beyond the scale fall into the first or last bin.
        given: floats[n].
        scale: of the ratings.
        bins: how many, 1 or more.

    Raises:
        ValueError: where the shapes differ, there is no row or a prediction is not finite.
    """
    if predicted.shape != given.shape or given.ndim != 1 or not len(given):
        raise ValueError(f"shapes should be (n,) and equal, not {predicted.shape} and {given.shape}.")
    if not np.isfinite(predicted).all():
        raise ValueError("Predictions should be finite.")
    inner_edges = np.linspace(scale.minimum, scale.maximum, bins + 1)[1:-1]
    bin_of = np.searchsorted(inner_edges, predicted, side="right")
    rows = np.bincount(bin_of, minlength=bins)
    divisors = np.maximum(rows, 1)
    mean_predicted = np.bincount(bin_of, predicted, bins) / divisors
    mean_given = np.bincount(bin_of, given, bins) / divisors
    squares = np.bincount(bin_of, np.square(given - mean_given[bin_of]), bins)
    standard_errors = np.sqrt(squares / np.maximum(rows - 1, 1) / divisors)
    found = tuple(
        ReliabilityBin(
            float(mean_predicted[number]),
            float(mean_given[number]),
            int(rows[number]),
            float(standard_errors[number]) if rows[number] > 1 else None,
        )
        for number in np.flatnonzero(rows)
    )
    return Calibration(found, float(np.sum(rows * np.abs(mean_predicted - mean_given)) / len(given)))


def negative_log_likelihoods(probabilities: Floats, levels: Floats, given: Floats) -> Float64s:
    """How surprised a model that predicts a distribution over the rating levels is by each given rating.

    Args:
        probabilities: floats[n, l], of each level; each row adds up to 1.
        levels: floats[l], the ratings that can be given, ascending.
        given: floats[n], each of them one of the levels.

    Returns:
        float64[n], in nats, 0 at best. Probabilities below 1e-15 count as that.

    Raises:
        ValueError: where the shapes do not fit, or a rating is not one of the levels.
    """
    if probabilities.shape != (len(given), len(levels)):
        raise ValueError(f"Probabilities should have the shape {(len(given), len(levels))}, not {probabilities.shape}.")
    exact = levels.astype(np.float64)
    nearest = np.searchsorted((exact[1:] + exact[:-1]) / 2, given)
    if not np.allclose(exact[nearest], given, rtol=_LEVEL_TOLERANCE, atol=_LEVEL_TOLERANCE):
        raise ValueError("Given ratings should be among the rating levels.")
    chances = probabilities[np.arange(len(given)), nearest].astype(np.float64)
    return -np.log(np.maximum(chances, _LEAST_PROBABILITY))
