"""Scoring pairs of table rows with a folded model, compiled ahead of time for every shape that can occur."""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from rankserve_server.engine.buckets import BUCKETS, LARGEST_BUCKET, bucket_for
from rankserve_server.engine.jax_setup import jax
from rankserve_training.model.folded import FoldedModel

_log = logging.getLogger(__name__)

Rows = npt.NDArray[np.int32]
Scores = npt.NDArray[np.float32]


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
            model: the folded model.
            checkpoint: called between compilations; what it raises ends the loading.
        """
        self.item_count = len(model.item_half) - 1
        self._user_half = jax.device_put(model.user_half)
        self._item_half = jax.device_put(_padded_to_slices(model.item_half))
        self._weights = jax.device_put(_weights(model))
        self._scale_offset = (model.scale, model.offset)
        self._pair_calls = {}
        for bucket in BUCKETS:
            checkpoint()
            self._pair_calls[bucket] = self._compile_pairs(bucket)
        checkpoint()
        self._catalog_call = self._compile_catalog()
        self.buckets = BUCKETS
        self.buckets = self._equal_buckets()
        self._catalog_in_place = self._catalog_equals_pairs()

    def score(self, users: Rows, items: Rows) -> Scores:
        """Predicted ratings of n pairs.

        Args:
            users: int32[n], rows of the user table, 0 for unknown users; n is 1 to `slice_rows`.
            items: int32[n], rows of the item table, 0 for unknown items.

        Returns:
            float32[n].
        """
        count = len(users)
        bucket = bucket_for(count, self.buckets)
        if bucket != count:
            users, items = _padded(users, bucket), _padded(items, bucket)
        call = self._pair_calls[bucket]
        return np.asarray(call(self._user_half, self._item_half, self._weights, users, items))[:count]

    def score_catalog(self, user: int, start: int, stop: int) -> Scores:
        """Predicted ratings of a run of the catalogue for one user; the item table is read in place.

        Args:
            user: row of the user table.
            start: the first item, counted from 0 (row 1), a multiple of `slice_rows`.
            stop: behind the last one, at most `start + slice_rows`.

        Returns:
            float32[stop - start].
        """
        if not self._catalog_in_place:
            items = np.arange(start + 1, stop + 1, dtype=np.int32)
            return self.score(np.full(stop - start, user, np.int32), items)
        scores = self._catalog_call(
            self._user_half, self._item_half, self._weights, np.int32(user), np.int32(start + 1)
        )
        return np.asarray(scores)[: stop - start]

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
        return np.array_equal(self.score_catalog(1, 0, stop), self.score(np.ones(stop, np.int32), items))

    def _probe(self) -> tuple[Rows, Rows]:
        """Pairs spread over the tables, as many as the largest bucket holds."""
        random = np.random.default_rng(0)
        users = random.integers(0, self._user_half.shape[0], LARGEST_BUCKET, dtype=np.int32)
        items = random.integers(0, self.item_count + 1, LARGEST_BUCKET, dtype=np.int32)
        return users, items

    def _compile_pairs(self, bucket: int) -> Callable[..., Any]:
        rows = jax.ShapeDtypeStruct((bucket,), np.int32)

        def score_pairs(user_half: Any, item_half: Any, weights: Any, users: Any, items: Any) -> Any:
            # Rows come from our own index; `clip` only spares the compiled code the handling of others.
            first = user_half.at[users].get(mode="clip") + item_half.at[items].get(mode="clip")
            return self._rating(first, weights)

        return self._compile(score_pairs, rows, rows)

    def _compile_catalog(self) -> Callable[..., Any]:
        row = jax.ShapeDtypeStruct((), np.int32)

        def score_slice(user_half: Any, item_half: Any, weights: Any, user: Any, start: Any) -> Any:
            items = jax.lax.dynamic_slice_in_dim(item_half, start, self.slice_rows)
            return self._rating(user_half.at[user].get(mode="clip") + items, weights)

        return self._compile(score_slice, row, row)

    def _compile(self, function: Callable[..., Any], *row_shapes: Any) -> Callable[..., Any]:
        compiled: Callable[..., Any] = (
            jax.jit(function).lower(self._user_half, self._item_half, self._weights, *row_shapes).compile()
        )
        return compiled

    def _rating(self, first: Any, weights: Any) -> Any:
        """Ratings float32[n] from the sums of the halves, float32[n, width]."""
        *hidden, (output_kernel, output_bias) = weights
        activation = jax.nn.relu(first)
        for kernel, bias in hidden:
            activation = jax.nn.relu(activation @ kernel + bias)
        scale, offset = self._scale_offset
        return offset + scale * (activation @ output_kernel + output_bias)[:, 0]


def _weights(model: FoldedModel) -> list[tuple[Scores, Scores]]:
    return [(layer.kernel, layer.bias) for layer in (*model.hidden, model.output)]


def _padded(rows: Rows, length: int) -> Rows:
    padded = np.zeros(length, np.int32)
    padded[: len(rows)] = rows
    return padded


def _padded_to_slices(item_half: Scores) -> Scores:
    """The item table with room for the last slice, which starts past row 0 and may reach behind the last item."""
    item_count = len(item_half) - 1
    slices = -(-item_count // LARGEST_BUCKET)
    padded = np.zeros((1 + slices * LARGEST_BUCKET, item_half.shape[1]), np.float32)
    padded[: len(item_half)] = item_half
    return padded
