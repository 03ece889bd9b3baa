"""From a user's own trained model to a published version."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rankserve_training.artifact import ArtifactError, GoldenRequest, Manifest
from rankserve_training.artifact.manifest import (
    CATALOG_FILE,
    FORMAT_VERSION,
    MODEL_FILE,
    USERS_FILE,
    DatasetEntry,
    ScaleEntry,
    SplitEntry,
    TrainingEntry,
)
from rankserve_training.artifact.storage.publishing import PublishedVersion, publish_anywhere
from rankserve_training.golden import golden_requests
from rankserve_training.model import embedding_mlp, generic
from rankserve_training.model.backend import keras
from rankserve_training.model.loading import load_ranking_model
from rankserve_training.model.own_model import SIDES, OwnModel
from rankserve_training.model.predicting import predict_ratings
from rankserve_training.model.recognised import as_embedding_mlp
from rankserve_training.own_catalog import OwnCatalog
from rankserve_training.packaging import id_range, library_versions, now

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

Rows = npt.NDArray[np.int32]

PRESET = "own"
_PAIRS = 512
_ALONE = 8
# Relative to the largest score: that of float32, with room for sums in another order.
_TOLERANCE = 1e-5


@dataclass(frozen=True)
class OwnRankingModel:
    """A user's model as it is published.

    Attributes:
        keras_model: a ranking model.
        architecture: which of the forms in `rankserve_training.model` it has.
        golden: requests with the scores that it gives.
    """

    keras_model: keras.Model
    architecture: str
    golden: list[GoldenRequest]


def prepare_own_model(own: OwnModel, catalog: OwnCatalog) -> OwnRankingModel:
    """Makes a ranking model of a user's own, and compares the two.

    Raises:
        ArtifactError: where the tables do not fit the catalogue, or the scores are not those of the model itself, not
            finite, or not those of a pair alone.
    """
    model = own.as_ranking_model(catalog.places)
    users, items = _pairs(catalog)
    scores = predict_ratings(model, users, items)
    if not np.isfinite(scores).all():
        raise ArtifactError(f"{own.path} gives scores that are NaN or infinite; train it again")
    allowed = _TOLERANCE * max(float(np.abs(scores).max()), float(np.finfo(np.float32).tiny))
    places = [catalog.places[side].known for side in SIDES]
    if np.abs(own.predict(places[0][users - 1], places[1][items - 1]) - scores).max() > allowed:
        raise ArtifactError(
            f"{own.path} uses ids otherwise than to look up its tables; they should go into Embedding layers only"
        )
    alone = [predict_ratings(model, users[place : place + 1], items[place : place + 1]) for place in range(_ALONE)]
    if np.abs(np.concatenate(alone) - scores[:_ALONE]).max() > allowed:
        raise ArtifactError(
            f"{own.path}: the score of a pair depends on the pairs beside it; no layer should combine rows of a batch"
        )
    architecture = generic.ARCHITECTURE
    folding = as_embedding_mlp(model, len(catalog.users), len(catalog.catalog))
    if folding is not None:
        model, architecture = folding, embedding_mlp.ARCHITECTURE
    golden = golden_requests(model, catalog.users.index, catalog.catalog.index)
    return OwnRankingModel(model, architecture, golden)


def publish_own_model(
    model: OwnRankingModel,
    catalog: OwnCatalog,
    models_dir: Path | str,
    name: str,
    *,
    scale: ScaleEntry | None = None,
    dataset_name: str = "",
    sign_key: "Ed25519PrivateKey | None" = None,
) -> PublishedVersion:
    """Publishes the next version of `name`, once its model has been read again and gives its golden scores.

    Args:
        model: see `prepare_own_model`.
        catalog: its items and users.
        models_dir: where models live; a directory or the URL of a store.
        name: of the model.
        scale: of the scores; None for that of the ratings or, without ratings, for the range of the golden scores.
        dataset_name: the name of the ratings; "" without.
        sign_key: signs the version.

    Raises:
        ArtifactError: where the name is not usable, or the model does not give its golden scores.
        OSError: where the disk does not take it.
    """

    def write_files(directory: Path) -> None:
        model.keras_model.save(directory / MODEL_FILE)
        catalog.catalog.write(directory / CATALOG_FILE)
        catalog.users.write(directory / USERS_FILE)
        _verify(directory / MODEL_FILE, model, catalog)

    manifest = Manifest(
        format_version=FORMAT_VERSION,
        name=name,
        version=1,
        created=now(),
        training=TrainingEntry(PRESET, model.architecture, seed=0, epochs=0, seconds=0.0),
        dataset=DatasetEntry(dataset_name, catalog.fingerprint, catalog.rating_count),
        split=SplitEntry("none", seed=0, train_count=0, test_count=0, test_fingerprint=""),
        rating_scale=scale or catalog.scale or _range(model.golden),
        users=id_range(catalog.users.index),
        items=id_range(catalog.catalog.index),
        metrics={},
        library_versions=library_versions(),
        files={},
        golden_requests=model.golden,
    )
    return publish_anywhere(models_dir, name, write_files, manifest, sign_key)


def _verify(path: Path, model: OwnRankingModel, catalog: OwnCatalog) -> None:
    """Reads the file as a server does, and replays the golden requests."""
    users, items = catalog.users.index, catalog.catalog.index
    loaded = load_ranking_model(path, len(users), len(items), model.architecture)
    if golden_requests(loaded, users, items) != model.golden:
        raise ArtifactError(f"{path.name} does not give the scores that it was saved with")


def _pairs(catalog: OwnCatalog) -> tuple[Rows, Rows]:
    """Pairs of known users and items, the first and last of each among them."""
    random = np.random.default_rng(0)
    users, items = (
        random.integers(1, count + 1, _PAIRS, dtype=np.int32) for count in (len(catalog.users), len(catalog.catalog))
    )
    users[:2], items[:2] = (1, len(catalog.users)), (1, len(catalog.catalog))
    return users, items


def _range(golden: list[GoldenRequest]) -> ScaleEntry:
    scores = [score for request in golden for score in request.scores]
    low, high = min(scores), max(scores)
    return ScaleEntry(low, high) if low < high else ScaleEntry(low, low + 1)
