"""Scoring pairs of table rows with a folded model, compiled ahead of time for every shape that can occur."""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from rankserve_server.engine.buckets import BLOCK_ROWS, BUCKETS, LARGEST_BUCKET, bucket_for
from rankserve_server.engine.jax_setup import jax
from rankserve_training.model.folded import DenseLayer, FoldedModel

_log = logging.getLogger(__name__)

# How many users' catalogues are compared with their pairs when a model is loaded.
_PROBED_USERS = 8

Rows = npt.NDArray[np.int32]
Scores = npt.NDArray[np.float32]


class PendingScores:
    """Scores that are being computed."""

    __slots__ = ("_computed", "_start", "_stop")

    def __init__(self, computed: Any, start: int, stop: int) -> None:
        """The elements `start` to `stop` of what a compiled call returned."""
        self._computed = computed
        self._start = start
        self._stop = stop

    def result(self) -> Scores:
        """Waits for the scores, float32[n]. The GIL is free meanwhile."""
        return np.asarray(self._computed)[self._start : self._stop]


class Engine:
    """One model version. Nothing compiles after the constructor has returned.

    Scores of a pair are equal bit for bit whatever else is in the batch, and whether the pair is scored by `score` or
    as part of the catalogue. It can be shared between threads.

    Attributes:
        item_count: known items; their rows are 1 to `item_count`.
        buckets: row counts that are computed, ascending; a batch is padded to the next one.
        slice_rows: the most rows that one call scores.
    """

    slice_rows = LARGEST_BUCKET

    def __init__(self, model: FoldedModel, checkpoint: Callable[[], None] = lambda: None) -> None:
        """Moves the tables into the device's memory and compiles every bucket.

        Args:
            model: each of its tables folded or not; they may be used where they lie, so nobody may change them later.
            checkpoint: called between compilations; what it raises ends the loading.
        """
        self.item_count = len(model.item_half.table) - 1
        self._user_table = jax.device_put(model.user_half.table)
        self._item_table = jax.device_put(_padded_to_a_slice(model.item_half.table))
        self._weights = jax.device_put(_weights(model))
        self._scale_offset = (model.scale, model.offset)
        self._pair_calls = {}
        for bucket in BUCKETS:
            checkpoint()
            self._pair_calls[bucket] = self._compile_pairs(bucket)
        self.buckets = BUCKETS
        self.buckets = self._equal_buckets()
        checkpoint()
        self._catalog_call = self._compile_catalog()
        self._catalog_in_place = self._catalog_equals_pairs()

    def start(self, users: Rows, items: Rows) -> PendingScores:
        """Starts to predict the ratings of n pairs, and returns before they are computed.

        What is started first is computed first.

        Args:
            users: int32[n], rows of the user table, 0 for unknown users; n is 1 to `slice_rows`.
            items: int32[n], rows of the item table, 0 for unknown items.
        """
        count = len(users)
        bucket = bucket_for(count, self.buckets)
        if bucket != count:
            users, items = _padded(users, bucket), _padded(items, bucket)
        call = self._pair_calls[bucket]
        return PendingScores(call(self._user_table, self._item_table, self._weights, users, items), 0, count)

    def start_catalog(self, user: int, start: int, stop: int) -> PendingScores:
        """The same for a run of the catalogue and one user; the item table is read in place.

        Args:
            user: row of the user table.
            start: the first item, counted from 0 (row 1), a multiple of `slice_rows`.
            stop: behind the last one, at most `start + slice_rows`.
        """
        if not self._catalog_in_place:
            items = np.arange(start + 1, stop + 1, dtype=np.int32)
            return self.start(np.full(stop - start, user, np.int32), items)
        # The last slice starts early enough not to reach behind the table.
        first = min(start + 1, self._item_table.shape[0] - self.slice_rows)
        scores = self._catalog_call(self._user_table, self._item_table, self._weights, np.int32(user), np.int32(first))
        return PendingScores(scores, start + 1 - first, stop + 1 - first)

    def score(self, users: Rows, items: Rows) -> Scores:
        """Predicted ratings of n pairs, float32[n]: see `start`."""
        return self.start(users, items).result()

    def score_catalog(self, user: int, start: int, stop: int) -> Scores:
        """Predicted ratings of a run of the catalogue, float32[stop - start]: see `start_catalog`."""
        return self.start_catalog(user, start, stop).result()

    def _equal_buckets(self) -> tuple[int, ...]:
        """The buckets that give every row the bits that the largest one gives it.

        XLA chooses how it multiplies by the shapes, and for some widths chooses otherwise for few rows (seen: 512 x 128
        below 32 rows). Which these are is found by trying. Batches too small for the rest are padded further.
        """
        users, items = self._probe()
        expected = self.score(users, items)
        equal = [bucket for bucket in BUCKETS if self._scores_equal(bucket, users, items, expected)]
        if len(equal) < len(BUCKETS):
            _log.info("Batches are padded to one of %s rows, so that scores do not depend on the batch.", equal)
        return tuple(equal)

    def _scores_equal(self, bucket: int, users: Rows, items: Rows, expected: Scores) -> bool:
        return all(
            np.array_equal(
                self.score(users[start : start + bucket], items[start : start + bucket]),
                expected[start : start + bucket],
            )
            for start in range(0, len(users) - bucket + 1, bucket)
        )

    def _catalog_equals_pairs(self) -> bool:
        """Whether the catalogue's own call gives the bits that pairs get."""
        self._catalog_in_place = True
        stop = min(self.item_count, self.slice_rows)
        items = np.arange(1, stop + 1, dtype=np.int32)
        users, _ = self._probe()
        return all(
            np.array_equal(self.score_catalog(user, 0, stop), self.score(np.full(stop, user, np.int32), items))
            for user in users[:_PROBED_USERS].tolist()
        )

    def _probe(self) -> tuple[Rows, Rows]:
        """Pairs spread over the tables, as many as the largest bucket holds."""
        random = np.random.default_rng(0)
        users = random.integers(0, self._user_table.shape[0], LARGEST_BUCKET, dtype=np.int32)
        items = random.integers(0, self.item_count + 1, LARGEST_BUCKET, dtype=np.int32)
        return users, items

    def _compile_pairs(self, bucket: int) -> Callable[..., Any]:
        rows = jax.ShapeDtypeStruct((bucket,), np.int32)
        block_rows = min(bucket, BLOCK_ROWS)

        def score_pairs(user_table: Any, item_table: Any, weights: Any, users: Any, items: Any) -> Any:
            user_layer, item_layer, layers = weights

            def score_block(users: Any, items: Any) -> Any:
                # Rows come from our own index; `clip` only spares the compiled code the handling of others.
                user_sums = _first_sums(user_table.at[users].get(mode="clip"), user_layer)
                item_sums = _first_sums(item_table.at[items].get(mode="clip"), item_layer)
                return self._rating(user_sums + item_sums, layers)

            return _by_blocks(score_block, users.reshape(-1, block_rows), items.reshape(-1, block_rows))

        return self._compile(score_pairs, rows, rows)

    def _compile_catalog(self) -> Callable[..., Any]:
        row = jax.ShapeDtypeStruct((), np.int32)
        batch = self.buckets[0]

        def score_slice(user_table: Any, item_table: Any, weights: Any, user: Any, start: Any) -> Any:
            user_layer, item_layer, layers = weights
            user_sums = _first_sums_of_one(user_table.at[user].get(mode="clip"), user_layer, batch)

            def score_block(first: Any) -> Any:
                items = jax.lax.dynamic_slice_in_dim(item_table, first, BLOCK_ROWS)
                return self._rating(user_sums + _first_sums(items, item_layer), layers)

            return _by_blocks(score_block, start + np.arange(0, self.slice_rows, BLOCK_ROWS, dtype=np.int32))

        return self._compile(score_slice, row, row)

    def _compile(self, function: Callable[..., Any], *row_shapes: Any) -> Callable[..., Any]:
        compiled: Callable[..., Any] = (
            jax.jit(function).lower(self._user_table, self._item_table, self._weights, *row_shapes).compile()
        )
        return compiled

    def _rating(self, first: Any, layers: Any) -> Any:
        """Ratings float32[n] from the sums of the halves, float32[n, width], through the layers after the first."""
        *hidden, (output_kernel, output_bias) = layers
        activation = jax.nn.relu(first)
        for kernel, bias in hidden:
            activation = jax.nn.relu(activation @ kernel + bias)
        scale, offset = self._scale_offset
        return offset + scale * (activation @ output_kernel + output_bias)[:, 0]


