"""From a trained model to a published version."""

from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version as distribution_version
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rankserve_training.artifact import Catalog, GoldenRequest, IdIndex, Manifest, UserTable, publish
from rankserve_training.artifact.manifest import (
    CATALOG_FILE,
    FORMAT_VERSION,
    MANIFEST_FILE,
    MODEL_FILE,
    USERS_FILE,
    DatasetEntry,
    IdRange,
    ScaleEntry,
    SplitEntry,
    TrainingEntry,
    read_manifest,
)
from rankserve_training.model.backend import keras
from rankserve_training.model.embedding_mlp import ARCHITECTURE
from rankserve_training.model.predicting import predict_ratings
from rankserve_training.train import PreparedData, TrainedModel

_LIBRARIES = ("rankserve", "keras", "jax", "jaxlib", "numpy", "tensorflow", "tensorflow-datasets")
_GOLDEN_USERS = 16
_GOLDEN_CANDIDATES = 32


@dataclass(frozen=True)
class PublishedVersion:
    """A version that is in its place.

    Attributes:
        directory: MODELS_DIR/NAME/VERSION.
        manifest: what it says of itself.
    """

    directory: Path
    manifest: Manifest


def publish_model(trained: TrainedModel, models_dir: Path, name: str) -> PublishedVersion:
    """Publishes a trained model as the next version of `name`.

    Raises:
        ArtifactError: where the name is not usable.
        OSError: where the disk does not take it.
    """
    dataset, data = trained.dataset, trained.data
    catalog = Catalog(dataset.items.ids, dataset.items.titles, dataset.items.genres)
    seen = dataset.ratings
    users = UserTable.from_ratings(dataset.users.ids, data.users.rows(seen.user_ids), data.items.rows(seen.item_ids))

    def write_files(directory: Path) -> None:
        trained.keras_model.save(directory / MODEL_FILE)
        catalog.write(directory / CATALOG_FILE)
        users.write(directory / USERS_FILE)

    directory = publish(models_dir, name, write_files, _manifest(trained, name))
    return PublishedVersion(directory, read_manifest(directory / MANIFEST_FILE))


def _manifest(trained: TrainedModel, name: str) -> Manifest:
    """All but the version and the files, which publishing fills in."""
    dataset, data, settings = trained.dataset, trained.data, trained.settings
    split_seed = settings.split_seed if data.split_method == "random" else 0
    return Manifest(
        format_version=FORMAT_VERSION,
        name=name,
        version=1,
        created=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        training=TrainingEntry(settings.preset, ARCHITECTURE, settings.seed, settings.epochs, trained.seconds),
        dataset=DatasetEntry(dataset.name, dataset.ratings.fingerprint(), len(dataset.ratings)),
        split=SplitEntry(data.split_method, split_seed, len(data.train), len(data.test), data.test_fingerprint),
        rating_scale=ScaleEntry(dataset.scale.minimum, dataset.scale.maximum),
        users=_id_range(data.users),
        items=_id_range(data.items),
        metrics=trained.metrics,
        library_versions={library: distribution_version(library) for library in _LIBRARIES},
        files={},
        golden_requests=_golden_requests(trained.keras_model, data),
    )


def _id_range(index: IdIndex) -> IdRange:
    return IdRange(len(index), int(index.ids[0]), int(index.ids[-1]))


def _golden_requests(model: keras.Model, data: PreparedData) -> list[GoldenRequest]:
    """Users and items spread over the whole tables, first and last included, and a stranger in every request."""
    users = [*_spread(data.users.ids, _GOLDEN_USERS), _stranger(data.users.ids)]
    spread_items = _spread(data.items.ids, _GOLDEN_CANDIDATES * len(users))
    requests = []
    for number, user_id in enumerate(users):
        candidates = [*spread_items[number :: len(users)], _stranger(data.items.ids)]
        rows = data.items.rows(np.array(candidates, np.int64))
        scores = predict_ratings(model, np.full_like(rows, data.users.row(user_id)), rows)
        requests.append(GoldenRequest(user_id, candidates, [float(score) for score in scores]))
    return requests


def _stranger(ids: npt.NDArray[np.int64]) -> int:
    """The lowest positive id that is not among these."""
    gaps = np.flatnonzero(ids != np.arange(1, len(ids) + 1))
    return int(gaps[0]) + 1 if len(gaps) else len(ids) + 1


def _spread(ids: npt.NDArray[np.int64], count: int) -> list[int]:
    places = np.unique(np.linspace(0, len(ids) - 1, min(count, len(ids))).round().astype(np.int64))
    return [int(id_) for id_ in ids[places]]
