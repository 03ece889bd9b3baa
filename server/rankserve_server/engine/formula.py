"""How a user's row and an item's become scores, written in JAX."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rankserve_server.engine.jax_setup import jax
from rankserve_server.engine.tables import Floats, Side, Weights
from rankserve_training.model.folded import DenseLayer, FoldedModel


def user_side(model: FoldedModel) -> Side:
    """The tables of the users."""
    rating, choice = model.rating_towers, model.choice_towers
    return Side(model.user_half.table, rating and rating.user, choice and choice.user)


def item_side(model: FoldedModel) -> Side:
    """The tables of the items."""
    rating, choice = model.rating_towers, model.choice_towers
    return Side(model.item_half.table, rating and rating.item, choice and choice.item)


def weights_of(model: FoldedModel) -> Weights:
    """The layers of a model."""
    layers = [_pair(layer) for layer in (*model.hidden, model.output)]
    return Weights(_pair(model.user_half.layer), _pair(model.item_half.layer), layers)


@dataclass(frozen=True)
class Formula:
    """From first sums and towers to scores; see `FoldedModel`."""

    scale: float
    offset: float
    bounds: tuple[float, float] | None

    @staticmethod
    def of(model: FoldedModel) -> "Formula":
        """That of a model."""
        return Formula(model.scale, model.offset, model.bounds)

    def scores(self, users: Side, items: Side, weights: Weights) -> Any:
        """Scores of n pairs.

        Args:
            users: n rows, or one for all; `first` holds first sums.
            items: n rows likewise.
            weights: of the model.

        Returns:
            Ratings float32[n]; where the model has choices float32[2, n], the second of them the choices.
        """
        rating = self._rating(users.first + items.first, weights.layers)
        if users.rating is not None:
            rating += _products(users.rating, items.rating)
        if self.bounds is not None:
            rating = jax.numpy.clip(rating, *self.bounds)
        if users.choice is None:
            return rating
        return jax.numpy.stack([rating, _products(users.choice, items.choice)])

    def _rating(self, first: Any, layers: Any) -> Any:
        """From the sums of the halves, float32[n, width], through the layers after the first."""
        *hidden, (output_kernel, output_bias) = layers
        activation = jax.nn.relu(first)
        for kernel, bias in hidden:
            activation = jax.nn.relu(activation @ kernel + bias)
        return self.offset + self.scale * (activation @ output_kernel + output_bias)[:, 0]


def by_blocks(score_block: Callable[..., Any], *blocks: Any) -> Any:
    """The scores of all blocks, one after the other: `blocks` are arrays whose first axis is that of the blocks."""
    if len(blocks[0]) == 1:
        return score_block(*(block[0] for block in blocks))
    scores = jax.lax.map(lambda block: score_block(*block), blocks)
    return jax.numpy.moveaxis(scores, 0, -2).reshape(*scores.shape[1:-1], -1)


def first_sums(rows: Any, layer: Any) -> Any:
    """What rows of a table add to the first layer's sums: themselves, where the layer is folded into the table."""
    if layer is None:
        return rows
    kernel, bias = layer
    return rows @ kernel + bias


def first_sums_of_one(row: Any, layer: Any, batch: int) -> Any:
    """The same for one row, multiplied in a batch of itself: alone it would get other last bits."""
    return row if layer is None else first_sums(jax.numpy.tile(row, (batch, 1)), layer)[0]


def _products(users: Any, items: Any) -> Any:
    """Row by row, float32[n]. XLA does not vectorise the sum of a row; its product with ones it does."""
    products = users * items
    return (products @ np.ones((products.shape[1], 1), np.float32))[:, 0]


def _pair(layer: DenseLayer | None) -> tuple[Floats, Floats] | None:
    return None if layer is None else (layer.kernel, layer.bias)
