"""Batches of whole users: all that a batch knows of a user is in it, so that his set of ratings is summed but once."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rankserve_training.model.backend import keras
from rankserve_training.rows import Int32s, PairsByUser, RatedPairs

Int64s = npt.NDArray[np.int64]
Float32s = npt.NDArray[np.float32]
# A column of a batch, made of its pairs.
Column = Callable[[RatedPairs], Float32s]


class PlannedBatches(keras.utils.PyDataset):
    """Which users are in which batch, in another order in every epoch; the same wherever it is planned.

    Attributes:
        length: ratings in a batch.
        slots: users in a batch, at most.
    """

    def __init__(self, starts: Int64s, columns: Mapping[str, Column], ratings: int, users: int, seed: int) -> None:
        """Plans the first epoch.

        Args:
            starts: int64[users + 2], of the ratings of each user, in the order of users.
            columns: more that is known of each rating.
            ratings: in a batch. Of a user who has more, another part is left out in every epoch.
            users: in a batch, at most.
            seed: of the orders.
        """
        super().__init__()
        self.length, self.slots, self._seed = min(ratings, _padded(int(starts[-1]))), users, seed
        self._starts, self._columns = starts, columns
        self._users = np.flatnonzero(np.diff(starts))
        self._plan(0)

    def begin_epoch(self, epoch: int) -> None:
        """Makes the batches of an epoch; the same for the same seed and epoch."""
        self._plan(epoch)

    def _plan(self, epoch: int) -> None:
        random = np.random.default_rng((self._seed, epoch))
        users = self._users[random.permutation(len(self._users))]
        starts, stops = self._starts[users], self._starts[users + 1]
        batches: list[list[int]] = [[]]
        parts: dict[int, Int64s] = {}
        room = self.length
        for user, start, stop in zip(users.tolist(), starts.tolist(), stops.tolist(), strict=True):
            count = min(stop - start, self.length)
            if stop - start > count:
                parts[user] = np.sort(random.choice(np.arange(start, stop), count, replace=False))
            if batches[-1] and (count > room or len(batches[-1]) == self.slots):
                batches.append([])
                room = self.length
            batches[-1].append(user)
            room -= count
        self._batches, self._parts = batches, parts

    def __len__(self) -> int:
        return len(self._batches)

    def _batch(self, pairs: RatedPairs, slots: Int32s, length: int) -> tuple[dict[str, Any], Float32s, Float32s]:
        """These pairs and what is known of them, filled up to `length`."""
        columns = {"user": pairs.users, "item": pairs.items, "slot": slots} | {
            name: column(pairs) for name, column in self._columns.items()
        }
        padded = {name: _filled(column, length) for name, column in columns.items()}
        # Ascending to the end: the sums by slot may rely on it.
        padded["slot"][len(pairs) :] = self.slots - 1
        padded["present"] = _filled(np.ones(len(pairs), np.float32), length)
        return padded, _filled(pairs.ratings, length)[:, np.newaxis], padded["present"]

    def _order(self, user: int) -> Int64s:
        """Which ratings of all, in the order of their users, are those of a user, as far as they are in this epoch."""
        if user in self._parts:
            return self._parts[user]
        return np.arange(self._starts[user], self._starts[user + 1])


class UserBatches(PlannedBatches):
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
            columns: see `PlannedBatches`, as the others.
            ratings: in a batch.
            users: in a batch, at most.
            seed: of the orders.
        """
        super().__init__(train.starts, columns, ratings, users, seed)
        self._train = train

    def __getitem__(self, index: int) -> tuple[dict[str, Any], Float32s, Float32s]:
        places = [self._order(user) for user in self._batches[index]]
        slots = np.repeat(np.arange(len(places), dtype=np.int32), [len(each) for each in places])
        pairs = self._train.pairs.take(self._train.places[np.concatenate(places)])
        return self._batch(pairs, slots, self.length)


def _filled(column: npt.NDArray[Any], length: int) -> npt.NDArray[Any]:
    return np.pad(column, (0, length - len(column)))


def _padded(count: int) -> int:
    """A batch need not be longer than all ratings together."""
    return -(-count // 8) * 8
