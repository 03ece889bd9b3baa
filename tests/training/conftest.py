"""What the tests of training share: the real ratings, and models trained on them and on files once."""

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

# JAX sets it for itself when it is imported; the processes under test would inherit it and let TensorFlow talk.
os.environ.pop("TF_CPP_MIN_LOG_LEVEL", None)

from rankserve_training.artifact import Artifact, read_artifact
from rankserve_training.data import Dataset, load
from rankserve_training.packaging import publish_model
from rankserve_training.train import TrainedModel, TrainingSettings, train_model
from training.jax_cache import jax_keeps_what_it_compiles
from training.rating_files import write_gappy_files

TUTORIAL = TrainingSettings("tutorial", epochs=5, seed=42, split_seed=42)


@dataclass(frozen=True)
class Training:
    """A training, what it was trained on, what it printed, and the version that it was published as, read again."""

    dataset: Dataset
    trained: TrainedModel
    printed: str
    artifact: Artifact


def _train(dataset: Dataset, settings: TrainingSettings, models_dir: Path, name: str) -> Training:
    console = Console(file=io.StringIO(), width=120)
    with jax_keeps_what_it_compiles():
        trained = train_model(dataset, settings, console)
    assert isinstance(console.file, io.StringIO)
    published = publish_model(trained, models_dir, name)
    return Training(dataset, trained, console.file.getvalue(), read_artifact(Path(published.directory)))


@pytest.fixture(autouse=True, scope="module")
def _jax_cache() -> Iterator[None]:
    with jax_keeps_what_it_compiles():
        yield


@pytest.fixture(scope="session")
def movielens() -> Dataset:
    return load()


@pytest.fixture(scope="session")
def tutorial(movielens: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Training:
    """The tutorial's model on MovieLens, published as `movielens/1`."""
    return _train(movielens, TUTORIAL, tmp_path_factory.mktemp("published"), "movielens")


@pytest.fixture(scope="session")
def from_files(tmp_path_factory: pytest.TempPathFactory) -> Training:
    """A model of own files: ids with gaps, a test file, an item that nobody has rated. Published as `own/1`."""
    directory = tmp_path_factory.mktemp("files")
    files = write_gappy_files(directory)
    dataset = load(ratings=files.csv, test_ratings=files.inter, items=files.items)
    return _train(dataset, TrainingSettings("tutorial", 1, 7, 42), directory / "models", "own")
