"""From predictions and preferences to measures with intervals."""

from dataclasses import fields

import numpy as np

from rankserve_training.data import RatingScale
from rankserve_training.evaluation.bootstrap import Bootstrap, Interval
from rankserve_training.evaluation.calibration import calibration
from rankserve_training.evaluation.catalogue import Recommending
from rankserve_training.evaluation.measures import Difference, Measure
from rankserve_training.evaluation.per_user import Int64s, PerUser
from rankserve_training.evaluation.reranking import Reranking
from rankserve_training.metrics import Floats
from rankserve_training.rows import RatedPairs


def rating_measures(
    predicted: Floats, test: RatedPairs, scale: RatingScale, bootstrap: Bootstrap
) -> tuple[Measure, ...]:
    """`rmse`, `mae` and `ece`, the first two with intervals over users.

    Args:
        predicted: floats[n], in the order of `test`.
        test: n rows, 1 or more.
        scale: of the ratings.
        bootstrap: draws the intervals.
    """
    users = _users(test)
    errors = np.abs(predicted.astype(np.float64) - test.ratings)
    calibration_error = calibration(predicted, test.ratings, scale).expected_error
    return (
        _measure("rmse", bootstrap.rmse(predicted, test.ratings, users), len(test)),
        _measure("mae", bootstrap.mean(errors, users), len(test)),
        Measure("ece", calibration_error, None, None, len(test)),
    )


def likelihood_measure(likelihoods: Floats, test: RatedPairs, bootstrap: Bootstrap) -> Measure:
    """`nll`, the mean of `negative_log_likelihoods`, with its interval over users."""
    return _measure("nll", bootstrap.mean(likelihoods, _users(test)), len(test))


def ranking_measures(found: Reranking | Recommending, bootstrap: Bootstrap) -> tuple[Measure, ...]:
    """The measures of these per user, with intervals, and `coverage`. Those defined for nobody are left out."""
    measures = [
        _measure(key, bootstrap.mean(values.values), len(values))
        for key, values in _per_user(found).items()
        if len(values)
    ]
    if isinstance(found, Recommending) and len(found.recall_at_10):
        measures.append(Measure("coverage", found.coverage, None, None, len(found.recall_at_10)))
    return tuple(measures)


def rating_differences(
    predicted: Floats, against: str, others: Floats, test: RatedPairs, bootstrap: Bootstrap
) -> tuple[Difference, ...]:
    """`rmse` and `mae` of the predictions of a model less those of another.

    Args:
        predicted: floats[n], of the model, in the order of `test`.
        against: the name of the other.
        others: floats[n], its predictions.
        test: n rows, 1 or more.
        bootstrap: draws the intervals.
    """
    users = _users(test)
    errors, other_errors = (np.abs(column.astype(np.float64) - test.ratings) for column in (predicted, others))
    return (
        _difference("rmse", against, bootstrap.rmse_difference(predicted, others, test.ratings, users)),
        _difference("mae", against, bootstrap.mean_difference(errors, other_errors, users)),
    )


def ranking_differences(
    found: Reranking | Recommending, against: str, others: Reranking | Recommending, bootstrap: Bootstrap
) -> tuple[Difference, ...]:
    """The measures per user of a model less those of another, which was tested on the same rows.

    Raises:
        ValueError: where the users are not the same.
    """
    differences = []
    other_values = _per_user(others)
    for key, values in _per_user(found).items():
        if not np.array_equal(values.users, other_values[key].users):
            raise ValueError("Both models should have been tested on the same rows.")
        if len(values):
            interval = bootstrap.mean_difference(values.values, other_values[key].values)
            differences.append(_difference(key, against, interval))
    return tuple(differences)


def _per_user(found: Reranking | Recommending) -> dict[str, PerUser]:
    values = {field.name: getattr(found, field.name) for field in fields(found)}
    return {key: value for key, value in values.items() if isinstance(value, PerUser)}


def _users(test: RatedPairs) -> Int64s:
    """What belongs together, int64[n]: rows of a user. Those of user row 0 may be of many users, so each is alone."""
    return np.where(test.users > 0, test.users, -1 - np.arange(len(test)))


def _measure(key: str, interval: Interval, count: int) -> Measure:
    return Measure(key, interval.value, interval.low, interval.high, count)


def _difference(key: str, against: str, interval: Interval) -> Difference:
    return Difference(key, against, interval.value, interval.low, interval.high)