def _by_blocks(score_block: Callable[..., Any], *blocks: Any) -> Any:
    """The scores of all blocks, one after the other: `blocks` are arrays whose first axis is that of the blocks."""
    if len(blocks[0]) == 1:
        return score_block(*(block[0] for block in blocks))
    return jax.lax.map(lambda block: score_block(*block), blocks).reshape(-1)


def _first_sums(rows: Any, layer: Any) -> Any:
    """What rows of a table add to the first layer's sums: themselves, where the layer is folded into the table."""
    if layer is None:
        return rows
    kernel, bias = layer
    return rows @ kernel + bias


def _first_sums_of_one(row: Any, layer: Any, batch: int) -> Any:
    """The same for one row, multiplied in a batch of itself: alone it would get other last bits."""
    return row if layer is None else _first_sums(jax.numpy.tile(row, (batch, 1)), layer)[0]


def _weights(model: FoldedModel) -> tuple[Any, Any, list[Any]]:
    """The first layer's parts, each None where it is folded, and the layers after it, as pairs of kernel and bias."""
    layers = [_pair(layer) for layer in (*model.hidden, model.output)]
    return _pair(model.user_half.layer), _pair(model.item_half.layer), layers


def _pair(layer: DenseLayer | None) -> tuple[Scores, Scores] | None:
    return None if layer is None else (layer.kernel, layer.bias)


def _padded(rows: Rows, length: int) -> Rows:
    padded = np.zeros(length, np.int32)
    padded[: len(rows)] = rows
    return padded


def _padded_to_a_slice(item_table: Scores) -> Scores:
    """The table itself unless it is shorter than the slice that is read from it at a time."""
    missing = max(0, LARGEST_BUCKET - len(item_table))
    return np.pad(item_table, ((0, missing), (0, 0))) if missing else item_table
