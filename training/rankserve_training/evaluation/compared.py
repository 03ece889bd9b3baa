"""Surprise's models, where `scikit-surprise` is installed: https://surpriselib.com"""

from importlib import import_module

import numpy as np
import numpy.typing as npt

from rankserve_training.data import RatingScale
from rankserve_training.errors import MissingExtraError
from rankserve_training.rows import RatedPairs

COMPARED = ("Surprise SVD", "Surprise SVD++")
_SEED = 42


def rate_with_surprise(name: str, train: RatedPairs, test: RatedPairs, scale: RatingScale) -> npt.NDArray[np.float64]:
    """Trains one of `COMPARED` with its defaults, and gives its ratings of the test rows, float64[n].

    Raises:
        MissingExtraError: where Surprise is not installed.
    """
    try:
        surprise = import_module("surprise")
    except ImportError as error:
        how = "pip install 'rankserve[compare]'"
        raise MissingExtraError(f"{name} needs Surprise, which is not installed: {how}") from error
    algorithm = {"Surprise SVD": surprise.SVD, "Surprise SVD++": surprise.SVDpp}[name](random_state=_SEED)
    frame = zip(train.users.tolist(), train.items.tolist(), train.ratings.tolist(), [None] * len(train), strict=True)
    data = surprise.Dataset(surprise.Reader(rating_scale=(scale.minimum, scale.maximum)))
    algorithm.fit(data.construct_trainset(list(frame)))
    pairs = zip(test.users.tolist(), test.items.tolist(), strict=True)
    return np.array([algorithm.predict(user, item).est for user, item in pairs])
