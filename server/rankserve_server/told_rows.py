"""From what a request tells to the rows that are summed for it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rankserve_server.engine.engine import Rows
from rankserve_server.engine.newcomers import NO_ENTRIES, NO_ROW, Bag, NewUser
from rankserve_server.loaded_model import LoadedModel
from rankserve_server.newcomer_rows import NewcomerRows
from rankserve_server.told import Ids, Told, UserBasis
from rankserve_training.model.newcomers import Entries, Newcomers

_NO_PLACES = np.zeros(0, np.intp)


@dataclass(slots=True)
class ToldUser:
    """What a model makes of the user.

    Attributes:
        basis: what he is scored by.
        entries: those of his row; None where it is that of the table.
    """

    basis: UserBasis
    entries: Entries | None


@dataclass(slots=True)
class ToldItems:
    """The candidates that are unknown to the model, and described by the request.

    Attributes:
        ids: each once, in order of appearance.
        bags: the entries of each.
        places: intp[k], where they are among the candidates, ascending.
        numbers: int32[k], which of `ids` is there.
    """

    ids: list[int]
    bags: list[Bag]
    places: npt.NDArray[np.intp]
    numbers: Rows


def told_user(told: Told, model: LoadedModel, row: int) -> ToldUser:
    """The user as the model sees him.

    Args:
        told: checked.
        model: that answers.
        row: his in the table, 0 where he is unknown.
    """
    newcomers = model.newcomers
    rated = model.catalog.index.rows(told.history_ids)
    known = rated != 0
    has_history = bool(np.count_nonzero(known))
    has_features = not row and newcomers is not None and _has_features(told.user_features, newcomers)
    if newcomers is None or not (has_history or has_features):
        return ToldUser(UserBasis.KNOWN if row else UserBasis.AVERAGE, None)
    entries = newcomers.user(rated[known], told.history_ratings[known], told.user_features, row)
    return ToldUser(_basis(bool(row), has_history, has_features), entries)


def told_items(told: Told, model: LoadedModel, ids: Ids, rows: Rows) -> ToldItems | None:
    """The candidates that a request describes; None where there are none.

    Args:
        told: checked.
        model: that answers.
        ids: int64[n], the candidates.
        rows: int32[n], their rows in the table, 0 for the unknown ones.
    """
    if not told.new_items or model.newcomers is None:
        return None
    unknown = np.flatnonzero(rows == 0)
    numbers: dict[int, int] = {}
    found = [
        (place, id_)
        for place, id_ in zip(unknown.tolist(), ids[unknown].tolist(), strict=True)
        if id_ in told.new_items
    ]
    if not found:
        return None
    for _, id_ in found:
        numbers.setdefault(id_, len(numbers))
    described = [told.new_items[id_] for id_ in numbers]
    return ToldItems(
        list(numbers),
        [_bag(model.newcomers.item(item.genres, item.year)) for item in described],
        np.array([place for place, _ in found], np.intp),
        np.array([numbers[id_] for _, id_ in found], np.int32),
    )


def newcomer_rows(user: ToldUser, row: int, items: ToldItems | None) -> NewcomerRows | None:
    """The rows to be summed for a request; None where there are none.

    Args:
        user: what `told_user` made of him.
        row: his in the table, 0 where he is unknown.
        items: the candidates that the request describes; None where there are none.
    """
    if user.entries is None and items is None:
        return None
    new_user = NewUser(row, NO_ENTRIES) if user.entries is None else NewUser(row or NO_ROW, _bag(user.entries))
    return NewcomerRows(new_user, [], _NO_PLACES) if items is None else NewcomerRows(new_user, items.bags, items.places)


def _bag(entries: Entries) -> Bag:
    return Bag.of(entries.rows, entries.weights)


def _has_features(features: Mapping[str, str], newcomers: Newcomers) -> bool:
    """Whether one of the values was seen in training."""
    return bool(features) and any(
        feature.name in features and feature.place(features[feature.name]) is not None
        for feature in newcomers.encoding.user_features
    )


def _basis(is_known: bool, has_history: bool, has_features: bool) -> UserBasis:
    """For one who has a history or features."""
    if is_known:
        return UserBasis.KNOWN_AND_HISTORY
    if has_history and has_features:
        return UserBasis.HISTORY_AND_FEATURES
    return UserBasis.HISTORY if has_history else UserBasis.FEATURES
