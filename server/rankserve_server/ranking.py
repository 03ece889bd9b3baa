"""What Rank means: which candidates are scored, and how the scores become an answer. No gRPC and no threads in here."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from rankserve_server.engine.engine import Rows, Scores
from rankserve_server.errors import InvalidRequestError, UnsupportedError, Violation
from rankserve_server.loaded_model import LoadedModel

Ids: TypeAlias = npt.NDArray[np.int64]
Places: TypeAlias = npt.NDArray[np.intp]

_NAMED_IDS = 5
# Below this many candidates sorting packed keys does not pay.
_PACKED_FROM = 1_024


# Not frozen: that makes building one three times as slow, and one is built for every request.
@dataclass(slots=True)
class RankQuery:
    """A valid request, in the server's own terms. Nobody changes one.

    Attributes:
        user_id: any 64-bit integer.
        candidate_ids: int64[n]; None for the whole catalogue.
        top_k: 0 for all.
        exclude_seen: whether to leave out what the user has rated.
        exclude_ids: int64[m], left out too; None for none.
        as_sent: whether the answer keeps the order of the candidates.
        include_titles: whether the answer has titles.
        reject_unknown_user: whether an unknown user is an error.
        reject_unknown_items: whether an unknown candidate is an error.
        omit_unknown_items: whether unknown candidates are left out.
        has_history: whether ratings came with the request.
    """

    user_id: int
    candidate_ids: Ids | None
    top_k: int = 0
    exclude_seen: bool = False
    exclude_ids: Ids | None = None
    as_sent: bool = False
    include_titles: bool = False
    reject_unknown_user: bool = False
    reject_unknown_items: bool = False
    omit_unknown_items: bool = False
    has_history: bool = False


@dataclass(slots=True)
class Ranking:
    """The answer, as aligned columns. Nobody changes one.

    Attributes:
        item_ids: int64[k], the items, best first or as sent.
        item_rows: int32[k], their rows, 0 for those that the model does not know.
        scores: float32[k], their predicted ratings.
        titles: their titles; None where they were not asked for.
        unknown_item_ids: candidates that the model does not know, each once, in order of appearance.
        user_known: whether the model knows the user.
    """

    item_ids: Ids
    item_rows: Rows
    scores: Scores
    titles: list[str] | None
    unknown_item_ids: list[int]
    user_known: bool


class Plan:
    """What has to be scored for a query, and what to do with the scores."""

    def __init__(self, query: RankQuery, model: LoadedModel) -> None:
        """Looks the ids up and leaves out what is excluded.

        Raises:
            InvalidRequestError: where the query rejects unknown ids and there are some.
            UnsupportedError: where the model cannot do what the query asks for.
        """
        if query.has_history:
            raise UnsupportedError(
                f"{model.name}/{model.version} cannot use `history`: its preset is {model.manifest.training.preset!r}"
            )
        self._query = query
        self._model = model
        self.user_row = model.users.index.row(query.user_id)
        if query.reject_unknown_user and not self.user_row:
            raise InvalidRequestError(Violation("user_id", f"user {query.user_id} is not known to the model"))
        self._unknown_ids: list[int] = []
        # Of the scores, those that may be in the answer; None for all.
        self._kept: npt.NDArray[np.bool_] | None = None
        if query.candidate_ids is None:
            self._plan_catalog()
        else:
            self._plan_candidates(query.candidate_ids)

    @property
    def count(self) -> int:
        """How many candidates the scheduler has to score."""
        return len(self._model.catalog) if self.item_rows is None else len(self.item_rows)

    def finish(self, scores: Scores) -> Ranking:
        """The answer, from float32[count] scores."""
        if self._kept is not None:
            scores = scores[self._kept]
        places = best_places(scores, self._query.top_k)
        if self._query.as_sent:
            places.sort()
        # `take` is twice as fast as indexing.
        rows = self._answer_rows.take(places)
        return Ranking(
            item_ids=self._answer_ids.take(places),
            item_rows=rows,
            scores=scores.take(places),
            titles=self._titles(rows) if self._query.include_titles else None,
            unknown_item_ids=self._unknown_ids,
            user_known=self.user_row != 0,
        )

    def _plan_catalog(self) -> None:
        """The whole item table is scored in place; what is excluded is taken out of the scores afterwards."""
        catalog = self._model.catalog
        self.item_rows: Rows | None = None
        self._answer_ids, self._answer_rows = catalog.ids, catalog.rows
        self._kept = self._not_excluded(catalog.rows, catalog.ids)
        if self._kept is not None:
            self._answer_ids, self._answer_rows = catalog.ids[self._kept], catalog.rows[self._kept]
            if not len(self._answer_ids):
                self.item_rows, self._kept = self._answer_rows, None

    def _plan_candidates(self, ids: Ids) -> None:
        rows = self._model.catalog.index.rows(ids)
        kept = self._not_excluded(rows, ids)
        if kept is not None:
            rows, ids = rows[kept], ids[kept]
        if np.count_nonzero(rows) < len(rows):
            known = rows != 0
            self._unknown_ids = list(dict.fromkeys(ids[~known].tolist()))
            if self._query.reject_unknown_items:
                raise InvalidRequestError(Violation("candidate_ids", _unknown_items_text(self._unknown_ids)))
            if self._query.omit_unknown_items:
                rows, ids = rows[known], ids[known]
        self.item_rows = self._answer_rows = rows
        self._answer_ids = ids

    def _not_excluded(self, rows: Rows, ids: Ids) -> npt.NDArray[np.bool_] | None:
        """Which candidates may stay; None for all."""
        kept: npt.NDArray[np.bool_] | None = None
        if self._query.exclude_seen and self.user_row:
            kept = ~np.isin(rows, self._model.users.seen(self.user_row))
        if self._query.exclude_ids is not None:
            not_listed = ~np.isin(ids, self._query.exclude_ids)
            kept = not_listed if kept is None else kept & not_listed
        return kept

    def _titles(self, rows: Rows) -> list[str]:
        titles = self._model.catalog.titles
        return [titles[row - 1] if row else "" for row in rows.tolist()]


def best_places(scores: Scores, top_k: int) -> Places:
    """The places of the best scores, best first; equal scores in ascending order of place.

    Args:
        scores: float32[n], finite.
        top_k: how many; 0 for all, more than n is the same as n.

    Returns:
        intp[min(top_k, n)], or intp[n].
    """
    count = len(scores)
    if count < _PACKED_FROM:
        order = _best_first(scores)
        return order[:top_k] if top_k else order
    keys = _packed_keys(scores)
    if 0 < top_k < count:
        keys = np.partition(keys, top_k - 1)[:top_k]
    keys.sort()
    return (keys & np.uint64(0xFFFFFFFF)).astype(np.intp)


def _best_first(scores: Scores) -> Places:
    falling = -scores
    order = falling.argsort()
    # The default sort is faster than the stable one, and the same where no two scores are equal.
    ordered = falling.take(order)
    if np.count_nonzero(ordered[1:] == ordered[:-1]):
        return falling.argsort(kind="stable")
    return order


def _packed_keys(scores: Scores) -> npt.NDArray[np.uint64]:
    """One number for each score, smaller for a better one, with its place in the lower half: no two are equal.

    The bits of a float, read as an integer, rise with it once the sign is turned over, and for negative ones all bits.
    Numbers sort several times as fast as places by their scores.
    """
    bits = (scores + np.float32(0)).view(np.uint32)  # -0 becomes 0, which it is equal to
    negative = (bits.view(np.int32) >> 31).view(np.uint32)
    rising = bits ^ (negative | np.uint32(0x80000000))
    return (~rising).astype(np.uint64) << np.uint64(32) | np.arange(len(scores), dtype=np.uint64)


def _unknown_items_text(ids: list[int]) -> str:
    named = ", ".join(map(str, ids[:_NAMED_IDS]))
    more = f" and {len(ids) - _NAMED_IDS} more" if len(ids) > _NAMED_IDS else ""
    return f"{len(ids)} not known to the model: {named}{more}"
