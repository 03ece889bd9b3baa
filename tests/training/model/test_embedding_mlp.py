"""The tutorial's model: its sizes, strangers, and the scale of its output."""

import numpy as np
import pytest

from rankserve_training.model.backend import keras
from rankserve_training.model.embedding_mlp import build_embedding_mlp, on_rating_scale, with_average_strangers
from rankserve_training.model.embedding_mlp_config import EmbeddingMlpConfig
from rankserve_training.model.predicting import predict_ratings

SMALL = EmbeddingMlpConfig(embedding_width=3, hidden_widths=(4,))


def test_the_sizes_of_the_tutorial() -> None:
    model = build_embedding_mlp(943, 1682, EmbeddingMlpConfig())
    assert [tuple(weights.shape) for weights in model.get_weights()] == [
        (944, 32),
        (1683, 32),
        (64, 256),
        (256,),
        (256, 64),
        (64,),
        (64, 1),
        (1,),
    ]
    assert model.count_params() == (944 + 1683) * 32 + (64 * 256 + 256) + (256 * 64 + 64) + (64 + 1)
    assert {name: (tensor.shape, tensor.dtype) for name, tensor in model.input.items()} == {
        "user": ((None,), "int32"),
        "item": ((None,), "int32"),
    }
    assert model.output_shape == (None, 1)
    assert [layer.activation.__name__ for layer in model.layers if hasattr(layer, "activation")] == [
        "relu",
        "relu",
        "linear",
    ]


def test_other_sizes() -> None:
    model = build_embedding_mlp(1, 2, EmbeddingMlpConfig(5, (7, 6, 2)))
    kernels = [tuple(weights.shape) for weights in model.get_weights() if weights.ndim == 2]
    assert kernels == [(2, 5), (3, 5), (10, 7), (7, 6), (6, 2), (2, 1)]


def test_a_stranger_is_the_average_of_the_known() -> None:
    model = build_embedding_mlp(3, 4, SMALL)
    before = [np.array(weights) for weights in model.get_weights()]
    with_average_strangers(model, np.array([1, 3], np.int32), np.array([2], np.int32))
    after = model.get_weights()
    assert [weights[1:].tolist() for weights in after] == [weights[1:].tolist() for weights in before]
    for column in range(3):
        average = (float(before[0][1][column]) + float(before[0][3][column])) / 2
        assert after[0][0][column] == pytest.approx(average, rel=1e-6)
    assert after[1][0].tolist() == before[1][2].tolist()
    assert all(first.tolist() == second.tolist() for first, second in zip(before[2:], after[2:], strict=True))


@pytest.mark.parametrize(("minimum", "span"), [(1.0, 4.0), (0.5, 4.5), (-10.0, 20.0), (0.0, 1.0)])
def test_a_rating_is_the_minimum_and_its_part_of_the_span(minimum: float, span: float) -> None:
    model = build_embedding_mlp(3, 4, SMALL)
    users, items = np.array([0, 1, 3], np.int32), np.array([4, 0, 2], np.int32)
    labels = predict_ratings(model, users, items)
    published = on_rating_scale(model, minimum, span)
    ratings = predict_ratings(published, users, items)
    assert ratings.dtype == np.float32
    assert ratings.tolist() == pytest.approx([minimum + span * float(label) for label in labels], rel=1e-6, abs=1e-6)
    assert [weights.tolist() for weights in published.get_weights()] == [
        weights.tolist() for weights in model.get_weights()
    ]


def test_predictions_of_more_pairs_than_a_batch_and_of_one() -> None:
    model = build_embedding_mlp(3, 4, SMALL)
    users = np.tile(np.arange(4, dtype=np.int32), 2_500)
    items = np.full(10_000, 2, np.int32)
    scores = predict_ratings(model, users, items)
    assert scores.shape == (10_000,)
    # Keras rounds differently in batches of another size.
    assert scores[:4].tolist() == pytest.approx(scores[-4:].tolist(), rel=1e-5)
    assert predict_ratings(model, users[:1], items[:1]).tolist() == pytest.approx(scores[:1].tolist(), rel=1e-5)


def test_another_backend_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    from rankserve_training.model import backend

    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    with pytest.raises(ImportError, match="runs Keras on JAX, but Keras was imported with its tensorflow backend"):
        importlib.reload(backend)
