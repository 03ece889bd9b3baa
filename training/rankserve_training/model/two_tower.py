"""A model of two towers as it is published: a row of numbers for each user and each item, and how two rows score.

    rating = bounded(dot(user, item) + output(relu(user_hidden + item_hidden)))
    choice = dot(user_choice, item_choice)

Biases and the mean rating are columns of the rows that are multiplied. Whatever the towers were in training, a row is
what is left of them, so that a pair costs the same however much is known of its user and its item.

There are two such models in an artifact. The first has the rows of all known users and items. The second one makes
rows for strangers, each as a weighted sum of what is known of them: the entries of a bag.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rankserve_training.model.backend import keras
from rankserve_training.model.newcomers import Entries

if TYPE_CHECKING:
    from collections.abc import Sequence

Float32s = npt.NDArray[np.float32]

ARCHITECTURE = "two_tower"
# The layers of a side that hold its numbers, by the columns that they are.
PARTS = ("embedding", "hidden", "choice")


@dataclass(frozen=True)
class TowerRows:
    """The numbers of one side, user or item, by row.

    Attributes:
        embedding: float32[rows, d], multiplied with those of the other side.
        hidden: float32[rows, h], added to those of the other side.
        choice: float32[rows, c], multiplied with those of the other side.
    """

    embedding: Float32s
    hidden: Float32s
    choice: Float32s

    def take(self, rows: npt.NDArray[np.int32]) -> "TowerRows":
        """These rows."""
        return TowerRows(self.embedding[rows], self.hidden[rows], self.choice[rows])

    def summed(self, entries: Entries) -> "TowerRows":
        """The one row that entries of these rows add up to."""
        chosen = self.take(entries.rows)
        weights = entries.weights.astype(np.float64)
        return TowerRows(*((weights @ getattr(chosen, part)).astype(np.float32)[np.newaxis] for part in PARTS))

    @staticmethod
    def joined(several: "Sequence[TowerRows]") -> "TowerRows":
        """The rows of several, one behind the other."""
        return TowerRows(*(np.concatenate([getattr(rows, part) for rows in several]) for part in PARTS))


@dataclass(frozen=True)
class RatingHead:
    """How two rows become a rating.

    Attributes:
        kernel: float32[h], the weights of the hidden numbers that are positive.
        minimum: the lowest rating.
        maximum: the highest one.
    """

    kernel: Float32s
    minimum: float
    maximum: float


def known_pairs_model(users: TowerRows, items: TowerRows, head: RatingHead) -> keras.Model:
    """The model of known users and items.

    Args:
        users: of users + 1 rows, row 0 for the unknown.
        items: likewise.
        head: of the rating.

    Returns:
        Inputs `user` and `item`, int32[n]; outputs `rating` (on the rating scale) and `choice`, float32[n, 1] each.
    """
    inputs: dict[str, Any] = {side: keras.Input((), dtype="int32", name=side) for side in ("user", "item")}
    user, item = [
        {part: _table(f"{side}_{part}", getattr(rows, part))(inputs[side]) for part in PARTS}
        for side, rows in (("user", users), ("item", items))
    ]
    return _model(inputs, user, item, head)


def newcomers_model(users: TowerRows, items: TowerRows, head: RatingHead) -> keras.Model:
    """The model of users and items that are described by entries, each a row of a table and its weight.

    Args:
        users: the rows that are summed to those of users.
        items: likewise.
        head: of the rating.

    Returns:
        Inputs `user_entries` and `item_entries`, int32[n, k], and `user_weights` and `item_weights`, float32[n, k];
        k may differ between users and items, and an entry of weight 0 does not count. Outputs as those of
        `known_pairs_model`.
    """
    inputs: dict[str, Any] = {}
    sides = []
    for side, rows in (("user", users), ("item", items)):
        entries = inputs[f"{side}_entries"] = keras.Input((None,), dtype="int32", name=f"{side}_entries")
        weights = inputs[f"{side}_weights"] = keras.Input((None,), dtype="float32", name=f"{side}_weights")
        sides.append({part: _bag(f"{side}_{part}", getattr(rows, part), entries, weights) for part in PARTS})
    user, item = sides
    return _model(inputs, user, item, head)


def rows_of(model: keras.Model, side: str) -> TowerRows:
    """The numbers of a side, in the memory where Keras holds them.

    Args:
        model: one of the two.
        side: `user` or `item`.
    """
    return TowerRows(*(_values(model.get_layer(f"{side}_{part}")) for part in PARTS))


def head_of(model: keras.Model) -> RatingHead:
    """How a model makes ratings of rows."""
    minimum = float(model.get_layer("rating").offset)
    span = float(model.get_layer("bounds").max_value)
    return RatingHead(_values(model.get_layer("output"))[:, 0], minimum, minimum + span)


def _model(inputs: dict[str, Any], user: dict[str, Any], item: dict[str, Any], head: RatingHead) -> keras.Model:
    layers = keras.layers
    hidden = layers.Activation("relu", name="relu")(layers.Add(name="sums")([user["hidden"], item["hidden"]]))
    output = layers.Dense(1, use_bias=False, kernel_initializer="zeros", name="output")
    dot = layers.Dot(axes=1, name="dot")([user["embedding"], item["embedding"]])
    score = layers.Add(name="score")([dot, output(hidden)])
    above = layers.Rescaling(1.0, offset=-head.minimum, name="above_minimum")(score)
    bounded = layers.ReLU(max_value=head.maximum - head.minimum, name="bounds")(above)
    rating = layers.Rescaling(1.0, offset=head.minimum, name="rating")(bounded)
    choice = layers.Dot(axes=1, name="choice")([user["choice"], item["choice"]])
    output.set_weights([head.kernel.reshape(-1, 1)])
    return keras.Model(inputs, {"rating": rating, "choice": choice}, name=ARCHITECTURE)


def _table(name: str, rows: Float32s) -> keras.layers.Layer:
    table = keras.layers.Embedding(*rows.shape, embeddings_initializer="zeros", name=name)
    table.build()
    table.set_weights([rows])
    return table


def _bag(name: str, rows: Float32s, entries: Any, weights: Any) -> Any:
    return keras.layers.Dot(axes=1, name=f"{name}_sum")([weights, _table(name, rows)(entries)])


def _values(layer: keras.layers.Layer) -> Float32s:
    (variable,) = layer.weights
    return np.asarray(variable.value, np.float32)
