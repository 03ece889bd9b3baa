"""Surprise's models, where `scikit-surprise` is installed: https://surpriselib.com"""

import numpy as np
import numpy.typing as npt

from rankserve_training.data import DataError, RatingScale
from rankserve_training.rows import RatedPairs

COMPARED = ("Surprise SVD", "Surprise SVD++")
_SEED = 42


def rate_with_surprise(name: str, train: RatedPairs, test: RatedPairs, scale: RatingScale) -> npt.NDArray[np.float64]:
    """Trains one of `COMPARED` with its defaults, and gives its ratings of the test rows, float64[n].

    Raises:
        DataError: where Surprise is not installed.
    """
    try:
        import surprise  # type: ignore[import-not-found]  # not one of the packages that are always there
    except ImportError as error:
        raise DataError(f"{name} needs Surprise, which is not installed: pip install 'rankserve[compare]'") from error
    algorithm = {"Surprise SVD": surprise.SVD, "Surprise SVD++": surprise.SVDpp}[name](random_state=_SEED)
    frame = zip(train.users.tolist(), train.items.tolist(), train.ratings.tolist(), [None] * len(train), strict=True)
    data = surprise.Dataset(surprise.Reader(rating_scale=(scale.minimum, scale.maximum)))
    algorithm.fit(data.construct_trainset(list(frame)))
    pairs = zip(test.users.tolist(), test.items.tolist(), strict=True)
    return np.array([algorithm.predict(user, item).est for user, item in pairs])
