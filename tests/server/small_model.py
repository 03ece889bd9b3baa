"""Models without Keras: a small catalogue with gaps between its ids, scored by the fake engine's formula."""

import numpy as np

from rankserve_server.loaded_model import LoadedModel
from rankserve_training.artifact import Catalog, Manifest, UserTable
from rankserve_training.artifact.manifest import (
    FORMAT_VERSION,
    DatasetEntry,
    IdRange,
    ScaleEntry,
    SplitEntry,
    TrainingEntry,
)
from server.fake_engine import FakeEngine, fake_score
from server.reference import World

USER_IDS = (2, 5, 9)
# By user id: none, some, and everything that there is.
_SEEN_SHARES = {2: 0.0, 5: 0.5, 9: 1.0}


def small_model(item_count: int = 40, *, name: str = "small", version: int = 3) -> LoadedModel:
    """Users 2, 5 and 9; items 1, 4, 7 and so on, of which every fifth has no title."""
    item_ids = np.arange(1, 3 * item_count, 3, dtype=np.int64)
    titles = [f"Item {id_}" if id_ % 5 else "" for id_ in item_ids.tolist()]
    seen_rows = {user: _seen_rows(user, item_count) for user in USER_IDS}
    user_rows = np.repeat(np.arange(1, 4, dtype=np.int32), [len(rows) for rows in seen_rows.values()])
    return LoadedModel(
        manifest=_manifest(name, version, item_count),
        catalog=Catalog(item_ids, titles, [()] * item_count),
        users=UserTable.from_ratings(np.array(USER_IDS, np.int64), user_rows, np.concatenate(list(seen_rows.values()))),
        engine=FakeEngine(item_count),
    )


def world_of(item_count: int = 40) -> World:
    """What `small_model` of the same size knows, by another way."""
    ids = [1 + 3 * place for place in range(item_count)]
    item_rows = {id_: row for row, id_ in enumerate(ids, start=1)}
    user_rows = {id_: row for row, id_ in enumerate(USER_IDS, start=1)}
    return World(
        titles={id_: f"Item {id_}" if id_ % 5 else "" for id_ in ids},
        seen={user: {ids[row - 1] for row in _seen_rows(user, item_count).tolist()} for user in USER_IDS},
        score=lambda user, item: fake_score(user_rows.get(user, 0), item_rows.get(item, 0)),
    )


def _seen_rows(user: int, item_count: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.arange(1, 1 + round(_SEEN_SHARES[user] * item_count), dtype=np.int32)


def _manifest(name: str, version: int, item_count: int) -> Manifest:
    return Manifest(
        format_version=FORMAT_VERSION,
        name=name,
        version=version,
        created="2026-01-02T03:04:05Z",
        training=TrainingEntry("tutorial", "embedding_mlp", seed=1, epochs=2, seconds=3.0),
        dataset=DatasetEntry("ratings.csv", "0" * 64, rating_count=100),
        split=SplitEntry("random", seed=42, train_count=80, test_count=20, test_fingerprint="1" * 64),
        rating_scale=ScaleEntry(1.0, 5.0),
        users=IdRange(len(USER_IDS), min(USER_IDS), max(USER_IDS)),
        items=IdRange(item_count, 1, 3 * item_count - 2),
        metrics={"test_rmse": 0.9},
        library_versions={"keras": "3"},
        files={},
        golden_requests=[],
    )
