"""Each process holds a part of the rows; those of its part of each batch come from the others, once an epoch."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rankserve_training.distributed.group import Group, rounded
from rankserve_training.rows import Int32s, Int64s, PairsByUser, RatedPairs
from rankserve_training.towers.user_batches import Column, PlannedBatches

# Bounds what planning an exchange takes.
_PLANNED_RATINGS = 1 << 20


@dataclass(frozen=True)
class SharedRows:
    """Ratings, of which this process has a part. They are in the order of their users.

    Attributes:
        group: the processes that share them.
        starts: int64[users + 2]; the ratings of user row r are `starts[r]` to `starts[r + 1]`.
        edges: int64[processes + 1]; process p has the ratings from `edges[p]` to `edges[p + 1]`.
        own: int32[k, 2], the items of those of this process, and the bits of their ratings.
    """

    group: Group
    starts: Int64s
    edges: Int64s
    own: Int32s

    def __len__(self) -> int:
        return int(self.edges[-1])

    @staticmethod
    def of(group: Group, pairs: PairsByUser | None) -> "SharedRows":
        """Splits the ratings that process 0 has evenly between all processes; the others give None."""
        arrays = {} if pairs is None else {"starts": pairs.starts}
        starts = group.say_arrays(arrays)["starts"]
        edges = np.arange(group.processes + 1) * int(starts[-1]) // group.processes
        if pairs is None:
            return SharedRows(group, starts, edges, group.scatter(edges, None))
        by_user = pairs

        def rows(part: slice) -> Int32s:
            taken = by_user.pairs.take(by_user.places[part])
            return np.stack([taken.items, taken.ratings.view(np.int32)], axis=1)

        return SharedRows(group, starts, edges, group.scatter(edges, rows))


class SharedBatches(PlannedBatches):
    """This process's part of each batch: the places from `p / processes` of it to `(p + 1) / processes`."""

    def __init__(self, rows: SharedRows, columns: Mapping[str, Column], ratings: int, users: int, seed: int) -> None:
        """As `UserBatches`, of all processes' ratings together; all processes plan the same batches."""
        super().__init__(rows.starts, columns, ratings, users, seed)
        self._rows, self._group = rows, rows.group
        self._own_length = self.length // self._group.processes
        self._fetched: list[Int32s] = []

    def begin_epoch(self, epoch: int) -> None:
        """Plans the batches of an epoch, and fetches what this process has to give."""
        super().begin_epoch(epoch)
        self._fetched = [part for batches in self._some_batches() for part in self._fetch(batches)]

    def __getitem__(self, index: int) -> tuple[dict[str, Any], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        members, own = self._batches[index], self._own
        places = [self._order(user) for user in members]
        counts = [len(each) for each in places]
        users = np.repeat(np.array(members, np.int32), counts)[own]
        slots = np.repeat(np.arange(len(members), dtype=np.int32), counts)[own]
        rows = self._fetched[index]
        pairs = RatedPairs(users, rows[:, 0].copy(), rows[:, 1].copy().view(np.float32))
        return self._batch(pairs, slots, self._own_length)

    @property
    def _own(self) -> slice:
        return slice(self._group.process * self._own_length, (self._group.process + 1) * self._own_length)

    def _some_batches(self) -> Iterator[list[Int64s]]:
        """Where the ratings of each batch are, some batches at a time."""
        some: list[Int64s] = []
        planned = 0
        for members in self._batches:
            some.append(np.concatenate([self._order(user) for user in members]))
            planned += len(some[-1])
            if planned >= _PLANNED_RATINGS:
                yield some
                some, planned = [], 0
        if some:
            yield some

    def _fetch(self, batches: list[Int64s]) -> list[Int32s]:
        """This process's rows of some batches; all processes send and receive at once."""
        processes, process, edges = self._group.processes, self._group.process, self._rows.edges
        places = np.concatenate(batches)
        holders = np.searchsorted(edges, places, side="right") - 1
        takers = np.concatenate([np.arange(len(each)) // self._own_length for each in batches])
        most = int(np.bincount(holders * processes + takers).max())
        sent = np.zeros((processes, rounded(most), 2), np.int32)
        here = holders == process
        for taker in range(processes):
            given = self._rows.own[places[here & (takers == taker)] - edges[process]]
            sent[taker, : len(given)] = given
        received = self._group.exchange(sent)
        mine = holders[takers == process]
        rows = np.empty((len(mine), 2), np.int32)
        for holder in range(processes):
            from_there = mine == holder
            rows[from_there] = received[holder, : int(from_there.sum())]
        sizes = [len(range(*self._own.indices(len(each)))) for each in batches]
        return np.split(rows, np.cumsum(sizes)[:-1])
