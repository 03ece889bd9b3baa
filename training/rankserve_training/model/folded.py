"""A ranking model reduced to what serving computes.

The first dense layer sees the user's vector beside the item's, so its product is the sum of two products of which each
depends on one of them only:

    [u, i] @ W + b  =  u @ W[:k] + (i @ W[k:] + b)

Each can be computed once for every row of its table. A pair then costs one addition of two rows instead of the first
dense layer: exact, except for float32 rounding. But a folded row is as wide as the layer, often several times as wide
as the embedding, so that a table too large for that stays as it is.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rankserve_training.model import embedding_mlp, two_tower
from rankserve_training.model.backend import keras

Float32s = npt.NDArray[np.float32]

# So many rows of a table are folded at a time; their float64 products take some 30 MB.
_BLOCK_ROWS = 16_384
# JAX uses an array that starts at a multiple of this as it is; any other one it copies.
_ALIGNMENT = 64


@dataclass(frozen=True)
class DenseLayer:
    """`x @ kernel + bias`: kernel float32[inputs, outputs], bias float32[outputs]."""

    kernel: Float32s
    bias: Float32s


@dataclass(frozen=True)
class TableHalf:
    """What one side, the user or the item, adds to the first layer's sums, by row: `layer(table[row])`.

    Attributes:
        table: float32[rows, k], row 0 for the unknown: the embeddings, or what `layer` has made of them.
        layer: this side's part of the first layer; None where it is folded into the table.
    """

    table: Float32s
    layer: DenseLayer | None

    @property
    def width(self) -> int:
        """How wide the first layer is."""
        return self.table.shape[1] if self.layer is None else len(self.layer.bias)

    @property
    def folded_bytes(self) -> int:
        """What the table takes once it is folded."""
        return len(self.table) * self.width * self.table.itemsize

    @property
    def growth(self) -> int:
        """The bytes that folding adds."""
        return self.folded_bytes - self.table.nbytes

    def folded(self) -> "TableHalf":
        """The same half with the layer folded into the table."""
        if self.layer is None:
            return self
        # Through float64, so that a sum is as near to its true value as float32 can be.
        kernel = self.layer.kernel.astype(np.float64)
        folded = _aligned_empty(len(self.table), self.width)
        for start in range(0, len(self.table), _BLOCK_ROWS):
            block = slice(start, start + _BLOCK_ROWS)
            folded[block] = self.table[block].astype(np.float64) @ kernel
            folded[block] += self.layer.bias
        return TableHalf(folded, None)


@dataclass(frozen=True)
class Towers:
    """Rows of the two sides whose product is a score: `sum(user[u] * item[i])`.

    Attributes:
        user: float32[users + 1, k], or as many rows as the model of newcomers has.
        item: float32[items + 1, k], likewise.
    """

    user: Float32s
    item: Float32s


@dataclass(frozen=True)
class FoldedModel:
    """`rating = offset + scale * output(relu(...hidden(relu(user_half(user) + item_half(item)))))`.

    Attributes:
        user_half: of users + 1 rows.
        item_half: of items + 1 rows; holds the first layer's bias.
        hidden: the dense layers after the first, each followed by ReLU.
        output: the last layer, one output, linear.
        scale: from label to rating.
        offset: the rating of label 0.
        rating_towers: their product is added to the rating; None where there is none.
        choice_towers: their product is the second output, by which a whole catalogue is ranked; None without one.
        bounds: the lowest and highest rating, to which the rating is clipped; None where it is not.
    """

    user_half: TableHalf
    item_half: TableHalf
    hidden: tuple[DenseLayer, ...]
    output: DenseLayer
    scale: float
    offset: float
    rating_towers: Towers | None = None
    choice_towers: Towers | None = None
    bounds: tuple[float, float] | None = None


def fold(model: keras.Model, architecture: str, max_table_bytes: float = math.inf) -> FoldedModel:
    """Folds a published model.

    Args:
        model: on the rating scale.
        architecture: what its manifest calls it.
        max_table_bytes: what folding may make both tables together take. Where that is too little, the one that grows
            more is not folded, or neither is; no limit keeps a model from being served.

    Raises:
        ValueError: where no folding is known for the architecture.
    """
    if architecture not in _UNFOLDED:
        raise ValueError(f"architecture {architecture!r} is none of those known here: {', '.join(sorted(_UNFOLDED))}")
    unfolded = _UNFOLDED[architecture](model)
    user_half, item_half = _folded_where_there_is_room(unfolded.user_half, unfolded.item_half, max_table_bytes)
    return replace(unfolded, user_half=user_half, item_half=item_half)


def _folded_where_there_is_room(
    user_half: TableHalf, item_half: TableHalf, max_table_bytes: float
) -> tuple[TableHalf, TableHalf]:
    """Folds the half that grows less, then the other one, as far as they fit."""
    halves = [user_half, item_half]
    room = max_table_bytes - sum(half.table.nbytes for half in halves)
    for place in sorted((0, 1), key=lambda place: halves[place].growth):
        growth = halves[place].growth
        if growth <= max(room, 0):  # where the sums are narrower than the embeddings, folding only saves memory
            halves[place] = halves[place].folded()
            room -= growth
    return halves[0], halves[1]


def _unfolded_embedding_mlp(model: keras.Model) -> FoldedModel:
    numbers = range(1, 1 + sum(layer.name.startswith("hidden_") for layer in model.layers))
    first, *rest = [DenseLayer(*model.get_layer(f"hidden_{number}").get_weights()) for number in numbers]
    users, items = _embeddings(model, "user_embedding"), _embeddings(model, "item_embedding")
    width = users.shape[1]
    if len(first.kernel) != width + items.shape[1]:
        raise ValueError(
            f"hidden_1 has {len(first.kernel)} inputs, the embeddings {width} and {items.shape[1]} columns"
        )
    rescaling = model.get_layer("rating")
    return FoldedModel(
        user_half=TableHalf(users, DenseLayer(first.kernel[:width], np.zeros_like(first.bias))),
        item_half=TableHalf(items, DenseLayer(first.kernel[width:], first.bias)),
        hidden=tuple(rest),
        output=DenseLayer(*model.get_layer("label").get_weights()),
        scale=float(rescaling.scale),
        offset=float(rescaling.offset),
    )


def folded_two_tower(model: keras.Model) -> FoldedModel:
    """What serving needs of one of the two models of an artifact of two towers: there is nothing left to fold.

    Args:
        model: of known pairs, or of newcomers; the tables of the latter hold what its rows are summed of.
    """
    users, items, head = two_tower.rows_of(model, "user"), two_tower.rows_of(model, "item"), two_tower.head_of(model)
    return FoldedModel(
        user_half=TableHalf(users.hidden, None),
        item_half=TableHalf(items.hidden, None),
        hidden=(),
        output=DenseLayer(head.kernel[:, np.newaxis], np.zeros(1, np.float32)),
        scale=1.0,
        offset=0.0,
        rating_towers=Towers(users.embedding, items.embedding),
        choice_towers=Towers(users.choice, items.choice),
        bounds=(head.minimum, head.maximum),
    )


def _embeddings(model: keras.Model, name: str) -> Float32s:
    """A table in the memory where Keras holds it; `get_weights` would copy it."""
    (variable,) = model.get_layer(name).weights
    return np.asarray(variable.value, np.float32)


def _aligned_empty(rows: int, width: int) -> Float32s:
    size = rows * width * np.dtype(np.float32).itemsize
    memory = np.empty(size + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + size].view(np.float32).reshape(rows, width)


_UNFOLDED: dict[str, Callable[[keras.Model], FoldedModel]] = {
    embedding_mlp.ARCHITECTURE: _unfolded_embedding_mlp,
    two_tower.ARCHITECTURE: folded_two_tower,
}
