"""From trained towers to the rows that are published.

Everything that makes up a row is a sum, so that each part of it can be taken through the first layer by itself: the
rows of known users and of strangers are sums of the same entries.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rankserve_training.model.newcomers import FIRST_ITEM_ROW, MEAN_ROW, Encoding, Newcomers
from rankserve_training.model.two_tower import RatingHead, TowerRows
from rankserve_training.rows import PairsByUser
from rankserve_training.towers.features import Bags
from rankserve_training.towers.offsets import Offsets
from rankserve_training.towers.tables import ChoiceTables, RatingTables

Float32s = npt.NDArray[np.float32]

# Bounds the memory: so many ratings, each with a row of all columns, at once.
_BLOCK_RATINGS = 16_384


@dataclass(frozen=True)
class ExportedTowers:
    """What is published.

    Attributes:
        users: rows of the known users, and of the unknown one.
        items: likewise.
        user_bag: what strangers' rows are made of, numbered as in `model.newcomers`.
        item_bag: likewise.
        head: how two rows become a rating.
        newcomers: how strangers are described.
    """

    users: TowerRows
    items: TowerRows
    user_bag: TowerRows
    item_bag: TowerRows
    head: RatingHead
    newcomers: Newcomers


@dataclass(frozen=True)
class _Side:
    """What both kinds of towers know of some entities, before the first layer: float32[rows, ...] each."""

    vectors: Float32s
    offsets: Float32s
    always: Float32s
    choice: Float32s

    @staticmethod
    def joined(sides: "list[_Side]") -> "_Side":
        columns = zip(*map(_columns, sides), strict=True)
        return _Side(*(np.concatenate(parts) for parts in columns))


def export_towers(
    rating: RatingTables,
    choice: ChoiceTables,
    train: PairsByUser,
    offsets: Offsets,
    user_bags: Bags,
    item_bags: Bags,
    encoding: Encoding,
    scale: tuple[float, float],
) -> ExportedTowers:
    """Makes the rows.

    Args:
        rating: what the towers of the first output have learnt.
        choice: what those of the second one have.
        train: the ratings that known users' rows are made of.
        offsets: of the same ratings.
        user_bags: features of users.
        item_bags: features of items.
        encoding: how features are numbered.
        scale: the lowest and highest rating.
    """
    newcomers = Newcomers(encoding, offsets.item_offsets, offsets.user_means, offsets.user_counts)
    user_bag = _user_bag(rating, choice, has_features=bool(encoding.user_features))
    users = _known_users(user_bag, (rating.user_id, rating.user_offset), train, offsets, user_bags)
    items, item_bag = _items(rating, choice, offsets, item_bags, has_features=bool(encoding.item_features))
    members = rating.output_kernel.shape[0]
    return ExportedTowers(
        users=_rows(users, rating.user_kernel, None),
        items=_rows(items, rating.item_kernel, rating.hidden_bias, of_items=True),
        user_bag=_rows(user_bag, rating.user_kernel, None),
        item_bag=_rows(item_bag, rating.item_kernel, rating.hidden_bias, of_items=True),
        head=RatingHead((rating.output_kernel / members).reshape(-1).astype(np.float32), *scale),
        newcomers=newcomers,
    )


def _user_bag(rating: RatingTables, choice: ChoiceTables, has_features: bool) -> _Side:
    """In the order of `model.newcomers`."""
    always, chosen = rating.user_always, choice.chosen
    sides = [
        _side(always, choice=choice.user_always, always=1.0),
        _side(np.zeros_like(always), np.full((1, 1), rating.mean_scale), choice.user_always.shape[1]),
        _side(rating.rated_how[1:], choice=chosen.shape[1]),
        _side(rating.rated_at_all[1:], choice=chosen[1:]),
    ]
    if has_features:
        sides.append(_side(rating.user_features, rating.user_feature_offsets, choice.user_features))
    return _Side.joined(sides)


def _known_users(
    bag: _Side, ids: tuple[Float32s, Float32s], train: PairsByUser, offsets: Offsets, features: Bags
) -> _Side:
    """The entries of every user summed, and what is known of his id; row 0 is the average of those with ratings."""
    count = len(offsets.user_counts)
    columns = _joined(bag)
    rows = np.zeros((count, columns.shape[1]), np.float32)
    rows += columns[0]
    rows += offsets.user_means[:, np.newaxis] * columns[MEAN_ROW]
    _add_histories(rows, columns, train, offsets)
    first = FIRST_ITEM_ROW + 2 * (len(offsets.item_offsets) - 1)
    if len(columns) > first:
        for place in range(features.rows.shape[1]):
            rows += features.weights[:, place : place + 1] * columns[first + features.rows[:, place]]
    users = _split(rows, bag)
    vectors, own_offsets = users.vectors, users.offsets
    trained = offsets.user_counts > 0
    for column, of_ids in zip((vectors, own_offsets), ids, strict=True):
        np.add(column, of_ids, out=column, where=trained[:, np.newaxis])
        # Whoever nothing is known of is the average user. What strangers' entries are added to was trained to have
        # some.
        column[0] = column[trained].mean(axis=0, dtype=np.float64)
    return users


def _add_histories(rows: Float32s, columns: Float32s, train: PairsByUser, offsets: Offsets) -> None:
    """Adds what each user has rated, a block of users at a time; in place."""
    starts = train.starts
    item_count = len(offsets.item_offsets) - 1
    scale = np.maximum(offsets.user_counts, 1).astype(np.float32) ** np.float32(-0.5)
    first = 0
    while first < len(rows):
        past = int(np.searchsorted(starts, starts[first] + _BLOCK_RATINGS, side="right")) - 1
        past = min(max(past, first + 1), len(rows))
        pairs = train.pairs.take(train.places[starts[first] : starts[past]])
        how = (offsets.residuals(pairs) - offsets.user_means[pairs.users]) * scale[pairs.users]
        rated = FIRST_ITEM_ROW - 1 + pairs.items
        values = columns[rated] * how[:, np.newaxis]
        values += columns[rated + item_count] * scale[pairs.users, np.newaxis]
        known = first + np.flatnonzero(np.diff(starts[first : past + 1]))
        if len(known):
            rows[known] += np.add.reduceat(values, starts[known] - starts[first])
        first = past


def _items(
    rating: RatingTables, choice: ChoiceTables, offsets: Offsets, features: Bags, has_features: bool
) -> tuple[_Side, _Side]:
    """The known items, and what new ones are made of."""
    mean = np.float32(offsets.mean)
    popularity = choice.popularity
    # Of an item that nobody has chosen yet, no more is known than of one that hardly anybody has.
    unpopular = popularity[1:].min(keepdims=True)
    width = choice.item_id.shape[1]
    stranger = _side(
        rating.item_always,
        mean + rating.item_always_offset,
        np.concatenate([np.zeros((1, width), np.float32), unpopular], axis=1),
        always=1.0,
    )
    tables = (
        rating.item_features,
        rating.item_feature_offsets,
        np.pad(choice.item_features, ((0, 0), (0, 1))),
    )
    bag = _Side.joined([stranger, _side(*tables)]) if has_features else stranger
    vectors = rating.item_always + rating.item_id
    if rating.item_raters is not None:
        vectors += rating.item_raters
    own = mean + offsets.item_offsets[:, np.newaxis] + rating.item_offset
    chosen = np.concatenate([choice.item_id, popularity], axis=1)
    # Of an item without ratings the id says nothing: it is one that is known by its features only.
    untrained = np.flatnonzero(offsets.item_counts == 0)
    for column, unknown in zip(
        (vectors, own, chosen), (stranger.vectors, stranger.offsets, stranger.choice), strict=True
    ):
        column[untrained] = unknown[0]
    sums = [np.zeros((len(vectors), table.shape[1]), np.float32) for table in tables]
    for total, table in zip(sums, tables, strict=True):
        for place in range(features.rows.shape[1]):
            total += features.weights[:, place : place + 1] * table[features.rows[:, place]]
    known = _side(vectors + sums[0], own + sums[1], chosen + sums[2], always=1.0)
    for column, unknown in zip(_columns(known), _columns(stranger), strict=True):
        column[0] = unknown[0]
    return known, bag


def _rows(side: _Side, kernel: Float32s, bias: Float32s | None, of_items: bool = False) -> TowerRows:
    """Takes what is known through the first layer, and lays it out so that two rows are multiplied.

    Users have [vectors | offset | 1], items [vectors / members | 1 | offset]; `always` is the 1. The same for choices:
    users have [choice | 1], items [choice | popularity].
    """
    count, (members, width, hidden) = len(side.vectors), kernel.shape
    by_member = side.vectors.reshape(count, members, width)
    sums = np.einsum("nmk,mkh->nmh", by_member, kernel).reshape(count, members * hidden)
    if bias is not None:
        sums += side.always * bias.reshape(1, -1)
    if of_items:
        return TowerRows(
            np.concatenate([side.vectors / members, side.always, side.offsets], axis=1).astype(np.float32),
            sums.astype(np.float32),
            side.choice,
        )
    return TowerRows(
        np.concatenate([side.vectors, side.offsets, side.always], axis=1).astype(np.float32),
        sums.astype(np.float32),
        np.concatenate([side.choice, side.always], axis=1).astype(np.float32),
    )


def _side(vectors: Float32s, offsets: Any = 0.0, choice: Any = 0, always: float = 0.0) -> _Side:
    """A whole number for `choice` is a width of zeros."""
    count = len(vectors)
    if isinstance(choice, int):
        choice = np.zeros((count, choice), np.float32)
    column = np.zeros((count, 1), np.float32)
    return _Side(
        np.array(vectors, np.float32),
        (column + offsets).astype(np.float32),
        column + np.float32(always),
        np.array(choice, np.float32),
    )


def _columns(side: _Side) -> tuple[Float32s, Float32s, Float32s, Float32s]:
    return side.vectors, side.offsets, side.always, side.choice


def _joined(side: _Side) -> Float32s:
    return np.concatenate(_columns(side), axis=1)


def _split(rows: Float32s, like: _Side) -> _Side:
    edges = np.cumsum([column.shape[1] for column in _columns(like)])[:-1]
    return _Side(*np.split(rows, edges, axis=1))
