"""Scoring users and items that are in no table: their rows are summed of entries first, then pairs are scored.

An entry is a row of a table of its own and a weight. The entries of a row are laid out in blocks, and the blocks of
many rows are added one after the other, each to its row. So the additions that make a row, and its bits, are the same
whatever else is computed with it, and one compiled shape serves any number of entries.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rankserve_server.engine.arrays import PendingScores, Rows, padded
from rankserve_server.engine.buckets import bucket_for
from rankserve_server.engine.jax_setup import jax
from rankserve_server.engine.tables import Side

if TYPE_CHECKING:
    from rankserve_server.engine.parts import Call, EngineParts, NewcomerParts

# How many users, and how many new items, one call takes.
SLOTS = 64
# No row of the table: the entries are all that there is.
NO_ROW = -1

BLOCK_ENTRIES = 16
NO_ROWS = np.full(SLOTS, NO_ROW, np.int32)
# Blocks of one call; of more, several calls follow each other.
BLOCKS = 128


@dataclass(slots=True, eq=False)
class Bag:
    """The entries of one row, in blocks; those that fill up the last one have the weight 0.

    Attributes:
        rows: int32[blocks, 16].
        weights: float32[blocks, 16].
    """

    rows: Rows
    weights: npt.NDArray[np.float32]

    @staticmethod
    def of(rows: Rows, weights: npt.NDArray[np.float32]) -> "Bag":
        """From entries: int32[k] and float32[k]."""
        shape = (-(-len(rows) // BLOCK_ENTRIES), BLOCK_ENTRIES)
        bag = Bag(np.zeros(shape, np.int32), np.zeros(shape, np.float32))
        bag.rows.reshape(-1)[: len(rows)] = rows
        bag.weights.reshape(-1)[: len(rows)] = weights
        return bag


NO_ENTRIES = Bag.of(np.zeros(0, np.int32), np.zeros(0, np.float32))


@dataclass(slots=True, eq=False)
class NewUser:
    """A user whose row is summed.

    Attributes:
        row: of the table, to which the entries are added; NO_ROW for none.
        bag: the entries.
    """

    row: int
    bag: Bag


class NewcomerScorer:
    """Scores with the calls compiled for one model."""

    def __init__(self, parts: "EngineParts", newcomers: "NewcomerParts") -> None:
        self._items = parts.items
        self._item_count = parts.item_count
        # New items are behind the table, which has room for more than are known.
        self._room = np.int32(len(parts.items.first) - 1 - parts.item_count)
        self._weights = parts.weights
        self._pair_calls = newcomers.pair_calls
        self._buckets = tuple(newcomers.pair_calls)
        self._user_sums = _RowSums(parts.users, newcomers.user_entries, newcomers.user_sums)
        self._item_sums = _RowSums(parts.items, newcomers.item_entries, newcomers.item_sums)

    def start(self, users: Sequence[NewUser], new_items: Sequence[Bag], places: Rows, items: Rows) -> PendingScores:
        """See `Engine.start_newcomers`."""
        count = len(places)
        if new_items:
            items = np.where(items > self._item_count, items + self._room, items)
        bucket = bucket_for(count, self._buckets)
        if bucket != count:
            places, items = padded(places, bucket), padded(items, bucket)
        user_rows = self._user_sums.start([user.row for user in users], [user.bag for user in users])
        item_rows = self._item_sums.start([NO_ROW] * len(new_items), new_items)
        call = self._pair_calls[bucket]
        scores = call(user_rows, self._items, item_rows, self._weights, places, items)
        return PendingScores(scores, 0, count, bucket)


class _RowSums:
    """Sums the entries of one side's rows."""

    def __init__(self, known: Side, entries: Side, call: "Call") -> None:
        self._known = known
        self._entries = entries
        self._call = call
        self._nothing = no_sums(known)

    def start(self, rows: Sequence[int], bags: Sequence[Bag]) -> Side:
        """Starts to sum rows.

        Args:
            rows: of the known table, to which the entries are added; NO_ROW for none. At most SLOTS.
            bags: the entries for each.

        Returns:
            SLOTS rows, those that were asked for first.
        """
        if not rows:
            return self._nothing
        start_rows = np.full(SLOTS, NO_ROW, np.int32)
        start_rows[: len(rows)] = rows
        entries = np.concatenate([bag.rows for bag in bags])
        weights = np.concatenate([bag.weights for bag in bags])
        slots = np.repeat(np.arange(len(bags), dtype=np.int32), [len(bag.rows) for bag in bags])
        sums = self._nothing
        for start in range(0, max(1, len(slots)), BLOCKS):
            part = slice(start, start + BLOCKS)
            blocks = [_lengthened(column[part], BLOCKS) for column in (entries, weights, slots)]
            count = np.int32(len(slots[part]))
            sums = self._call(self._known, self._entries, sums, start_rows, *blocks, count)
            start_rows = NO_ROWS
        return sums


def no_sums(known: Side) -> Side:
    """SLOTS rows of zeros, on the device, with the columns of these tables."""
    zeros = (None if table is None else np.zeros((SLOTS, table.shape[1]), np.float32) for table in known)
    nothing: Side = jax.device_put(Side(*zeros))
    return nothing


def _lengthened(column: Any, length: int) -> Any:
    longer = np.zeros((length, *column.shape[1:]), column.dtype)
    longer[: len(column)] = column
    return longer
