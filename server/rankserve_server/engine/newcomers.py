"""Scoring users and items that are in no table: their rows are summed of entries first, then pairs are scored.

An entry is a row of a table of its own and a weight. The entries of a row are laid out in blocks, and the blocks of
many rows are added one after the other, each to its row. So the additions that make a row, and its bits, are the same
whatever else is computed with it, and one compiled shape serves any number of entries.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rankserve_server.engine.arrays import PendingScores, Rows, Scores, padded
from rankserve_server.engine.buckets import BLOCK_ROWS, LARGEST_BUCKET, bucket_for
from rankserve_server.engine.formula import Formula, Side, Weights, by_blocks, item_side, user_side
from rankserve_server.engine.jax_setup import jax
from rankserve_training.model.folded import FoldedModel

# How many users, and how many new items, one call takes.
SLOTS = 64
# No row of the table: the entries are all that there is.
NO_ROW = -1
# Fewer than for pairs: the rest of such a request takes longer than the padding.
NEWCOMER_BUCKETS: tuple[int, ...] = (8, 32, 128, 256, 512, 1_024, LARGEST_BUCKET)

_BLOCK_ENTRIES = 16
_NO_ROWS = np.full(SLOTS, NO_ROW, np.int32)
# Blocks of one call; of more, several calls follow each other.
_BLOCKS = 128


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
        shape = (-(-len(rows) // _BLOCK_ENTRIES), _BLOCK_ENTRIES)
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
    """Compiled for one model.

    Attributes:
        buckets: row counts that are computed, ascending.
    """

    def __init__(
        self,
        users: Side,
        items: Side,
        item_count: int,
        weights: Weights,
        formula: Formula,
        newcomers: FoldedModel,
        checkpoint: Callable[[], None],
    ) -> None:
        """Compiles everything.

        Args:
            users: the tables of the known users, on the device.
            items: likewise, padded or not.
            item_count: how many items are known.
            weights: of the model, whose first layer is folded.
            formula: of the model.
            newcomers: its tables hold what rows are summed of.
            checkpoint: called between compilations.

        Raises:
            ValueError: where the tables of `newcomers` have other columns than the known ones.
        """
        for known, summed in ((users, user_side(newcomers)), (items, item_side(newcomers))):
            if known.columns != summed.columns:
                raise ValueError(f"rows of {known.columns} columns cannot be summed of {summed.columns}")
        self._items = items
        self._item_count = item_count
        self._weights = weights
        self._formula = formula
        checkpoint()
        self._user_sums = _RowSums(users, user_side(newcomers))
        checkpoint()
        self._item_sums = _RowSums(items, item_side(newcomers))
        self._pair_calls = {}
        for bucket in NEWCOMER_BUCKETS:
            checkpoint()
            self._pair_calls[bucket] = self._compile_pairs(bucket)
        self.buckets = NEWCOMER_BUCKETS

    def keep_equal_buckets(self, user_rows: Rows, item_rows: Rows, expected: Scores) -> None:
        """Keeps the buckets that give known pairs the bits that they get elsewhere.

        Args:
            user_rows: int32[SLOTS].
            item_rows: int32[n], n is the largest bucket.
            expected: the scores of these items and the users, who take turns.
        """
        users = [NewUser(row, NO_ENTRIES) for row in user_rows.tolist()]
        places = np.arange(len(item_rows), dtype=np.int32) % SLOTS
        equal = []
        for bucket in NEWCOMER_BUCKETS:
            self.buckets = (bucket,)
            parts = [slice(start, start + bucket) for start in range(0, len(item_rows), bucket)]
            scores = [self.start(users, (), places[part], item_rows[part]).result() for part in parts]
            if np.array_equal(np.concatenate(scores, axis=-1), expected):
                equal.append(bucket)
        if not equal:
            raise ValueError("the scores of known pairs would depend on whether newcomers are scored beside them")
        self.buckets = tuple(equal)

    def start(self, users: Sequence[NewUser], new_items: Sequence[Bag], places: Rows, items: Rows) -> PendingScores:
        """See `Engine.start_newcomers`."""
        count = len(places)
        bucket = bucket_for(count, self.buckets)
        if bucket != count:
            places, items = padded(places, bucket), padded(items, bucket)
        user_rows = self._user_sums.start([user.row for user in users], [user.bag for user in users])
        item_rows = self._item_sums.start([NO_ROW] * len(new_items), new_items)
        call = self._pair_calls[bucket]
        return PendingScores(call(user_rows, self._items, item_rows, self._weights, places, items), 0, count)

    def _compile_pairs(self, bucket: int) -> Callable[..., Any]:
        block_rows = min(bucket, BLOCK_ROWS)

        def score_pairs(users: Side, items: Side, new_items: Side, weights: Weights, places: Any, rows: Any) -> Any:
            def score_block(places: Any, rows: Any) -> Any:
                new_rows = rows - (self._item_count + 1)
                is_new = (new_rows >= 0)[:, np.newaxis]
                new, known = new_items.take(new_rows), items.take(rows)
                item = jax.tree.map(lambda new, known: jax.numpy.where(is_new, new, known), new, known)
                return self._formula.scores(users.take(places), item, weights)

            return by_blocks(score_block, places.reshape(-1, block_rows), rows.reshape(-1, block_rows))

        pairs = jax.ShapeDtypeStruct((bucket,), np.int32)
        tables = (self._user_sums.nothing, self._items, self._item_sums.nothing, self._weights)
        compiled: Callable[..., Any] = jax.jit(score_pairs).lower(*tables, pairs, pairs).compile()
        return compiled


class _RowSums:
    """Sums the entries of one side's rows.

    Attributes:
        nothing: rows of zeros.
    """

    def __init__(self, known: Side, entries: Side) -> None:
        """Compiles it.

        Args:
            known: the tables to whose rows entries are added, on the device.
            entries: the tables that the entries are rows of.
        """
        self._known = known
        self._entries: Side = jax.device_put(entries)
        self.nothing: Side = jax.device_put(
            Side(*(None if table is None else np.zeros((SLOTS, table.shape[1]), np.float32) for table in known))
        )
        blocks = np.zeros((_BLOCKS, _BLOCK_ENTRIES), np.int32)
        arguments = (_NO_ROWS, blocks, blocks.astype(np.float32), blocks[:, 0], np.int32(0))
        self._call = jax.jit(_add_entries).lower(self._known, self._entries, self.nothing, *arguments).compile()

    def start(self, rows: Sequence[int], bags: Sequence[Bag]) -> Side:
        """Starts to sum rows.

        Args:
            rows: of the known table, to which the entries are added; NO_ROW for none. At most SLOTS.
            bags: the entries for each.

        Returns:
            SLOTS rows, those that were asked for first.
        """
        if not rows:
            return self.nothing
        start_rows = np.full(SLOTS, NO_ROW, np.int32)
        start_rows[: len(rows)] = rows
        entries = np.concatenate([bag.rows for bag in bags])
        weights = np.concatenate([bag.weights for bag in bags])
        slots = np.repeat(np.arange(len(bags), dtype=np.int32), [len(bag.rows) for bag in bags])
        sums = self.nothing
        for start in range(0, max(1, len(slots)), _BLOCKS):
            part = slice(start, start + _BLOCKS)
            blocks = [_lengthened(column[part], _BLOCKS) for column in (entries, weights, slots)]
            count = np.int32(len(slots[part]))
            sums = self._call(self._known, self._entries, sums, start_rows, *blocks, count)
            start_rows = _NO_ROWS
        return sums


def _add_entries(
    known: Side, tables: Side, sums: Side, start_rows: Any, entries: Any, weights: Any, slots: Any, count: Any
) -> Side:
    """Sums with `count` blocks added, each to its slot; a slot that has a row to start with starts with that."""
    starts = known.take(start_rows)
    has_start = (start_rows != NO_ROW)[:, np.newaxis]
    sums = jax.tree.map(lambda start, sum_: jax.numpy.where(has_start, start, sum_), starts, sums)

    def add_block(block: Any, sums: Side) -> Side:
        rows = tables.take(entries[block])
        block_weights = weights[block][:, np.newaxis]
        added: Side = jax.tree.map(
            lambda sum_, row: sum_.at[slots[block]].add((row * block_weights).sum(0)), sums, rows
        )
        return added

    all_added: Side = jax.lax.fori_loop(0, count, add_block, sums)
    return all_added


def _lengthened(column: Any, length: int) -> Any:
    longer = np.zeros((length, *column.shape[1:]), column.dtype)
    longer[: len(column)] = column
    return longer
