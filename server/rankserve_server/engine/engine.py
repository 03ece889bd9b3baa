"""Scoring pairs of table rows with a folded model, compiled ahead of time for every shape that can occur."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rankserve_server.engine.arrays import PendingScores, Rows, Scores, padded
from rankserve_server.engine.buckets import BLOCK_ROWS, BUCKETS, LARGEST_BUCKET, bucket_for
from rankserve_server.engine.formula import (
    Formula,
    Side,
    Weights,
    by_blocks,
    first_sums,
    first_sums_of_one,
    item_side,
    user_side,
    weights_of,
)
from rankserve_server.engine.jax_setup import jax
from rankserve_server.engine.newcomers import SLOTS, Bag, NewcomerScorer, NewUser
from rankserve_training.model.folded import FoldedModel

__all__ = ["Engine", "PendingScores", "Rows", "Scores"]

_log = logging.getLogger(__name__)

# How many users' catalogues are compared with their pairs when a model is loaded.
_PROBED_USERS = 8


class Engine:
    """One model version. Nothing compiles after the constructor has returned.

    Scores of a pair are equal bit for bit whatever else is in the batch, and whether the pair is scored by `score`, as
    part of the catalogue or beside newcomers. It can be shared between threads.

    A score is a predicted rating; where the model has choices too, scores are float32[2, n] instead of float32[n]:
    ratings, then choices.

    Attributes:
        item_count: known items; their rows are 1 to `item_count`.
        has_choice: whether the model has choices.
        buckets: row counts that are computed, ascending; a batch is padded to the next one.
        slice_rows: the most rows that one call scores.
    """

    slice_rows = LARGEST_BUCKET
    has_choice = False

    def __init__(
        self,
        model: FoldedModel,
        checkpoint: Callable[[], None] = lambda: None,
        newcomers: FoldedModel | None = None,
    ) -> None:
        """Moves the tables into the device's memory and compiles every bucket.

        Args:
            model: each of its tables folded or not; they may be used where they lie, so nobody may change them later.
            checkpoint: called between compilations; what it raises ends the loading.
            newcomers: the same model for strangers, whose tables hold what their rows are summed of; None for a model
                that knows nothing but ids. Only for a model that is folded.

        Raises:
            ValueError: where the tables of `newcomers` do not fit those of `model`.
        """
        self.item_count = len(model.item_half.table) - 1
        self.has_choice = model.choice_towers is not None
        self._users: Side = jax.device_put(user_side(model))
        self._items: Side = jax.device_put(_padded_to_a_slice(item_side(model)))
        self._weights: Weights = jax.device_put(weights_of(model))
        self._formula = Formula.of(model)
        self._pair_calls = {}
        for bucket in BUCKETS:
            checkpoint()
            self._pair_calls[bucket] = self._compile_pairs(bucket)
        self.buckets = BUCKETS
        self.buckets = self._equal_buckets()
        checkpoint()
        self._catalog_call = self._compile_catalog()
        self._catalog_in_place = self._catalog_equals_pairs()
        self._newcomers = None if newcomers is None else self._newcomer_scorer(newcomers, checkpoint)

    def start(self, users: Rows, items: Rows) -> PendingScores:
        """Starts to score n pairs, and returns before they are computed.

        What is started first is computed first.

        Args:
            users: int32[n], rows of the user table, 0 for unknown users; n is 1 to `slice_rows`.
            items: int32[n], rows of the item table, 0 for unknown items.
        """
        count = len(users)
        bucket = bucket_for(count, self.buckets)
        if bucket != count:
            users, items = padded(users, bucket), padded(items, bucket)
        call = self._pair_calls[bucket]
        return PendingScores(call(self._users, self._items, self._weights, users, items), 0, count)

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
        first = min(start + 1, self._items.first.shape[0] - self.slice_rows)
        scores = self._catalog_call(self._users, self._items, self._weights, np.int32(user), np.int32(first))
        return PendingScores(scores, start + 1 - first, stop + 1 - first)

    def start_newcomers(
        self, users: Sequence[NewUser], new_items: Sequence[Bag], places: Rows, items: Rows
    ) -> PendingScores:
        """The same for n pairs of users, or with items, that are in no table.

        Args:
            users: at most `newcomers.SLOTS`.
            new_items: at most as many.
            places: int32[n], the users of the pairs, as places in `users`; n is 1 to `slice_rows`.
            items: int32[n], rows of the item table; `item_count` + 1 is the first of `new_items`.
        """
        if self._newcomers is None:
            raise ValueError("this model knows nothing of newcomers")
        return self._newcomers.start(users, new_items, places, items)

    def score(self, users: Rows, items: Rows) -> Scores:
        """Scores of n pairs: see `start`."""
        return self.start(users, items).result()

    def score_catalog(self, user: int, start: int, stop: int) -> Scores:
        """Scores of a run of the catalogue: see `start_catalog`."""
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
                expected[..., start : start + bucket],
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

    def _newcomer_scorer(self, newcomers: FoldedModel, checkpoint: Callable[[], None]) -> NewcomerScorer:
        scorer = NewcomerScorer(
            self._users, self._items, self.item_count, self._weights, self._formula, newcomers, checkpoint
        )
        users, items = self._probe()
        scorer.keep_equal_buckets(users[:SLOTS], items, self.score(np.resize(users[:SLOTS], len(items)), items))
        return scorer

    def _probe(self) -> tuple[Rows, Rows]:
        """Pairs spread over the tables, as many as the largest bucket holds."""
        random = np.random.default_rng(0)
        users = random.integers(0, self._users.first.shape[0], LARGEST_BUCKET, dtype=np.int32)
        items = random.integers(0, self.item_count + 1, LARGEST_BUCKET, dtype=np.int32)
        return users, items

    def _compile_pairs(self, bucket: int) -> Callable[..., Any]:
        rows = jax.ShapeDtypeStruct((bucket,), np.int32)
        block_rows = min(bucket, BLOCK_ROWS)

        def score_pairs(users: Side, items: Side, weights: Weights, user_rows: Any, item_rows: Any) -> Any:
            def score_block(user_rows: Any, item_rows: Any) -> Any:
                user, item = users.take(user_rows), items.take(item_rows)
                user = user._replace(first=first_sums(user.first, weights.user))
                item = item._replace(first=first_sums(item.first, weights.item))
                return self._formula.scores(user, item, weights)

            return by_blocks(score_block, user_rows.reshape(-1, block_rows), item_rows.reshape(-1, block_rows))

        return self._compile(score_pairs, rows, rows)

    def _compile_catalog(self) -> Callable[..., Any]:
        row = jax.ShapeDtypeStruct((), np.int32)
        batch = self.buckets[0]

        def score_slice(users: Side, items: Side, weights: Weights, user_row: Any, start: Any) -> Any:
            user = users.take(user_row)
            user = user._replace(first=first_sums_of_one(user.first, weights.user, batch))

            def score_block(first: Any) -> Any:
                block = jax.tree.map(lambda table: jax.lax.dynamic_slice_in_dim(table, first, BLOCK_ROWS), items)
                block = block._replace(first=first_sums(block.first, weights.item))
                return self._formula.scores(user, block, weights)

            return by_blocks(score_block, start + np.arange(0, self.slice_rows, BLOCK_ROWS, dtype=np.int32))

        return self._compile(score_slice, row, row)

    def _compile(self, function: Callable[..., Any], *row_shapes: Any) -> Callable[..., Any]:
        compiled: Callable[..., Any] = (
            jax.jit(function).lower(self._users, self._items, self._weights, *row_shapes).compile()
        )
        return compiled


def _padded_to_a_slice(items: Side) -> Side:
    """The tables themselves unless they are shorter than the slice that is read from them at a time."""
    missing = max(0, LARGEST_BUCKET - len(items.first))
    if not missing:
        return items
    return Side(*(None if table is None else np.pad(table, ((0, missing), (0, 0))) for table in items))
