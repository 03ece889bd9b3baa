"""How well a model recommends: the first ten of the whole catalogue, without what the user has already rated."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rankserve_training.evaluation.per_user import Float64s, Int32s, Int64s, ItemsByUser, PerUser
from rankserve_training.evaluation.reranking import discounts
from rankserve_training.evaluation.scorer import PreferenceScorer
from rankserve_training.rows import RatedPairs

TOP = 10
# Bounds the memory: preferences of users by items at once.
_CELLS = 1 << 22
# Of the order in which items of equal preference are shown.
_TIE_SEED = 20_011


@dataclass(frozen=True)
class Recommending:
    """Measures of the first ten recommendations, every value from 0 to 1, higher is better.

    An item is relevant where the user has rated it in the test rows, whatever the rating. Users with at least one
    relevant item count.

    Attributes:
        catalogue_ndcg_at_10: normalised discounted cumulative gain with gain 1 for a relevant item.
        recall_at_10: of the relevant items, the share that is recommended.
        precision_at_10: relevant items among the ten, divided by ten.
        coverage: of the catalogue, the share that is recommended to at least one of these users.
    """

    catalogue_ndcg_at_10: PerUser
    recall_at_10: PerUser
    precision_at_10: PerUser
    coverage: float


def evaluate_recommending(
    scorer: PreferenceScorer, train: RatedPairs, test: RatedPairs, user_count: int, item_count: int
) -> Recommending:
    """Recommends ten items to every user with test rows.

    The measures are those of Microsoft's `recommenders` benchmark, with every held-out item relevant. Scores users in
    blocks, so that memory does not grow with their number.

    Args:
        scorer: of preference.
        train: what the model was trained on; these items are not recommended again, nor are they relevant.
        test: held-out rows; those of user or item row 0 are not used.
        user_count: known users; rows are 1 to `user_count`.
        item_count: known items, 1 or more.

    Raises:
        ValueError: where a preference is NaN or the array has the wrong shape.
    """
    tested = np.unique(test.users[(test.users > 0) & (test.items > 0)])
    seen, held_out = ItemsByUser.of(train, user_count), ItemsByUser.of(test, user_count)
    users, hits, relevant_counts = [tested[:0]], [np.empty((0, TOP), bool)], [np.empty(0, np.int64)]
    recommended_to_anybody = np.zeros(item_count + 1, bool)
    for block in _blocks(tested, item_count):
        relevant = np.zeros((len(block), item_count + 1), bool)
        relevant[held_out.places_and_items(block)] = True
        relevant[seen.places_and_items(block)] = False
        relevant[:, 0] = False
        usable = relevant.any(axis=1)
        block, relevant = block[usable], relevant[usable]
        recommended = recommend(scorer, block, seen, item_count)
        recommended_to_anybody[recommended] = True
        users.append(block)
        hits.append(np.take_along_axis(relevant, recommended, axis=1))
        relevant_counts.append(relevant.sum(axis=1))
    return _measured(
        np.concatenate(users),
        np.concatenate(hits),
        np.concatenate(relevant_counts),
        coverage=float(recommended_to_anybody[1:].mean()),
    )


def recommend(scorer: PreferenceScorer, users: Int32s, seen: ItemsByUser, item_count: int) -> Int32s:
    """The ten items that each of some users prefers among those that he has not seen.

    Items of equal preference stand in an order drawn once at random, the same for every user and every model.

    Args:
        scorer: of preference.
        users: int32[b], rows; b times `item_count` numbers are held in memory.
        seen: what is left out.
        item_count: items in the catalogue, 1 or more.

    Returns:
        int32[b, 10], item rows, most preferred first; 0 past the last item that may be recommended.

    Raises:
        ValueError: where a preference is NaN or the array has the wrong shape.
    """
    preferences = scorer.prefer(users)
    if preferences.shape != (len(users), item_count):
        raise ValueError(f"Preferences should have the shape {(len(users), item_count)}, not {preferences.shape}.")
    if np.isnan(preferences).any():
        raise ValueError("Preferences should not be NaN.")
    shuffled = np.random.default_rng(_TIE_SEED).permutation(item_count)
    column_of_item = np.argsort(shuffled)
    preferences = preferences[:, shuffled]  # a copy, so that it can be written to
    places, items = seen.places_and_items(users)
    known = items > 0
    preferences[places[known], column_of_item[items[known] - 1]] = -np.inf
    columns, values = _largest(preferences, min(TOP, item_count))
    found = np.zeros((len(users), TOP), np.int32)
    found[:, : columns.shape[1]] = np.where(np.isneginf(values), 0, shuffled[columns] + 1)
    return found


def _blocks(users: Int32s, item_count: int) -> list[Int32s]:
    size = max(1, _CELLS // item_count)
    return [users[start : start + size] for start in range(0, len(users), size)]


def _largest(values: npt.NDArray[np.float32], k: int) -> tuple[Int64s, npt.NDArray[np.float32]]:
    """The columns and values of the k largest of each row, falling; of equal values the first columns."""
    kth = np.partition(values, -k, axis=1)[:, -k, np.newaxis]
    above, level = values > kth, values == kth
    room = k - above.sum(axis=1, keepdims=True)
    chosen = above | (level & (np.cumsum(level, axis=1) <= room))
    columns = np.nonzero(chosen)[1].reshape(len(values), k)
    found = np.take_along_axis(values, columns, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1), np.take_along_axis(found, order, axis=1)


def _measured(users: Int32s, hits: npt.NDArray[np.bool_], relevant_counts: Int64s, coverage: float) -> Recommending:
    ideal = np.cumsum(discounts(TOP))[np.minimum(relevant_counts, TOP) - 1]
    dcg: Float64s = hits @ discounts(TOP)
    return Recommending(
        catalogue_ndcg_at_10=PerUser(users, dcg / ideal),
        recall_at_10=PerUser(users, hits.sum(axis=1) / relevant_counts),
        precision_at_10=PerUser(users, hits.sum(axis=1) / TOP),
        coverage=coverage,
    )
