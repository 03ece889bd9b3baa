"""Looking at exported rows without a Keras model: quick enough to do it after every epoch."""

import numpy as np
import numpy.typing as npt

from rankserve_training.model.two_tower import TowerRows
from rankserve_training.rows import PairsByUser, RatedPairs
from rankserve_training.towers.export import ExportedTowers

Float32s = npt.NDArray[np.float32]
_BLOCK_PAIRS = 65_536
_MOST_USERS = 2_000
# Bounds the memory: preferences of users by items at once.
_CELLS = 1 << 22
_TOP = 10


def exported_ratings(exported: ExportedTowers, pairs: RatedPairs) -> Float32s:
    """Predicted ratings of n pairs, float32[n]."""
    predicted = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), _BLOCK_PAIRS):
        block = slice(start, start + _BLOCK_PAIRS)
        predicted[block] = pair_ratings(exported, exported.users, pairs.users[block], pairs.items[block])
    return predicted


def pair_ratings(
    exported: ExportedTowers, users: TowerRows, user_rows: npt.NDArray[np.int32], item_rows: npt.NDArray[np.int32]
) -> Float32s:
    """The same for rows of any users: the formula of `model.two_tower`."""
    items, head = exported.items, exported.head
    product = np.einsum("nk,nk->n", users.embedding[user_rows], items.embedding[item_rows])
    hidden = np.maximum(users.hidden[user_rows] + items.hidden[item_rows], 0)
    ratings: Float32s = np.clip(product + hidden @ head.kernel, head.minimum, head.maximum)
    return ratings


def choice_ndcg(exported: ExportedTowers, train: PairsByUser, held_out: PairsByUser) -> float:
    """nDCG@10 of the whole catalogue without what was trained on, over (at most 2,000) users with rows held out."""
    users = np.flatnonzero(np.diff(held_out.starts))[:_MOST_USERS]
    size = max(1, _CELLS // len(exported.items.choice))
    shares = [
        _choice_ndcgs(exported, users[start : start + size], train, held_out) for start in range(0, len(users), size)
    ]
    return float(np.mean(np.concatenate(shares)))


def _choice_ndcgs(
    exported: ExportedTowers, users: npt.NDArray[np.int64], train: PairsByUser, held_out: PairsByUser
) -> npt.NDArray[np.float64]:
    """The measure for each of some users."""
    scores = exported.users.choice[users] @ exported.items.choice[1:].T
    relevant = np.zeros(scores.shape, bool)
    for place, user in enumerate(users.tolist()):
        scores[place, train.items_of(user) - 1] = -np.inf
        relevant[place, held_out.items_of(user) - 1] = True
    top = np.argsort(-scores, axis=1, kind="stable")[:, :_TOP]
    weights = 1 / np.log2(np.arange(2, _TOP + 2))
    gains: npt.NDArray[np.float64] = np.take_along_axis(relevant, top, axis=1) @ weights
    ideal: npt.NDArray[np.float64] = np.cumsum(weights)[np.minimum(relevant.sum(axis=1), _TOP) - 1]
    return gains / ideal
