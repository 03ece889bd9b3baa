"""Batches of whole users: all that a batch knows of a user is in it, so that his set of ratings is summed but once."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rankserve_training.model.backend import keras
from rankserve_training.rows import RatedPairs

Int64s = npt.NDArray[np.int64]
Float32s = npt.NDArray[np.float32]


class UserBatches(keras.utils.PyDataset):
    """The ratings in batches, each of all ratings of some users; in another order in every epoch.

    Every batch has the same shape, so that one program is compiled: places that are left over are marked.

    A batch is a dict of
        user     int32[ratings]  row
        item     int32[ratings]  row
        slot     int32[ratings]  the user's number in the batch; ascending
        present  float32[ratings]  1, or 0 for a place that is left over
    and the columns that were given, each [ratings]; then the ratings, float32[ratings, 1], which are to be predicted;
    then `present` again, as their weights.
    """

    def __init__(self, train: RatedPairs, columns: Mapping[str, Float32s], ratings: int, users: int, seed: int) -> None:
        """Groups the ratings by user.

        Args:
            train: what is trained on.
            columns: more that is known of each of them.
            ratings: in a batch. Of a user who has more, another part is left out in every epoch.
            users: in a batch, at most.
            seed: of the orders.
        """
        super().__init__()
        self._ratings, self._slots, self._seed = min(ratings, _padded(len(train))), users, seed
        order = np.argsort(train.users, kind="stable")
        self._train = train.take(order)
        self._columns = {name: column[order] for name, column in columns.items()}
        self._users, self._starts = np.unique(self._train.users, return_index=True)
        self._stops = np.append(self._starts[1:], len(order))
        self.begin_epoch(0)

    def begin_epoch(self, epoch: int) -> None:
        """Makes the batches of an epoch; the same for the same seed and epoch."""
        random = np.random.default_rng((self._seed, epoch))
        batches: list[list[Int64s]] = [[]]
        room = self._ratings
        for place in random.permutation(len(self._users)):
            rows = np.arange(self._starts[place], self._stops[place])
            if len(rows) > self._ratings:
                rows = np.sort(random.choice(rows, self._ratings, replace=False))
            if batches[-1] and (len(rows) > room or len(batches[-1]) == self._slots):
                batches.append([])
                room = self._ratings
            batches[-1].append(rows)
            room -= len(rows)
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> tuple[dict[str, Any], Float32s, Float32s]:
        users = self._batches[index]
        rows = np.concatenate(users)
        slots = np.repeat(np.arange(len(users)), [len(user) for user in users])
        columns = {
            "user": self._train.users[rows],
            "item": self._train.items[rows],
            "slot": slots.astype(np.int32),
        } | {name: column[rows] for name, column in self._columns.items()}
        padded = {name: self._pad(column) for name, column in columns.items()}
        # Ascending to the end: the sums by slot may rely on it.
        padded["slot"][len(rows) :] = self._slots - 1
        padded["present"] = self._pad(np.ones(len(rows), np.float32))
        return padded, self._pad(self._train.ratings[rows])[:, np.newaxis], padded["present"]

    def _pad(self, column: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.pad(column, (0, self._ratings - len(column)))


def _padded(count: int) -> int:
    """A batch need not be longer than all ratings together."""
    return -(-count // 8) * 8
