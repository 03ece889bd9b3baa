"""The best items of many users, with the bits and the order that `Rank` answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rankserve_server.engine.arrays import PendingScores, Rows, Scores
from rankserve_server.loaded_model import LoadedModel
from rankserve_server.ranking import RankBy, best_places_by_row, is_by_choice
from rankserve_server.told import Ids

# Enough that a last batch that is not full does not count, and little enough to stay near the processor.
_PAIRS_AT_A_TIME = 65_536


@dataclass(frozen=True)
class BestItems:
    """Items of some users, user by user and best first, as aligned columns.

    Attributes:
        user_ids: int64[n].
        ranks: int32[n], from 1 for each user.
        item_ids: int64[n].
        scores: float32[n], predicted ratings.
        choice_scores: float32[n], by which they are ranked; None where they are ranked by their ratings.
    """

    user_ids: Ids
    ranks: Rows
    item_ids: Ids
    scores: Scores
    choice_scores: Scores | None


@dataclass(frozen=True)
class _Started:
    user_ids: Ids
    user_rows: Rows
    pending: Sequence[PendingScores]


class Scorer:
    """Ranks the same items for any users.

    Pairs of many users lie behind each other in batches of the engine's largest size, and those of the next users are
    computed while the best of the last ones are found.

    Attributes:
        by_choice: whether choices make the order.
    """

    def __init__(
        self, model: LoadedModel, item_ids: Ids | None, top_k: int, rank_by: RankBy, exclude_seen: bool
    ) -> None:
        """For the whole catalogue where `item_ids`, int64[n] without duplicates, are None.

        Raises:
            UnsupportedError: where the model cannot rank by that.
        """
        catalog = model.catalog
        self.by_choice = is_by_choice(model, rank_by, whole_catalogue=item_ids is None)
        self._model = model
        self._item_ids = catalog.ids if item_ids is None else item_ids
        item_rows = catalog.rows if item_ids is None else catalog.index.rows(item_ids)
        self._count = len(item_rows)
        self._top_k = min(top_k, self._count)
        self._users_at_a_time = max(1, _PAIRS_AT_A_TIME // self._count)
        self._item_rows = np.tile(item_rows, self._users_at_a_time)
        self._places = _places_of_rows(item_rows, len(catalog)) if exclude_seen else None

    def rank(self, user_ids: Ids) -> Iterator[BestItems]:
        """The best items of the users int64[n], some users at a time.

        Users that the model does not know are scored as new ones.
        """
        last: _Started | None = None
        for start in range(0, len(user_ids), self._users_at_a_time):
            started = self._start(user_ids[start : start + self._users_at_a_time])
            if last is not None:
                yield self._finish(last)
            last = started
        if last is not None:
            yield self._finish(last)

    def _start(self, user_ids: Ids) -> _Started:
        engine = self._model.engine
        user_rows = self._model.users.index.rows(user_ids)
        of_pairs = np.repeat(user_rows, self._count)
        parts = [slice(start, start + engine.slice_rows) for start in range(0, len(of_pairs), engine.slice_rows)]
        items = self._item_rows[: len(of_pairs)]
        return _Started(user_ids, user_rows, [engine.start(of_pairs[part], items[part]) for part in parts])

    def _finish(self, started: _Started) -> BestItems:
        scores = np.concatenate([each.result() for each in started.pending], axis=-1)
        scores = scores.reshape(*scores.shape[:-1], len(started.user_ids), self._count)
        ratings, choices = (scores, scores) if scores.ndim == 2 else scores
        better = choices if self.by_choice else ratings
        kept = np.full(len(started.user_ids), self._count)
        if self._places is not None:
            better = better.copy()
            for place, user_row in enumerate(started.user_rows.tolist()):
                seen = self._places[self._model.users.seen(user_row)]
                seen = seen[seen >= 0]
                better[place, seen] = -np.inf  # scores are finite
                kept[place] -= len(seen)
        places = best_places_by_row(better, self._top_k)
        counts = np.minimum(kept, self._top_k)
        return self._columns(started.user_ids, counts, places, ratings, choices if self.by_choice else None)

    def _columns(
        self,
        user_ids: Ids,
        counts: npt.NDArray[np.intp],
        places: npt.NDArray[np.intp],
        ratings: Scores,
        choices: Scores | None,
    ) -> BestItems:
        """Of each user the first `counts` of his places; those behind are what is left out."""
        ranks = np.broadcast_to(np.arange(1, self._top_k + 1, dtype=np.int32), places.shape)
        is_kept = ranks <= counts[:, np.newaxis]
        return BestItems(
            user_ids=np.repeat(user_ids, counts),
            ranks=ranks[is_kept],
            item_ids=self._item_ids.take(places[is_kept]),
            scores=np.take_along_axis(ratings, places, axis=1)[is_kept],
            choice_scores=None if choices is None else np.take_along_axis(choices, places, axis=1)[is_kept],
        )


def _places_of_rows(item_rows: Rows, item_count: int) -> npt.NDArray[np.intp]:
    """Where each row of the item table lies in `item_rows`; -1 where it does not."""
    places = np.full(item_count + 1, -1, np.intp)
    places[item_rows] = np.arange(len(item_rows))
    places[0] = -1
    return places
