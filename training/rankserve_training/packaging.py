"""From a trained model to a published version."""

from datetime import UTC, datetime
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import TYPE_CHECKING

from rankserve_training.artifact import Catalog, IdIndex, Manifest, UserTable
from rankserve_training.artifact.manifest import (
    CATALOG_FILE,
    FORMAT_VERSION,
    MODEL_FILE,
    NEWCOMERS_COLUMNS_FILE,
    NEWCOMERS_ENCODING_FILE,
    NEWCOMERS_MODEL_FILE,
    USERS_FILE,
    DatasetEntry,
    IdRange,
    ScaleEntry,
    SplitEntry,
    TrainingEntry,
)
from rankserve_training.artifact.storage.publishing import PublishedVersion, publish_anywhere
from rankserve_training.golden import golden_newcomers, golden_requests
from rankserve_training.memory import free_finished
from rankserve_training.model.without_tensorflow import without_tensorflow
from rankserve_training.train import TrainedModel

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_LIBRARIES = ("rankserve", "keras", "jax", "jaxlib", "numpy", "tensorflow", "tensorflow-datasets")


def publish_model(
    trained: TrainedModel, models_dir: Path | str, name: str, sign_key: "Ed25519PrivateKey | None" = None
) -> PublishedVersion:
    """Publishes a trained model as the next version of `name`, signed where there is a key.

    Raises:
        ArtifactError: where the name is not usable.
        OSError: where the disk does not take it.
    """
    dataset, data = trained.dataset, trained.data
    # What was measured with.
    free_finished(len(data.train))
    catalog = Catalog(dataset.items.ids, dataset.items.titles, dataset.items.genres)
    users = UserTable.from_ratings(dataset.users.ids, *data.seen())

    def write_files(directory: Path) -> None:
        with without_tensorflow():
            trained.keras_model.save(directory / MODEL_FILE)
            if trained.newcomers is not None:
                trained.newcomers.keras_model.save(directory / NEWCOMERS_MODEL_FILE)
        if trained.newcomers is not None:
            encoding, columns = directory / NEWCOMERS_ENCODING_FILE, directory / NEWCOMERS_COLUMNS_FILE
            trained.newcomers.encoding.write(encoding, columns)
        catalog.write(directory / CATALOG_FILE)
        users.write(directory / USERS_FILE)

    return publish_anywhere(models_dir, name, write_files, _manifest(trained, name), sign_key)


def _manifest(trained: TrainedModel, name: str) -> Manifest:
    """All but the version and the files, which publishing fills in."""
    dataset, data, settings = trained.dataset, trained.data, trained.settings
    split_seed = settings.split_seed if data.split_method == "random" else 0
    return Manifest(
        format_version=FORMAT_VERSION,
        name=name,
        version=1,
        created=now(),
        training=TrainingEntry(settings.preset, trained.architecture, settings.seed, trained.epochs, trained.seconds),
        dataset=DatasetEntry(dataset.name, dataset.fingerprint, dataset.rating_count),
        split=SplitEntry(data.split_method, split_seed, len(data.train), len(data.test), data.test_fingerprint),
        rating_scale=ScaleEntry(dataset.scale.minimum, dataset.scale.maximum),
        users=id_range(data.users),
        items=id_range(data.items),
        metrics=trained.metrics,
        library_versions=library_versions(),
        files={},
        golden_requests=golden_requests(trained.keras_model, data.users, data.items),
        golden_newcomers=golden_newcomers(trained),
    )


def now() -> str:
    """The time as manifests have it."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def library_versions() -> dict[str, str]:
    """Of what models are made with."""
    return {library: distribution_version(library) for library in _LIBRARIES}


def id_range(index: IdIndex) -> IdRange:
    """How many ids there are, one or more, and between which bounds."""
    return IdRange(len(index), int(index.ids[0]), int(index.ids[-1]))
