"""Batches of whole users: all that a batch knows of a user is in it, so that his set of ratings is summed but once."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rankserve_training.model.backend import keras
from rankserve_training.rows import PairsByUser, RatedPairs

Int64s = npt.NDArray[np.int64]
Float32s = npt.NDArray[np.float32]
# A column of a batch, made of its pairs.
Column = Callable[[RatedPairs], Float32s]


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

    def __init__(self, train: PairsByUser, columns: Mapping[str, Column], ratings: int, users: int, seed: int) -> None:
        """Takes the ratings where they are: a batch is gathered when it is asked for.

        Args:
            train: what is trained on.
            columns: more that is known of each of them.
            ratings: in a batch. Of a user who has more, another part is left out in every epoch.
            users: in a batch, at most.
            seed: of the orders.
        """
        super().__init__()
        self._ratings, self._slots, self._seed = min(ratings, _padded(len(train))), users, seed
        self._train, self._columns = train, columns
        self._users = np.flatnonzero(np.diff(train.starts))
        self.begin_epoch(0)

    def begin_epoch(self, epoch: int) -> None:
        """Makes the batches of an epoch; the same for the same seed and epoch."""
        random = np.random.default_rng((self._seed, epoch))
        users = self._users[random.permutation(len(self._users))]
        starts, stops = self._train.starts[users], self._train.starts[users + 1]
        batches: list[list[int]] = [[]]
        parts: dict[int, Int64s] = {}
        room = self._ratings
        for user, start, stop in zip(users.tolist(), starts.tolist(), stops.tolist(), strict=True):
            count = min(stop - start, self._ratings)
            if stop - start > count:
                parts[user] = np.sort(random.choice(np.arange(start, stop), count, replace=False))
            if batches[-1] and (count > room or len(batches[-1]) == self._slots):
                batches.append([])
                room = self._ratings
            batches[-1].append(user)
            room -= count
        self._batches, self._parts = batches, parts

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> tuple[dict[str, Any], Float32s, Float32s]:
        places = [self._places(user) for user in self._batches[index]]
        slots = np.repeat(np.arange(len(places), dtype=np.int32), [len(each) for each in places])
        pairs = self._train.pairs.take(np.concatenate(places))
        columns = {"user": pairs.users, "item": pairs.items, "slot": slots} | {
            name: column(pairs) for name, column in self._columns.items()
        }
        padded = {name: self._pad(column) for name, column in columns.items()}
        # Ascending to the end: the sums by slot may rely on it.
        padded["slot"][len(pairs) :] = self._slots - 1
        padded["present"] = self._pad(np.ones(len(pairs), np.float32))
        return padded, self._pad(pairs.ratings)[:, np.newaxis], padded["present"]

    def _places(self, user: int) -> npt.NDArray[np.int32]:
        """Where the ratings of a user are, as far as they are in this epoch."""
        if user in self._parts:
            return self._train.places[self._parts[user]]
        return self._train.places[self._train.starts[user] : self._train.starts[user + 1]]

    def _pad(self, column: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.pad(column, (0, self._ratings - len(column)))


def _padded(count: int) -> int:
    """A batch need not be longer than all ratings together."""
    return -(-count // 8) * 8
