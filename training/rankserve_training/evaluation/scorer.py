"""What a model under evaluation has to answer."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from rankserve_training.metrics import Floats
from rankserve_training.rows import RatedPairs


class RatingScorer(Protocol):
    """Predicts ratings."""

    def rate(self, pairs: RatedPairs) -> Floats:
        """Predicted ratings on the data set's scale, floats[n], of the user and item rows of `pairs`.

        The ratings given in `pairs` must not be looked at.
        """


class PreferenceScorer(Protocol):
    """Orders the whole catalogue."""

    def prefer(self, users: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """How much users prefer each item, float32[b, items].

        Column 0 is item row 1. Higher is shown earlier; only the order within a user counts. -inf is never shown; NaN
        is not allowed. The array may be read-only.

        Args:
            users: int32[b], rows of users.
        """


class Scorer(RatingScorer, PreferenceScorer, Protocol):
    """A model that does both."""
