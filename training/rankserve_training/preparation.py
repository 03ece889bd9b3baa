"""A data set as rows, split into what is trained on and what is held out."""

from dataclasses import dataclass

import numpy as np

from rankserve_training.artifact import IdIndex
from rankserve_training.data import DataError, Dataset
from rankserve_training.rows import Int32s, RatedPairs
from rankserve_training.split import random_split

# So few would train nothing, but the line between a model and none is not ours to draw.
_FEWEST_RATINGS = 2


@dataclass(frozen=True)
class PreparedData:
    """A data set as rows, split.

    Attributes:
        users: from user ids to rows.
        items: from item ids to rows.
        train: what may be learnt from.
        test: held out.
        split_method: `random` or `file`, as in the manifest.
        test_fingerprint: of the ratings held out, likewise.
    """

    users: IdIndex
    items: IdIndex
    train: RatedPairs
    test: RatedPairs
    split_method: str
    test_fingerprint: str

    def seen(self) -> tuple[Int32s, Int32s]:
        """Rows of users and of the items that they are known to have rated: all ratings but those of a test file."""
        if self.split_method == "file":
            return self.train.users, self.train.items
        both = self.train, self.test
        return np.concatenate([part.users for part in both]), np.concatenate([part.items for part in both])


def prepare(dataset: Dataset, users: IdIndex, items: IdIndex, split_seed: int) -> PreparedData:
    """Looks all ids up and splits the ratings, at random unless the data set brings test ratings of its own.

    Raises:
        DataError: where there are too few ratings to hold some out.
    """
    pairs = RatedPairs.of(dataset.ratings, users, items)
    if dataset.test_ratings is not None:
        test = RatedPairs.of(dataset.test_ratings, users, items)
        return PreparedData(users, items, pairs, test, "file", dataset.test_ratings.fingerprint())
    if len(pairs) < _FEWEST_RATINGS:
        raise DataError(
            f"{dataset.name} has {len(pairs)} ratings; at least {_FEWEST_RATINGS} are needed to hold some out"
        )
    train_rows, test_rows = random_split(len(pairs), split_seed)
    fingerprint = dataset.ratings.take(test_rows).fingerprint()
    return PreparedData(users, items, pairs.take(train_rows), pairs.take(test_rows), "random", fingerprint)
