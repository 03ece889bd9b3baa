"""What towers have learnt, as arrays: all that is needed of them when they have been trained."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rankserve_training.towers.choice_towers import ChoiceTowers
from rankserve_training.towers.features import Bags
from rankserve_training.towers.placement import whole
from rankserve_training.towers.rating_towers import RatingTowers

Float32s = npt.NDArray[np.float32]


@dataclass(frozen=True)
class RatingTables:
    """What the rating towers have learnt: of m members with vectors of width w, d = m * w columns.

    Offsets are the means over members.

    Attributes:
        user_always: float32[1, d].
        mean_scale: how much the mean of a user's ratings counts.
        rated_how: float32[items + 1, d].
        rated_at_all: float32[items + 1, d].
        user_features: float32[rows, d].
        user_feature_offsets: float32[rows, 1].
        user_id: float32[users + 1, d].
        user_offset: float32[users + 1, 1].
        item_always: float32[1, d].
        item_always_offset: float32[1, 1].
        item_features: float32[rows, d].
        item_feature_offsets: float32[rows, 1].
        item_id: float32[items + 1, d].
        item_raters: float32[items + 1, d], what an item's raters say of it; None where they do not count.
        item_offset: float32[items + 1, 1].
        user_kernel: float32[m, w, h].
        item_kernel: float32[m, w, h].
        hidden_bias: float32[m, h].
        output_kernel: float32[m, h].
    """

    user_always: Float32s
    mean_scale: float
    rated_how: Float32s
    rated_at_all: Float32s
    user_features: Float32s
    user_feature_offsets: Float32s
    user_id: Float32s
    user_offset: Float32s
    item_always: Float32s
    item_always_offset: Float32s
    item_features: Float32s
    item_feature_offsets: Float32s
    item_id: Float32s
    item_raters: Float32s | None
    item_offset: Float32s
    user_kernel: Float32s
    item_kernel: Float32s
    hidden_bias: Float32s
    output_kernel: Float32s

    @staticmethod
    def of(towers: RatingTowers) -> "RatingTables":
        """Those of trained towers."""
        users, items = towers.user_count + 1, towers.item_count + 1
        return RatingTables(
            user_always=_values(towers.user_always),
            mean_scale=float(np.mean(_value(towers.mean_scale))),
            rated_how=_values(towers.rated_how, items),
            rated_at_all=_values(towers.rated_at_all, items),
            user_features=_value(towers.user_features.table),
            user_feature_offsets=_average(_value(towers.user_feature_offsets.table)),
            user_id=_values(towers.user_id, users),
            user_offset=_average(_values(towers.user_offset, users)),
            item_always=_values(towers.item_always),
            item_always_offset=_average(_values(towers.item_always_offset)),
            item_features=_value(towers.item_features.table),
            item_feature_offsets=_average(_value(towers.item_feature_offsets.table)),
            item_id=_values(towers.item_id, items),
            item_raters=None if towers.raters is None else towers.raters.of_all_items(),
            item_offset=_average(_values(towers.item_offset, items)),
            user_kernel=_value(towers.user_kernel),
            item_kernel=_value(towers.item_kernel),
            hidden_bias=_value(towers.hidden_bias),
            output_kernel=_value(towers.output_kernel),
        )

    @staticmethod
    def nothing(user_bags: Bags, item_count: int, item_bags: Bags) -> "RatingTables":
        """For choice towers by themselves: vectors without columns."""
        user_count = len(user_bags.rows) - 1

        def table(rows: int, columns: int = 0) -> Float32s:
            return np.zeros((rows, columns), np.float32)

        kernel = np.zeros((1, 0, 0), np.float32)
        return RatingTables(
            user_always=table(1),
            mean_scale=0.0,
            rated_how=table(item_count + 1),
            rated_at_all=table(item_count + 1),
            user_features=table(user_bags.count),
            user_feature_offsets=table(user_bags.count, 1),
            user_id=table(user_count + 1),
            user_offset=table(user_count + 1, 1),
            item_always=table(1),
            item_always_offset=table(1, 1),
            item_features=table(item_bags.count),
            item_feature_offsets=table(item_bags.count, 1),
            item_id=table(item_count + 1),
            item_raters=None,
            item_offset=table(item_count + 1, 1),
            user_kernel=kernel,
            item_kernel=kernel,
            hidden_bias=table(1),
            output_kernel=table(1),
        )


@dataclass(frozen=True)
class ChoiceTables:
    """What the choice towers have learnt, c columns wide.

    Attributes:
        user_always: float32[1, c].
        chosen: float32[items + 1, c].
        user_features: float32[rows, c].
        item_id: float32[items + 1, c].
        item_features: float32[rows, c].
        popularity: float32[items + 1, 1].
    """

    user_always: Float32s
    chosen: Float32s
    user_features: Float32s
    item_id: Float32s
    item_features: Float32s
    popularity: Float32s

    @staticmethod
    def of(towers: ChoiceTowers) -> "ChoiceTables":
        """Those of trained towers."""
        items = towers.popularity.shape[0]
        return ChoiceTables(
            _values(towers.user_always),
            _values(towers.chosen, items),
            _value(towers.user_features.table),
            _values(towers.item_id, items),
            _value(towers.item_features.table),
            _value(towers.popularity)[:, np.newaxis],
        )

    @staticmethod
    def nothing(item_count: int, user_bags: Bags, item_bags: Bags) -> "ChoiceTables":
        """For rating towers by themselves."""
        rows = (1, item_count + 1, user_bags.count, item_count + 1, item_bags.count)
        always, chosen, of_users, of_ids, of_items = [np.zeros((count, 0), np.float32) for count in rows]
        return ChoiceTables(always, chosen, of_users, of_ids, of_items, np.zeros((item_count + 1, 1), np.float32))


def _values(layer: Any, rows: int | None = None) -> Float32s:
    """The first rows of a table: a sharded one may have some more."""
    return whole(layer.weights[0].value)[:rows]


def _value(variable: Any) -> Float32s:
    return whole(variable.value)


def _average(columns: Float32s) -> Float32s:
    average: Float32s = columns.mean(axis=1, keepdims=True)
    return average
