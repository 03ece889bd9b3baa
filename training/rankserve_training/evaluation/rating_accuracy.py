"""How far predicted ratings are off, overall and by how much is known of the user or of the item."""

from dataclasses import dataclass

import numpy as np

from rankserve_training.evaluation.per_user import Int32s, Int64s
from rankserve_training.metrics import Floats, mae, rmse
from rankserve_training.rows import RatedPairs

# The fewest training ratings of each bin.
ACTIVITY_BINS = (0, 1, 10, 30, 100, 300)


@dataclass(frozen=True)
class Accuracy:
    """Of predicted ratings.

    Attributes:
        rows: how many, 1 or more.
        rmse: root of the mean squared error, in rating units.
        mae: mean absolute error, in rating units.
    """

    rows: int
    rmse: float
    mae: float


@dataclass(frozen=True)
class ActivityBin:
    """The accuracy for users (or items) with similarly many training ratings.

    Attributes:
        lowest: the fewest training ratings in the bin.
        highest: the most; None where there is no limit.
        accuracy: on the test rows of these users or items.
    """

    lowest: int
    highest: int | None
    accuracy: Accuracy

    @property
    def label(self) -> str:
        """Such as `0`, `1-9` or `300+`."""
        if self.highest is None:
            return f"{self.lowest}+"
        return f"{self.lowest}" if self.lowest == self.highest else f"{self.lowest}-{self.highest}"


def accuracy(predicted: Floats, given: Floats) -> Accuracy:
    """RMSE and MAE of n predictions.

    Raises:
        ValueError: where the shapes differ or there is no row.
    """
    return Accuracy(len(given), rmse(predicted, given), mae(predicted, given))


def accuracy_by_user_activity(predicted: Floats, test: RatedPairs, train: RatedPairs) -> tuple[ActivityBin, ...]:
    """Accuracy by the number of training ratings of the user: 0, 1-9, 10-29, 30-99, 100-299 and 300 or more.

    Args:
        predicted: floats[n], in the order of `test`.
        test: n rows.
        train: what the model was trained on.

    Returns:
        The bins that have test rows, ascending. Row 0, which stands for everybody unknown, has no ratings.
    """
    return _by_activity(predicted, test.ratings, _activity(test.users, train.users))


def accuracy_by_item_activity(predicted: Floats, test: RatedPairs, train: RatedPairs) -> tuple[ActivityBin, ...]:
    """Accuracy by the number of training ratings of the item; see `accuracy_by_user_activity`."""
    return _by_activity(predicted, test.ratings, _activity(test.items, train.items))


def _activity(tested: Int32s, trained: Int32s) -> Int64s:
    """How often the row of each test rating occurs in training, int64[n]."""
    counts = np.bincount(trained, minlength=int(tested.max(initial=0)) + 1)
    counts[0] = 0
    return counts[tested]


def _by_activity(predicted: Floats, given: Floats, activity: Int64s) -> tuple[ActivityBin, ...]:
    bin_of = np.searchsorted(ACTIVITY_BINS, activity, side="right") - 1
    highest = [*(lowest - 1 for lowest in ACTIVITY_BINS[1:]), None]
    return tuple(
        ActivityBin(ACTIVITY_BINS[number], highest[number], accuracy(predicted[chosen], given[chosen]))
        for number in range(len(ACTIVITY_BINS))
        if (chosen := bin_of == number).any()
    )
