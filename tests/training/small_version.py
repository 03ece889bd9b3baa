"""A version without a Keras model, small and quick to publish, for what never loads one."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from rankserve_training.artifact import Catalog, GoldenRequest, Manifest, UserTable, publish
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
)

MODEL_BYTES = b"not a Keras model" * 2_000


def small_manifest(name: str = "small") -> Manifest:
    """What `publish` is given: one user, two items."""
    return Manifest(
        format_version=FORMAT_VERSION,
        name=name,
        version=1,
        created="2026-01-02T03:04:05Z",
        training=TrainingEntry("tutorial", "embedding_mlp", seed=42, epochs=5, seconds=1.5),
        dataset=DatasetEntry("small.csv", "0" * 64, rating_count=3),
        split=SplitEntry("random", seed=42, train_count=2, test_count=1, test_fingerprint="1" * 64),
        rating_scale=ScaleEntry(1.0, 5.0),
        users=IdRange(1, 9, 9),
        items=IdRange(2, 4, 6),
        metrics={"test_rmse": 1.25},
        library_versions={"keras": "3.15.1"},
        files={},
        golden_requests=[GoldenRequest(9, [4, 6, 7], [3.5, 2.25, 3.0])],
    )


def write_small_files(directory: Path) -> None:
    """The files of that version."""
    (directory / MODEL_FILE).write_bytes(MODEL_BYTES)
    catalog = Catalog(np.array([4, 6]), ["Four", "Señor Six"], [("Drama", "War"), ()])
    catalog.write(directory / CATALOG_FILE)
    UserTable.from_ratings(np.array([9]), np.array([1, 1], np.int32), np.array([2, 1], np.int32)).write(
        directory / USERS_FILE
    )


def publish_small(models_dir: Path, name: str = "small") -> Path:
    """Publishes the next version."""
    return publish(models_dir, name, write_small_files, small_manifest(name))


def change_manifest(version: Path, **changes: Any) -> None:
    """Replaces fields of a published manifest."""
    path = version / MANIFEST_FILE
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def replace_file(version: Path, name: str, content: bytes) -> None:
    """Replaces a file of a published version, so that its size and hash are right."""
    (version / name).write_bytes(content)
    files = json.loads((version / MANIFEST_FILE).read_text(encoding="utf-8"))["files"]
    entry = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    change_manifest(version, files=files | {name: entry})
