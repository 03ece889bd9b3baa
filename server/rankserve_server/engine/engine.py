"""Scoring pairs of table rows with a model, compiled ahead of time for every shape that can occur."""

from collections.abc import Sequence

import numpy as np

from rankserve_server.engine.arrays import PendingScores, Rows, Scores, padded
from rankserve_server.engine.buckets import LARGEST_BUCKET, bucket_for
from rankserve_server.engine.newcomers import Bag, NewcomerScorer, NewUser
from rankserve_server.engine.parts import EngineParts

__all__ = ["Engine", "PendingScores", "Rows", "Scores"]


class Engine:
    """One compiled model version. Nothing compiles any more.

    Scores of a pair are equal bit for bit whatever else is in the batch, and whether the pair is scored by `score`, as
    part of the catalogue or beside newcomers. It can be shared between threads.

    A score is a predicted rating; where the model has choices too, scores are float32[2, n] instead of float32[n]:
    ratings, then choices.

    Attributes:
        item_count: known items; their rows are 1 to `item_count`.
        has_choice: whether the model has choices.
        buckets: row counts that are computed, ascending; a batch is padded to the next one.
        slice_rows: the most rows that one call scores.
        parts: what it is made of.
    """

    slice_rows = LARGEST_BUCKET
    has_choice = False

    def __init__(self, parts: EngineParts) -> None:
        """See `compiling.compile_engine` and `parts.unpack`."""
        self.parts = parts
        self.item_count = parts.item_count
        self.has_choice = parts.users.choice is not None
        self.buckets = tuple(parts.pair_calls)
        self._users, self._items, self._weights = parts.users, parts.items, parts.weights
        self._newcomers = None if parts.newcomers is None else NewcomerScorer(parts, parts.newcomers)

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
        call = self.parts.pair_calls[bucket]
        return PendingScores(call(self._users, self._items, self._weights, users, items), 0, count, bucket)

    def start_catalog(self, user: int, start: int, stop: int) -> PendingScores:
        """The same for a run of the catalogue and one user; the item table is read in place.

        Args:
            user: row of the user table.
            start: the first item, counted from 0 (row 1), a multiple of `slice_rows`.
            stop: behind the last one, at most `start + slice_rows`.
        """
        if self.parts.catalog_call is None:
            items = np.arange(start + 1, stop + 1, dtype=np.int32)
            return self.start(np.full(stop - start, user, np.int32), items)
        # The last slice starts early enough not to reach behind the table.
        first = min(start + 1, self._items.first.shape[0] - self.slice_rows)
        scores = self.parts.catalog_call(self._users, self._items, self._weights, np.int32(user), np.int32(first))
        return PendingScores(scores, start + 1 - first, stop + 1 - first, self.slice_rows)

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
