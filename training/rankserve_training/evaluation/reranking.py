"""How well a model orders the items that a user has rated.

Predictions that are equal are not put in the model's favour: every measure is its expected value when ties are broken
at random (McSherry and Najork, "Computing Information Retrieval Performance Measures Efficiently in the Presence of
Tied Scores", 2008). Who would have the same value in every order is left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from rankserve_training.data import RatingScale
from rankserve_training.evaluation.per_user import Float64s, Int32s, Int64s, PerUser, run_bounds, sums_by_group
from rankserve_training.metrics import Floats
from rankserve_training.rows import PairsByUser, RatedPairs

Bools = npt.NDArray[np.bool_]

# Ratings are relevances as they are on scales such as 1 to 5 and 0 to 10; elsewhere 2 to their power would be negative
# or would leave nothing but the highest rating to count.
_LARGEST_RELEVANCE = 10
_RELEVANCE_ELSEWHERE = 5
_BLOCK_ROWS = 1 << 18


@dataclass(frozen=True)
class Reranking:
    """Measures on each user's held-out items, every value from 0 to 1, higher is better.

    Attributes:
        ndcg_at_5: for users whose ratings are not all equal.
        ndcg_at_10: likewise.
        mrr: one over the place of the first relevant item, for users with items that are and others that are not.
        pairwise_accuracy: the share of a user's pairs with different ratings that stand in the right order, ties as
            half; for users whose ratings are not all equal.
    """

    ndcg_at_5: PerUser
    ndcg_at_10: PerUser
    mrr: PerUser
    pairwise_accuracy: PerUser


@dataclass(frozen=True)
class _Ranked:
    """Rows by user, and within a user by falling score.

    Attributes:
        user_rows: int32[u], ascending.
        users: int64[n], places in `user_rows`.
        scores: floats[n].
        ratings: float64[n].
    """

    user_rows: Int32s
    users: Int64s
    scores: Floats
    ratings: Float64s

    def sums(self, values: npt.NDArray[np.floating | np.bool_]) -> Float64s:
        """By user, float64[u]."""
        return sums_by_group(self.users, values, len(self.user_rows))

    def where(self, defined: Bools, values: Float64s) -> PerUser:
        """The values (float64[u]) of the users for whom they are defined."""
        return PerUser(self.user_rows[defined], values[defined])


def rerank(scores: Floats, test: RatedPairs, scale: RatingScale, relevant_from: float | None = None) -> Reranking:
    """Orders each user's test items by falling score and compares with the ratings that he gave.

    nDCG@k has the gain 2^rating - 1 and the discount log2(place + 1), the defaults of `keras_rs.metrics.NDCG` and of
    TensorFlow Ranking, which the ranking tutorials of Keras and of TensorFlow Recommenders use. Where the scale has
    negative ratings or such above 10, ratings are first mapped to 0 to 5.

    Args:
        scores: floats[n], in the order of `test`; predicted ratings or anything else that is higher for what is
            shown earlier.
        test: n rows; those of user row 0, which may be many users, are not used.
        scale: of the ratings.
        relevant_from: the lowest rating of a relevant item, for MRR; a quarter of the span below the highest rating
            where not given, such as 4 of 1 to 5.

    Raises:
        ValueError: where the shapes differ or a score is not finite.
    """
    if scores.shape != test.ratings.shape:
        raise ValueError(f"There should be as many scores as ratings, not {scores.shape} for {test.ratings.shape}.")
    if not np.isfinite(scores).all():
        raise ValueError("Scores should be finite.")
    threshold = scale.maximum - scale.span / 4 if relevant_from is None else relevant_from
    parts = [_reranking(scores[rows], test.take(rows), scale, threshold) for rows in _blocks_of_users(test)]
    return Reranking(
        **{
            measure.name: PerUser(
                np.concatenate([getattr(part, measure.name).users for part in parts]),
                np.concatenate([getattr(part, measure.name).values for part in parts]),
            )
            for measure in fields(Reranking)
        }
    )


def _blocks_of_users(test: RatedPairs) -> Iterator[Int32s]:
    """The rows of known users by user, some users at a time: columns of all rows would take much memory. 1 or more."""
    grouped = PairsByUser.of(test, int(test.users.max(initial=0)))
    edges = np.unique(grouped.starts[1:])
    first = 0
    while True:
        past = max(first + 1, int(np.searchsorted(edges, edges[first] + _BLOCK_ROWS, side="right")) - 1)
        last = past >= len(edges) - 1
        yield grouped.places[edges[first] : None if last else edges[past]]
        if last:
            return
        first = past


def _reranking(scores: Floats, test: RatedPairs, scale: RatingScale, threshold: float) -> Reranking:
    ranked = _ranked(scores, test)
    varied = _varied(ranked)
    gains = np.exp2(_relevances(ranked.ratings, scale)) - 1
    return Reranking(
        ndcg_at_5=ranked.where(varied, _ndcg(ranked, gains, 5)),
        ndcg_at_10=ranked.where(varied, _ndcg(ranked, gains, 10)),
        mrr=_reciprocal_rank(ranked, ranked.ratings >= threshold),
        pairwise_accuracy=ranked.where(varied, _pairwise_accuracy(ranked)),
    )


def discounts(k: int) -> Float64s:
    """What an item in place 1 to k counts in DCG@k: float64[k], 1 / log2(place + 1)."""
    return 1 / np.log2(np.arange(2, k + 2))


def _ranked(scores: Floats, test: RatedPairs) -> _Ranked:
    order = np.lexsort((-scores, test.users))
    user_rows, users = np.unique(test.users[order], return_inverse=True)
    return _Ranked(user_rows, users, scores[order], test.ratings[order].astype(np.float64))


def _varied(ranked: _Ranked) -> Bools:
    """Which users have given different ratings."""
    first, _ = run_bounds(ranked.users)
    return ranked.sums(ranked.ratings != ranked.ratings[first]) > 0


def _relevances(ratings: Float64s, scale: RatingScale) -> Float64s:
    if scale.minimum >= 0 and scale.maximum <= _LARGEST_RELEVANCE:
        return ratings
    return np.clip((ratings - scale.minimum) / scale.span, 0, 1) * _RELEVANCE_ELSEWHERE


def _ndcg(ranked: _Ranked, gains: Float64s, k: int) -> Float64s:
    """float64[u]; 0 where all gains are 0."""
    total = np.concatenate([[0], np.cumsum(discounts(k))])
    first_of_user, _ = run_bounds(ranked.users)
    first, past = run_bounds(ranked.users, ranked.scores)
    # An item is equally likely in each of the places that it shares with those of the same score.
    of_its_places = total[np.minimum(past - first_of_user, k)] - total[np.minimum(first - first_of_user, k)]
    dcg = ranked.sums(gains * of_its_places / (past - first))
    place = np.arange(len(gains)) - first_of_user
    ideally = gains[np.lexsort((-gains, ranked.users))] * np.append(discounts(k), 0)[np.minimum(place, k)]
    ideal = ranked.sums(ideally)
    return np.divide(dcg, ideal, out=np.zeros_like(dcg), where=ideal > 0)


def _reciprocal_rank(ranked: _Ranked, relevant: Bools) -> PerUser:
    relevant_counts = ranked.sums(relevant)
    defined = (relevant_counts > 0) & (relevant_counts < ranked.sums(np.ones(len(relevant))))
    first_of_user, _ = run_bounds(ranked.users)
    first, past = run_bounds(ranked.users, ranked.scores)
    # The first relevant row of each user; the rows tied with it decide the place.
    hits = np.flatnonzero(relevant)
    users, first_hits = np.unique(ranked.users[hits], return_index=True)
    row = hits[first_hits]
    relevant_before = np.concatenate([[0], np.cumsum(relevant)])
    relevant_tied = relevant_before[past[row]] - relevant_before[first[row]]
    values = np.zeros(len(ranked.user_rows))
    values[users] = _expected_reciprocal_rank(first[row] - first_of_user[row], past[row] - first[row], relevant_tied)
    return ranked.where(defined, values)


def _expected_reciprocal_rank(before: Int64s, tied: Int64s, relevant: Int64s) -> Float64s:
    """One over the place of the first of `relevant` items among `tied` in random order, `before` others preceding."""
    last = tied - relevant + 1  # of the tied places in which the first relevant item can be
    longest_first = np.argsort(-last)
    before, tied, relevant, last = (column[longest_first] for column in (before, tied, relevant, last))
    still = np.searchsorted(-last, -np.arange(1, last.max(initial=0) + 1), side="right")
    expected = np.zeros(len(before))
    chance = relevant / tied  # that the first relevant item is the first of the tied, then the second, and so on
    for place, some in enumerate(still.tolist(), 1):
        expected[:some] += chance[:some] / (before[:some] + place)
        left = tied[:some] - place
        chance[:some] *= np.maximum(left - relevant[:some] + 1, 0) / np.maximum(left, 1)
    unsorted = np.empty_like(expected)
    unsorted[longest_first] = expected
    return unsorted


def _pairwise_accuracy(ranked: _Ranked) -> Float64s:
    """float64[u]; 0 where there is nothing to compare.

    Ratings are numbered, and two of them differ first in one of the bits of their numbers. So for each bit the rows
    that agree in the bits above it are put together, and each that has the bit is compared with those that do not: a
    handful of sorts in place of all pairs.
    """
    levels, level = np.unique(ranked.ratings, return_inverse=True)
    right = np.zeros(len(ranked.user_rows))
    pairs = np.zeros(len(ranked.user_rows))
    for bit in range(max(len(levels) - 1, 0).bit_length()):
        order = np.lexsort((ranked.scores, level >> (bit + 1), ranked.users))
        users, above, scores = ranked.users[order], level[order] >> (bit + 1), ranked.scores[order]
        higher = (level[order] >> bit & 1).astype(bool)
        first_of_group, past_group = run_bounds(users, above)
        first, past = run_bounds(users, above, scores)
        lower = np.concatenate([[0], np.cumsum(~higher)])
        below = lower[first] - lower[first_of_group]
        tied = lower[past] - lower[first]
        in_group = lower[past_group] - lower[first_of_group]
        right += sums_by_group(users, np.where(higher, below + tied / 2, 0.0), len(right))
        pairs += sums_by_group(users, np.where(higher, in_group, 0.0), len(pairs))
    return np.divide(right, pairs, out=np.zeros_like(right), where=pairs > 0)
