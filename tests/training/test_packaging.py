"""What a published version says of itself."""

import datetime
from importlib.metadata import version
from itertools import chain

import numpy as np
import pytest

from rankserve_training.artifact.manifest import IdRange, ScaleEntry
from rankserve_training.model.predicting import predict_ratings
from training.conftest import TUTORIAL, Training
from training.rating_files import ITEMS, LARGEST_ID, TEST_ITEM, UNRATED_ITEM, USERS


def test_the_manifest_of_movielens(tutorial: Training) -> None:
    manifest, trained = tutorial.artifact.manifest, tutorial.trained
    assert (manifest.format_version, manifest.name, manifest.version) == (1, "movielens", 1)
    created = datetime.datetime.fromisoformat(manifest.created)
    assert manifest.created.endswith("Z")
    assert datetime.timedelta() <= datetime.datetime.now(datetime.UTC) - created < datetime.timedelta(hours=1)
    training = manifest.training
    assert (training.preset, training.architecture) == ("tutorial", "embedding_mlp")
    assert (training.seed, training.epochs, training.seconds) == (TUTORIAL.seed, 5, trained.seconds)
    assert (manifest.dataset.name, manifest.dataset.rating_count) == ("movielens/100k", 100_000)
    assert manifest.dataset.fingerprint == tutorial.dataset.ratings.fingerprint()
    split = manifest.split
    assert (split.method, split.seed, split.train_count, split.test_count) == ("random", 42, 80_000, 20_000)
    assert manifest.rating_scale == ScaleEntry(1, 5)
    assert (manifest.users, manifest.items) == (IdRange(943, 1, 943), IdRange(1682, 1, 1682))
    assert manifest.metrics == trained.metrics
    assert manifest.library_versions == {library: version(library) for library in manifest.library_versions}
    assert {"rankserve", "keras", "jax", "numpy"} <= set(manifest.library_versions)


def test_the_files(tutorial: Training) -> None:
    directory = tutorial.artifact.directory
    names = {path.name for path in directory.iterdir()}
    assert names == {"manifest.json", "model.keras", "catalog.npz", "users.npz"}
    assert set(tutorial.artifact.manifest.files) == names - {"manifest.json"}
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in directory.iterdir())


def test_catalogue_and_seen_items(tutorial: Training) -> None:
    dataset, artifact = tutorial.dataset, tutorial.artifact
    assert tuple(artifact.catalog.titles) == dataset.items.titles
    assert tuple(artifact.catalog.genres) == dataset.items.genres
    ratings = dataset.ratings
    for user in (1, 42, 943):
        # Held-out ratings are part of what a user has seen.
        expected = sorted(ratings.item_ids[ratings.user_ids == user].tolist())
        seen = artifact.users.seen(artifact.users.index.row(user))
        assert artifact.catalog.ids[seen - 1].tolist() == expected


def test_the_model_is_the_trained_one(tutorial: Training) -> None:
    loaded = tutorial.artifact.load_keras_model()
    for one, two in zip(loaded.get_weights(), tutorial.trained.keras_model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("name", ["tutorial", "from_files"])
def test_golden_requests(name: str, request: pytest.FixtureRequest) -> None:
    training: Training = request.getfixturevalue(name)
    artifact = training.artifact
    users = {int(id_) for id_ in artifact.users.index.ids}
    items = {int(id_) for id_ in artifact.catalog.ids}
    asked = [golden.user_id for golden in artifact.manifest.golden_requests]
    candidates = [golden.candidate_ids for golden in artifact.manifest.golden_requests]
    # The first and the last of each, users and items that are not known, and not always the same items.
    assert {min(users), max(users)} < set(asked)
    assert len(asked) == len(set(asked)) == min(16, len(users)) + 1
    assert sum(user not in users for user in asked) == 1
    assert {min(items), max(items)} < set().union(*candidates)
    assert all(sum(item not in items for item in ids) == 1 for ids in candidates)
    assert all(1 <= id_ <= LARGEST_ID for id_ in [*asked, *chain(*candidates)])
    for golden in artifact.manifest.golden_requests:
        item_rows = artifact.catalog.index.rows(np.array(golden.candidate_ids))
        user_rows = np.full(len(item_rows), artifact.users.index.row(golden.user_id), np.int32)
        scores = predict_ratings(training.trained.keras_model, user_rows, item_rows)
        assert golden.scores == pytest.approx(scores.tolist(), abs=1e-6)


def test_a_version_of_own_files(from_files: Training) -> None:
    artifact = from_files.artifact
    manifest = artifact.manifest
    assert (manifest.dataset.name, manifest.dataset.rating_count) == ("shop.csv", 16)
    split = manifest.split
    assert (split.method, split.seed, split.train_count, split.test_count) == ("file", 0, 16, 2)
    assert (manifest.users, manifest.items) == (IdRange(4, 3, LARGEST_ID), IdRange(7, 1, LARGEST_ID))
    assert manifest.rating_scale == ScaleEntry(0.5, 4.0)
    assert artifact.catalog.title(40) == "Forty, or so"
    assert artifact.catalog.title(UNRATED_ITEM) == "Für niemanden"
    assert artifact.catalog.genres[artifact.catalog.index.row(40) - 1] == ("Drama", "War")
    assert artifact.catalog.title(LARGEST_ID) == ""
    # The test file is no part of what users have seen.
    seen = artifact.catalog.ids[artifact.users.seen(artifact.users.index.row(USERS[1])) - 1].tolist()
    assert TEST_ITEM not in seen
    assert seen == [1, 40, 90_000, LARGEST_ID]
    assert set(ITEMS) <= set(artifact.catalog.ids.tolist())
