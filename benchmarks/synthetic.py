"""Versions of any size: the tutorial's architecture with random weights, published as trained models are."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rankserve_server.engine import jax_setup  # noqa: F401  # before Keras, so that JAX computes on one thread here too
from rankserve_training.artifact import IdIndex
from rankserve_training.data.dataset import Dataset, Items, Ratings, RatingScale, Users
from rankserve_training.model.embedding_mlp import build_embedding_mlp, on_rating_scale
from rankserve_training.model.embedding_mlp_config import EmbeddingMlpConfig
from rankserve_training.packaging import publish_model
from rankserve_training.preparation import prepare
from rankserve_training.train import TrainedModel, TrainingSettings

NAME = "synthetic"
SCALE = RatingScale(1.0, 5.0)
_RATINGS = 100_000
# Spreads the predictions over some stars, as in a trained model, so that few of them are equal.
_LARGEST_WEIGHT = 0.5

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Synthetic:
    """A published version and what it was made of.

    Attributes:
        directory: MODELS_DIR/NAME/VERSION.
        users: float32[users + 1, width], the embedding.
        items: float32[items + 1, width], likewise.
        layers: kernel and bias of each dense layer.
    """

    directory: Path
    users: Floats
    items: Floats
    layers: list[list[Floats]]

    @property
    def user_count(self) -> int:
        """Their ids are 1 to this."""
        return len(self.users) - 1

    @property
    def item_count(self) -> int:
        """Likewise."""
        return len(self.items) - 1

    @property
    def disk_mib(self) -> float:
        """The size of its files."""
        return sum(path.stat().st_size for path in self.directory.iterdir()) / 2**20

    def scores(self, user: int, items: Ids) -> Floats:
        """What the model predicts for known items, layer by layer in NumPy."""
        user_vectors = np.broadcast_to(self.users[user], (len(items), self.users.shape[1]))
        hidden = np.concatenate([user_vectors, self.items[items]], axis=1)
        *dense, (output_kernel, output_bias) = self.layers
        for kernel, bias in dense:
            hidden = np.maximum(hidden @ kernel + bias, 0)
        ratings: Floats = SCALE.minimum + SCALE.span * (hidden @ output_kernel + output_bias)[:, 0]
        return ratings


def publish_synthetic(models_dir: Path, user_count: int, item_count: int) -> Synthetic:
    """Publishes a version without titles whose ids are 1 to these counts."""
    random = np.random.default_rng(user_count + item_count)
    dataset = _dataset(random, user_count, item_count)
    data = prepare(dataset, IdIndex(dataset.users.ids), IdIndex(dataset.items.ids), split_seed=0)
    model = build_embedding_mlp(user_count, item_count, EmbeddingMlpConfig())
    for name in ("user_embedding", "item_embedding"):
        layer = model.get_layer(name)
        layer.set_weights([_random_table(random, layer.input_dim, layer.output_dim)])
    published = on_rating_scale(model, SCALE.minimum, SCALE.span)
    settings = TrainingSettings("tutorial", epochs=1, seed=0, split_seed=0)
    trained = TrainedModel(dataset.description(), data, settings, published, metrics={}, seconds=0.0)
    directory = publish_model(trained, models_dir, NAME).directory
    (users,), (items,), *layers = (
        model.get_layer(name).get_weights()
        for name in ("user_embedding", "item_embedding", "hidden_1", "hidden_2", "label")
    )
    return Synthetic(Path(directory), users, items, layers)


def _dataset(random: np.random.Generator, user_count: int, item_count: int) -> Dataset:
    users = Users(np.arange(1, user_count + 1))
    items = Items(np.arange(1, item_count + 1), titles=("",) * item_count, genres=((),) * item_count)
    ratings = _ratings(random, _RATINGS, user_count, item_count)
    held_out = _ratings(random, 1, user_count, item_count)
    return Dataset(NAME, "random numbers", ratings, held_out, items, users, SCALE)


def _ratings(random: np.random.Generator, count: int, user_count: int, item_count: int) -> Ratings:
    return Ratings(
        random.integers(1, user_count + 1, count),
        random.integers(1, item_count + 1, count),
        random.integers(1, 6, count).astype(np.float32),
        np.zeros(count, np.int64),
    )


def _random_table(random: np.random.Generator, rows: int, width: int) -> Floats:
    table = random.random((rows, width), np.float32)
    table -= 0.5  # in place: the largest table takes more than a gigabyte
    table *= 2 * _LARGEST_WEIGHT
    return table
