"""Folding is exact: the tables and layers give Keras' own predictions. How much is folded depends on a limit."""

import math
import tracemalloc
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest

from rankserve_training.model.backend import keras
from rankserve_training.model.embedding_mlp import ARCHITECTURE, build_embedding_mlp, on_rating_scale
from rankserve_training.model.embedding_mlp_config import EmbeddingMlpConfig
from rankserve_training.model.folded import DenseLayer, FoldedModel, TableHalf, fold
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


def first_sums(half: TableHalf, rows: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
    sums = half.table[rows].astype(np.float64)
    return sums if half.layer is None else sums @ half.layer.kernel + half.layer.bias


def folded_scores(
    folded: FoldedModel, users: npt.NDArray[np.int32], items: npt.NDArray[np.int32]
) -> npt.NDArray[np.float64]:
    """What the docstring of `FoldedModel` says, in float64."""
    hidden = np.maximum(first_sums(folded.user_half, users) + first_sums(folded.item_half, items), 0)
    for layer in folded.hidden:
        hidden = np.maximum(hidden @ layer.kernel + layer.bias, 0)
    label = (hidden @ folded.output.kernel + folded.output.bias)[:, 0]
    return (folded.offset + folded.scale * label).astype(np.float64)


@pytest.mark.parametrize("max_table_bytes", [math.inf, 0])
@pytest.mark.parametrize(
    ("width", "hidden_widths", "minimum", "span"),
    [(32, (256, 64), 1.0, 4.0), (1, (1,), 0.5, 4.5), (7, (3, 5, 2), -1.0, 2.0), (16, (8, 8, 8, 8), 0.0, 1.0)],
)
def test_folded_is_keras_within_rounding(
    width: int, hidden_widths: tuple[int, ...], minimum: float, span: float, max_table_bytes: float
) -> None:
    model = random_model(EmbeddingMlpConfig(width, hidden_widths), minimum, span, seed=1)
    folded = fold(model, ARCHITECTURE, max_table_bytes)
    # Folding that makes a table smaller is not limited.
    columns = width if max_table_bytes == 0 and width < hidden_widths[0] else hidden_widths[0]
    assert folded.user_half.table.shape == (USERS + 1, columns)
    assert folded.item_half.table.shape == (ITEMS + 1, columns)
    assert [layer.kernel.shape for layer in folded.hidden] == list(pairwise(hidden_widths))
    assert folded.output.kernel.shape == (hidden_widths[-1], 1)
    assert (folded.offset, folded.scale) == (minimum, span)
    assert {half.table.dtype for half in (folded.user_half, folded.item_half)} == {np.dtype(np.float32)}
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


@pytest.mark.parametrize(
    ("limit", "folded_sides"),
    [
        (800, "small large"),
        (799, "small"),
        (560, "small"),  # 10 folded rows of 8 numbers and 15 embeddings of 4
        (559, ""),
        (399, ""),  # less than the embeddings
        (0, ""),
    ],
)
@pytest.mark.parametrize("more_items", [True, False])
def test_the_table_that_grows_more_is_the_first_that_is_not_folded(
    limit: int, folded_sides: str, more_items: bool
) -> None:
    model = build_embedding_mlp(9 if more_items else 14, 14 if more_items else 9, EmbeddingMlpConfig(4, (8,)))
    folded = fold(on_rating_scale(model, 1.0, 4.0), ARCHITECTURE, limit)
    small, large = (folded.user_half, folded.item_half) if more_items else (folded.item_half, folded.user_half)
    assert (len(small.table), len(large.table)) == (10, 15)
    assert (small.folded_bytes, large.folded_bytes) == (320, 480)
    assert (small.layer is None) == ("small" in folded_sides)
    assert (large.layer is None) == ("large" in folded_sides)


def test_a_table_that_is_not_folded_is_not_copied() -> None:
    model = random_model(EmbeddingMlpConfig(4, (8,)), 1.0, 4.0, seed=1)
    folded = fold(model, ARCHITECTURE, 0)
    for name, half in (("user_embedding", folded.user_half), ("item_embedding", folded.item_half)):
        assert np.shares_memory(half.table, np.asarray(model.get_layer(name).embeddings.value))


def test_folding_takes_little_more_memory_than_the_folded_table() -> None:
    random = np.random.default_rng(1)
    table = random.normal(size=(100_001, 8)).astype(np.float32)
    layer = DenseLayer(random.normal(size=(8, 256)).astype(np.float32), random.normal(size=256).astype(np.float32))
    half = TableHalf(table, layer)
    tracemalloc.start()
    folded = half.folded()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert folded.table.nbytes == half.folded_bytes == 100_001 * 256 * 4
    assert peak < 1.5 * half.folded_bytes
    rows = np.append(random.integers(0, 100_001, 1_000), [0, 16_383, 16_384, 100_000]).astype(np.int32)
    np.testing.assert_allclose(folded.table[rows], first_sums(half, rows), rtol=1e-6, atol=1e-6)
    assert folded.folded() is folded


def test_embeddings_that_do_not_fit_the_first_layer() -> None:
    user, item = (keras.Input((), dtype="int32", name=name) for name in ("user", "item"))
    vector = keras.layers.Embedding(2, 3, name="user_embedding")(user)
    keras_item = keras.layers.Embedding(2, 4, name="item_embedding")(item)
    hidden = keras.layers.Dense(5, name="hidden_1")(vector)
    label = keras.layers.Dense(1, name="label")(keras.layers.Concatenate()([hidden, keras_item]))
    model = on_rating_scale(keras.Model({"user": user, "item": item}, label), 1.0, 4.0)
    for limit in (0, math.inf):
        with pytest.raises(ValueError, match="hidden_1 has 3 inputs, the embeddings 3 and 4 columns"):
            fold(model, ARCHITECTURE, limit)


def test_an_unknown_architecture() -> None:
    with pytest.raises(
        ValueError, match=r"architecture 'transformer' is none of those known here: embedding_mlp, two_tower$"
    ):
        fold(build_embedding_mlp(1, 1, EmbeddingMlpConfig()), "transformer")


def test_a_model_without_a_layer_to_fold() -> None:
    unscaled = build_embedding_mlp(1, 1, EmbeddingMlpConfig(2, (2,)))
    with pytest.raises(ValueError, match="rating"):
        fold(unscaled, ARCHITECTURE)
