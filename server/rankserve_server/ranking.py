"""What Rank means: which candidates are scored, and how the scores become an answer. No gRPC and no threads in here."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from rankserve_server.engine.engine import Rows, Scores
from rankserve_server.errors import InvalidRequestError, Violation
from rankserve_server.loaded_model import LoadedModel
from rankserve_server.told import Ids, Told, UserBasis, cannot_use, check_told
from rankserve_server.told_rows import newcomer_rows, told_items, told_user

if TYPE_CHECKING:
    from rankserve_server.newcomer_rows import NewcomerRows

Places: TypeAlias = npt.NDArray[np.intp]

_NAMED_IDS = 5
# Below this many candidates sorting packed keys does not pay.
_PACKED_FROM = 1_024


class RankBy(IntEnum):
    """What makes an item better than another; the numbers are those of the protocol."""

    UNSPECIFIED = 0
    RATING = 1
    CHOICE = 2


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
        rank_by: what makes an item better; UNSPECIFIED is CHOICE for the whole catalogue where the model has it, else
            RATING.
        told: what came with the request for its user and for new items; None where nothing did.
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
    rank_by: RankBy = RankBy.UNSPECIFIED
    told: Told | None = None


@dataclass(slots=True)
class Ranking:
    """The answer, as aligned columns. Nobody changes one.

    Attributes:
        item_ids: int64[k], the items, best first or as sent.
        item_rows: int32[k], their rows, 0 for those that the model does not know.
        scores: float32[k], their predicted ratings.
        choice_scores: float32[k], by which they are ranked; None where they are ranked by their ratings.
        titles: their titles; None where they were not asked for.
        unknown_item_ids: candidates that the model does not know, each once, in order of appearance.
        described_item_ids: those of them that were scored by what the request says of them, likewise.
        user_known: whether the model knows the user.
        user_basis: what he was scored by.
    """

    item_ids: Ids
    item_rows: Rows
    scores: Scores
    choice_scores: Scores | None
    titles: list[str] | None
    unknown_item_ids: list[int]
    described_item_ids: list[int]
    user_known: bool
    user_basis: UserBasis


class Plan:
    """What has to be scored for a query, and what to do with the scores.

    Attributes:
        user_row: of the user table.
        item_rows: int32[count] rows of the item table; None for all.
        newcomer: rows that are in no table; None where there are none.
    """

    def __init__(self, query: RankQuery, model: LoadedModel) -> None:
        """Looks the ids up and leaves out what is excluded.

        Raises:
            InvalidRequestError: where the query rejects unknown ids and there are some.
            UnsupportedError: where the model cannot do what the query asks for.
        """
        self._query = query
        self._model = model
        self._by_choice = is_by_choice(model, query.rank_by, whole_catalogue=query.candidate_ids is None)
        self.user_row = model.users.index.row(query.user_id)
        if query.reject_unknown_user and not self.user_row:
            raise InvalidRequestError(Violation("user_id", f"user {query.user_id} is not known to the model"))
        self._user_basis = UserBasis.KNOWN if self.user_row else UserBasis.AVERAGE
        self.newcomer: NewcomerRows | None = None
        self._unknown_ids: list[int] = []
        self._described_ids: list[int] = []
        # Of the scores, those that may be in the answer; None for all.
        self._kept: npt.NDArray[np.bool_] | None = None
        if query.told is not None:
            check_told(query.told, model)
        if query.candidate_ids is None:
            self._plan_catalog()
        else:
            self._plan_candidates(query.candidate_ids)
        if query.told is not None:
            self._plan_newcomers(query.told)

    @property
    def count(self) -> int:
        """How many candidates the scheduler has to score."""
        return len(self._model.catalog) if self.item_rows is None else len(self.item_rows)

    @property
    def unknown_items(self) -> int:
        """How many candidates the model does not know, each counted once."""
        return len(self._unknown_ids)

    def finish(self, scores: Scores) -> Ranking:
        """The answer.

        Args:
            scores: float32[count], or float32[2, count] where the model has choices; float32[0] where nothing was to be
                scored.
        """
        if self._kept is not None:
            scores = scores[..., self._kept]
        ratings, choices = (scores, scores) if scores.ndim == 1 else scores
        places = best_places(choices if self._by_choice else ratings, self._query.top_k)
        if self._query.as_sent:
            places.sort()
        # `take` is twice as fast as indexing.
        rows = self._answer_rows.take(places)
        return Ranking(
            item_ids=self._answer_ids.take(places),
            item_rows=rows,
            scores=ratings.take(places),
            choice_scores=choices.take(places) if self._by_choice else None,
            titles=self._titles(rows) if self._query.include_titles else None,
            unknown_item_ids=self._unknown_ids,
            described_item_ids=self._described_ids,
            user_known=self.user_row != 0,
            user_basis=self._user_basis,
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

    def _plan_newcomers(self, told: Told) -> None:
        """Lets what the request tells count; the answer keeps row 0 for items that are in no table."""
        user = told_user(told, self._model, self.user_row)
        self._user_basis = user.basis
        items = told_items(told, self._model, self._answer_ids, self._answer_rows)
        self.newcomer = newcomer_rows(user, self.user_row, items)
        if items is not None:
            self._described_ids = items.ids
            self.item_rows = self._answer_rows.copy()
            self.item_rows[items.places] = len(self._model.catalog) + 1 + items.numbers

    def _not_excluded(self, rows: Rows, ids: Ids) -> npt.NDArray[np.bool_] | None:
        """Which candidates may stay; None for all."""
        kept: npt.NDArray[np.bool_] | None = None
        if self._query.exclude_seen and self.user_row:
            kept = ~np.isin(rows, self._model.users.seen(self.user_row))
        for listed in self._excluded_ids():
            not_listed = ~np.isin(ids, listed)
            kept = not_listed if kept is None else kept & not_listed
        return kept

    def _excluded_ids(self) -> Iterator[Ids]:
        query = self._query
        if query.exclude_ids is not None:
            yield query.exclude_ids
        if query.exclude_seen and query.told is not None:
            yield query.told.history_ids

    def _titles(self, rows: Rows) -> list[str]:
        titles = self._model.catalog.titles
        return [titles[row - 1] if row else "" for row in rows.tolist()]


def is_by_choice(model: LoadedModel, rank_by: RankBy, *, whole_catalogue: bool) -> bool:
    """Whether choices make the order, rather than ratings.

    Raises:
        UnsupportedError: where they should, and the model has none.
    """
    has_choice = model.engine.has_choice
    if rank_by == RankBy.UNSPECIFIED:
        return has_choice and whole_catalogue
    if rank_by == RankBy.CHOICE and not has_choice:
        raise cannot_use(model, "rank_by")
    return rank_by == RankBy.CHOICE


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
    return _places_in(keys)


def best_places_by_row(scores: Scores, top_k: int) -> Places:
    """The same for many rows of scores: intp[rows, top_k] for float32[rows, n].

    Args:
        scores: finite, or negative infinity for what comes last.
        top_k: 1 to n.
    """
    keys = _packed_keys(scores)
    if top_k < keys.shape[1]:
        keys = np.partition(keys, top_k - 1, axis=1)[:, :top_k]
    keys.sort(axis=1)
    return _places_in(keys)


def _places_in(keys: npt.NDArray[np.uint64]) -> Places:
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

    Along the last axis. The bits of a float, read as an integer, rise with it once the sign is turned over, and for
    negative ones all bits. Numbers sort several times as fast as places by their scores.
    """
    bits = (scores + np.float32(0)).view(np.uint32)  # -0 becomes 0, which it is equal to
    negative = (bits.view(np.int32) >> 31).view(np.uint32)
    rising = bits ^ (negative | np.uint32(0x80000000))
    return (~rising).astype(np.uint64) << np.uint64(32) | np.arange(scores.shape[-1], dtype=np.uint64)


def _unknown_items_text(ids: list[int]) -> str:
    named = ", ".join(map(str, ids[:_NAMED_IDS]))
    more = f" and {len(ids) - _NAMED_IDS} more" if len(ids) > _NAMED_IDS else ""
    return f"{len(ids)} not known to the model: {named}{more}"
