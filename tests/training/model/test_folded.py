"""Folding is exact: the tables and layers give Keras' own predictions."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest

from rankserve_training.model.backend import keras
from rankserve_training.model.embedding_mlp import ARCHITECTURE, build_embedding_mlp, on_rating_scale
from rankserve_training.model.embedding_mlp_config import EmbeddingMlpConfig
from rankserve_training.model.folded import FoldedModel, fold
from rankserve_training.model.predicting import predict_ratings
from training.conftest import Training

USERS, ITEMS = 9, 14


def random_model(config: EmbeddingMlpConfig, minimum: float, span: float, seed: int) -> keras.Model:
    """Every weight is random, also those of biases and of row 0, and most of the ReLUs are open."""
    random = np.random.default_rng(seed)
    model = build_embedding_mlp(USERS, ITEMS, config)
    model.set_weights(
        [
            random.normal(loc=weights.ndim == 1, scale=weights.shape[0] ** -0.5, size=weights.shape)
            for weights in model.get_weights()
        ]
    )
    return on_rating_scale(model, minimum, span)


def folded_scores(
    folded: FoldedModel, users: npt.NDArray[np.int32], items: npt.NDArray[np.int32]
) -> npt.NDArray[np.float64]:
    """What the docstring of `FoldedModel` says, in float64."""
    hidden: npt.NDArray[np.float64] = np.maximum(
        folded.user_half[users].astype(np.float64) + folded.item_half[items], 0
    )
    for layer in folded.hidden:
        hidden = np.maximum(hidden @ layer.kernel + layer.bias, 0)
    label = (hidden @ folded.output.kernel + folded.output.bias)[:, 0]
    return (folded.offset + folded.scale * label).astype(np.float64)


@pytest.mark.parametrize(
    ("width", "hidden_widths", "minimum", "span"),
    [(32, (256, 64), 1.0, 4.0), (1, (1,), 0.5, 4.5), (7, (3, 5, 2), -1.0, 2.0), (16, (8, 8, 8, 8), 0.0, 1.0)],
)
def test_folded_is_keras_within_rounding(
    width: int, hidden_widths: tuple[int, ...], minimum: float, span: float
) -> None:
    model = random_model(EmbeddingMlpConfig(width, hidden_widths), minimum, span, seed=1)
    folded = fold(model, ARCHITECTURE)
    assert folded.user_half.shape == (USERS + 1, hidden_widths[0])
    assert folded.item_half.shape == (ITEMS + 1, hidden_widths[0])
    assert [layer.kernel.shape for layer in folded.hidden] == list(pairwise(hidden_widths))
    assert folded.output.kernel.shape == (hidden_widths[-1], 1)
    assert (folded.offset, folded.scale) == (minimum, span)
    assert {array.dtype for array in (folded.user_half, folded.item_half)} == {np.dtype(np.float32)}
    users, items = (rows.ravel() for rows in np.indices((USERS + 1, ITEMS + 1), np.int32))
    expected = predict_ratings(model, users, items)
    assert np.ptp(expected) > 1e-2, "all the same: it would prove nothing"
    np.testing.assert_allclose(folded_scores(folded, users, items), expected, rtol=0, atol=1e-5 * max(span, 1))


def test_the_trained_model(tutorial: Training) -> None:
    random = np.random.default_rng(3)
    users, items = random.integers(0, 944, 5_000, np.int32), random.integers(0, 1683, 5_000, np.int32)
    expected = predict_ratings(tutorial.trained.keras_model, users, items)
    folded = fold(tutorial.artifact.load_keras_model(), tutorial.artifact.manifest.training.architecture)
    np.testing.assert_allclose(folded_scores(folded, users, items), expected, rtol=0, atol=4e-5)


def test_an_unknown_architecture() -> None:
    with pytest.raises(ValueError, match=r"architecture 'transformer' is none of those known here: embedding_mlp$"):
        fold(build_embedding_mlp(1, 1, EmbeddingMlpConfig()), "transformer")


def test_a_model_without_a_layer_to_fold() -> None:
    unscaled = build_embedding_mlp(1, 1, EmbeddingMlpConfig(2, (2,)))
    with pytest.raises(ValueError, match="rating"):
        fold(unscaled, ARCHITECTURE)
