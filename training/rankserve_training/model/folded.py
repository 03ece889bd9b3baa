"""A ranking model reduced to what serving computes.

The first dense layer sees the user's vector beside the item's, so its product is the sum of two products of which each
depends on one of them only:

    [u, i] @ W + b  =  u @ W[:k] + (i @ W[k:] + b)

Both are computed once for every row of the tables. A pair then costs one addition of two rows instead of the first
dense layer: exact, except for float32 rounding.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rankserve_training.model import embedding_mlp
from rankserve_training.model.backend import keras

Float32s = npt.NDArray[np.float32]


@dataclass(frozen=True)
class DenseLayer:
    """`x @ kernel + bias`: kernel float32[inputs, outputs], bias float32[outputs]."""

    kernel: Float32s
    bias: Float32s


@dataclass(frozen=True)
class FoldedModel:
    """`rating = offset + scale * output(relu(...hidden(relu(user_half[user] + item_half[item]))))`.

    Attributes:
        user_half: float32[users + 1, width], row 0 for unknown users.
        item_half: float32[items + 1, width], row 0 for unknown items; holds the first layer's bias.
        hidden: the dense layers after the first, each followed by ReLU.
        output: the last layer, one output, linear.
        scale: from label to rating.
        offset: the rating of label 0.
    """

    user_half: Float32s
    item_half: Float32s
    hidden: tuple[DenseLayer, ...]
    output: DenseLayer
    scale: float
    offset: float


def fold(model: keras.Model, architecture: str) -> FoldedModel:
    """Folds a published model.

    Args:
        model: on the rating scale.
        architecture: what its manifest calls it.

    Raises:
        ValueError: where no folding is known for the architecture.
    """
    if architecture not in _FOLDS:
        raise ValueError(f"architecture {architecture!r} is none of those known here: {', '.join(sorted(_FOLDS))}")
    return _FOLDS[architecture](model)


def _fold_embedding_mlp(model: keras.Model) -> FoldedModel:
    (users,) = model.get_layer("user_embedding").get_weights()
    (items,) = model.get_layer("item_embedding").get_weights()
    numbers = range(1, 1 + sum(layer.name.startswith("hidden_") for layer in model.layers))
    first, *rest = [DenseLayer(*model.get_layer(f"hidden_{number}").get_weights()) for number in numbers]
    width = users.shape[1]
    rescaling = model.get_layer("rating")
    return FoldedModel(
        user_half=_product(users, first.kernel[:width]),
        item_half=_product(items, first.kernel[width:]) + first.bias,
        hidden=tuple(rest),
        output=DenseLayer(*model.get_layer("label").get_weights()),
        scale=float(rescaling.scale),
        offset=float(rescaling.offset),
    )


def _product(table: Float32s, kernel: Float32s) -> Float32s:
    # Through float64, so that a half is as near to its true value as float32 can be.
    return (table.astype(np.float64) @ kernel.astype(np.float64)).astype(np.float32)


_FOLDS: dict[str, Callable[[keras.Model], FoldedModel]] = {embedding_mlp.ARCHITECTURE: _fold_embedding_mlp}
