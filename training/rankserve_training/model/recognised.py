"""Telling a model of the tutorial's form, however its layers are called, so that it is served as fast as that.

The layers say what it could be; whether it is, is told by its scores.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rankserve_training.model.backend import keras
from rankserve_training.model.embedding_mlp import build_embedding_mlp, on_rating_scale
from rankserve_training.model.embedding_mlp_config import EmbeddingMlpConfig
from rankserve_training.model.generic import leaves
from rankserve_training.model.predicting import predict_ratings

_PAIRS = 512
# Relative to the largest score: that of float32 with room for sums in another order.
_TOLERANCE = 1e-5
# They change shapes, or nothing.
_PASSED_OVER = (keras.layers.InputLayer, keras.layers.Flatten, keras.layers.Reshape, keras.layers.Identity)


@dataclass(frozen=True)
class _Parts:
    embeddings: list[npt.NDArray[np.float32]]
    dense: list[keras.layers.Dense]
    scale: float
    offset: float


def as_embedding_mlp(model: keras.Model, user_count: int, item_count: int) -> keras.Model | None:
    """The same model as `embedding_mlp` builds it, on the rating scale; None where it has another form.

    Args:
        model: a ranking model.
        user_count: known users.
        item_count: known items.
    """
    parts = _parts(model)
    if parts is None:
        return None
    random = np.random.default_rng(0)
    users = random.integers(0, user_count + 1, _PAIRS, dtype=np.int32)
    items = random.integers(0, item_count + 1, _PAIRS, dtype=np.int32)
    expected = predict_ratings(model, users, items)
    for user_table, item_table in (parts.embeddings, parts.embeddings[::-1]):
        if (len(user_table), len(item_table)) != (user_count + 1, item_count + 1):
            continue
        for user_first in (True, False):
            candidate = _built(parts, user_table, item_table, user_first)
            found = predict_ratings(candidate, users, items)
            if np.allclose(found, expected, rtol=0, atol=_TOLERANCE * np.abs(expected).max()):
                return candidate
    return None


def _parts(model: keras.Model) -> _Parts | None:
    """What the form needs, if it is all that there is."""
    embeddings, dense, rescaling, joins = [], [], [], 0
    for layer in leaves(model):
        if isinstance(layer, keras.layers.Embedding):
            embeddings.append(layer.get_weights()[0])
        elif isinstance(layer, keras.layers.Dense):
            dense.append(layer)
        elif isinstance(layer, keras.layers.Rescaling):
            rescaling.append(layer)
        elif isinstance(layer, keras.layers.Concatenate):
            joins += 1
        elif not isinstance(layer, _PASSED_OVER):
            return None
    if len(embeddings) != 2 or joins != 1 or len(dense) < 2 or len(rescaling) > 1:
        return None
    *hidden, output = dense
    if any(layer.activation is not keras.activations.relu or not layer.use_bias for layer in hidden):
        return None
    if output.activation is not keras.activations.linear or not output.use_bias or output.units != 1:
        return None
    width = embeddings[0].shape[1]
    if embeddings[1].shape[1] != width or hidden[0].kernel.shape[0] != 2 * width:
        return None
    scale, offset = (rescaling[0].scale, rescaling[0].offset) if rescaling else (1.0, 0.0)
    if not (isinstance(scale, int | float) and isinstance(offset, int | float)):
        return None
    return _Parts(embeddings, dense, float(scale), float(offset))


def _built(
    parts: _Parts, user_table: npt.NDArray[np.float32], item_table: npt.NDArray[np.float32], user_first: bool
) -> keras.Model:
    width = user_table.shape[1]
    config = EmbeddingMlpConfig(width, tuple(layer.units for layer in parts.dense[:-1]))
    model = build_embedding_mlp(len(user_table) - 1, len(item_table) - 1, config)
    model.get_layer("user_embedding").set_weights([user_table])
    model.get_layer("item_embedding").set_weights([item_table])
    *hidden, output = [layer.get_weights() for layer in parts.dense]
    if not user_first:
        hidden[0][0] = np.roll(hidden[0][0], width, axis=0)
    for number, weights in enumerate(hidden, start=1):
        model.get_layer(f"hidden_{number}").set_weights(weights)
    model.get_layer("label").set_weights(output)
    return on_rating_scale(model, parts.offset, parts.scale)
