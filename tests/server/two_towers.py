"""A published version of two towers with random weights, and its scores by another way: the definition in float64.

Ids have gaps: users are 3, 6, 9 and so on, items 5, 10, 15 and so on.
"""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from rankserve_training.artifact import Catalog, GoldenRequest, IdIndex, Manifest, UserTable, publish
from rankserve_training.artifact.manifest import (
    CATALOG_FILE,
    FORMAT_VERSION,
    MANIFEST_FILE,
    MODEL_FILE,
    NEWCOMERS_COLUMNS_FILE,
    NEWCOMERS_ENCODING_FILE,
    NEWCOMERS_MODEL_FILE,
    USERS_FILE,
    DatasetEntry,
    GoldenNewcomer,
    IdRange,
    ScaleEntry,
    SplitEntry,
    TrainingEntry,
    decode_manifest,
)
from rankserve_training.model.newcomers import Encoding, Feature, Newcomers
from rankserve_training.model.two_tower import RatingHead, TowerRows, known_pairs_model, newcomers_model
from session_files import shared_dir

USERS, ITEMS = 40, 90
AGES, GENDERS, GENRES, YEARS = [18.0, 35.0], ["F", "M"], ["Comedy", "Drama", "War"], [1980.0, 1995.0]
USER_BAG_ROWS = 2 + 2 * ITEMS + len(AGES) + 1 + len(GENDERS)
ITEM_BAG_ROWS = 1 + len(GENRES) + len(YEARS) + 1
STRANGER, NEW_ITEM = 1, 7

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Towers:
    """What the version is made of.

    Attributes:
        users: rows of the known users, 0 for the unknown one.
        items: likewise.
        user_bag: what strangers' rows are summed of.
        item_bag: likewise.
        head: of the rating, from 1 to 5.
        newcomers: how strangers are described.
        seen: item ids by user id.
    """

    users: TowerRows
    items: TowerRows
    user_bag: TowerRows
    item_bag: TowerRows
    head: RatingHead
    newcomers: Newcomers
    seen: Mapping[int, set[int]]

    @property
    def user_ids(self) -> list[int]:
        return [3 * row for row in range(1, USERS + 1)]

    @property
    def item_ids(self) -> list[int]:
        return [5 * row for row in range(1, ITEMS + 1)]

    def user(
        self, user_id: int, history: Mapping[int, float] = {}, features: Mapping[str, str] = {}
    ) -> "dict[str, Vector]":
        """His row, in parts."""
        row = self.user_ids.index(user_id) + 1 if user_id in self.user_ids else 0
        rated = {self.item_ids.index(id_) + 1: rating for id_, rating in history.items() if id_ in self.item_ids}
        entries = {} if row else self._feature_entries(features)
        if not rated and (row or not entries):
            return _row(self.users, row)
        return _sum(self.user_bag, entries | self._rated_entries(row, rated), _row(self.users, row) if row else None)

    def item(self, item_id: int, described: "tuple[Sequence[str], int] | None" = None) -> "dict[str, Vector]":
        """The row of an item, in parts."""
        row = self.item_ids.index(item_id) + 1 if item_id in self.item_ids else 0
        if row or described is None:
            return _row(self.items, row)
        genres, year = described
        known = [GENRES.index(genre) for genre in set(genres) if genre in GENRES]
        entries = {0: 1.0} | {1 + place: len(known) ** -0.5 for place in known}
        if year:
            entries[1 + len(GENRES) + sum(year >= edge for edge in YEARS)] = 1.0
        return _sum(self.item_bag, entries, None)

    def rating(self, user: "dict[str, Vector]", item: "dict[str, Vector]") -> float:
        hidden = np.maximum(user["hidden"] + item["hidden"], 0)
        rating = float(user["embedding"] @ item["embedding"] + hidden @ self.head.kernel.astype(np.float64))
        return min(max(rating, self.head.minimum), self.head.maximum)

    def choice(self, user: "dict[str, Vector]", item: "dict[str, Vector]") -> float:
        return float(user["choice"] @ item["choice"])

    def _rated_entries(self, row: int, rated: Mapping[int, float]) -> dict[int, float]:
        known, encoding = self.newcomers, self.newcomers.encoding
        count, own_mean = int(known.user_counts[row]), float(known.user_means[row])
        above = {item: rating - encoding.mean - float(known.item_offsets[item]) for item, rating in rated.items()}
        weight = count + encoding.shrinkage
        mean = (own_mean * weight + sum(above.values())) / (weight + len(above))
        scale = 1 / np.sqrt(max(count + len(above), 1))
        entries = {1: mean - own_mean} if row else {0: 1.0, 1: mean - own_mean}
        for item, residual in above.items():
            entries[1 + item] = (residual - mean) * scale
            entries[1 + ITEMS + item] = scale
        return entries

    def _feature_entries(self, features: Mapping[str, str]) -> dict[int, float]:
        entries = {}
        first = 2 + 2 * ITEMS
        if features.get("age", "").isdigit():
            entries[first + sum(float(features["age"]) >= edge for edge in AGES)] = 1.0
        if features.get("gender") in GENDERS:
            entries[first + len(AGES) + 1 + GENDERS.index(features["gender"])] = 1.0
        return entries


@dataclass(frozen=True)
class Published:
    """A version, and what it is made of."""

    directory: Path
    towers: Towers
    models_dir: Path = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "models_dir", self.directory.parent.parent)


def random_towers(seed: int = 0, widths: tuple[int, int, int] = (24, 17, 9)) -> Towers:
    """Of random weights, whose ratings are mostly within the scale.

    Args:
        seed: of the weights.
        widths: columns of the embedding, the hidden numbers and the choice.
    """
    random = np.random.default_rng(seed)

    def rows(count: int) -> TowerRows:
        return TowerRows(*(np.asarray(random.normal(size=(count, width)) / 2, np.float32) for width in widths))

    users, items, user_bag, item_bag = map(rows, (USERS + 1, ITEMS + 1, USER_BAG_ROWS, ITEM_BAG_ROWS))
    for side, column in ((users, 0), (user_bag, 0)):
        side.embedding[:, column] = 1.0 if side is users else 0.0
    user_bag.embedding[0, 0] = 1.0
    items.embedding[:, 0], item_bag.embedding[:, 0] = 3.0, 0.0
    item_bag.embedding[0, 0] = 3.0
    head = RatingHead(np.asarray(random.normal(size=widths[1]) / 8, np.float32), 1.0, 5.0)
    seen = {
        3 * row: {5 * int(item) for item in random.choice(ITEMS, row % 7, replace=False) + 1}
        for row in range(1, USERS + 1)
    }
    counts = np.array([0, *map(len, seen.values())], np.int32)
    means = np.asarray(random.normal(size=USERS + 1) / 4, np.float32)
    means[0] = 0
    offsets = np.asarray(random.normal(size=ITEMS + 1) / 4, np.float32)
    offsets[0] = 0
    encoding = Encoding(
        3.5,
        4.0,
        [Feature("age", edges=AGES), Feature("gender", values=GENDERS)],
        [Feature("genre", values=GENRES), Feature("year", edges=YEARS)],
    )
    return Towers(users, items, user_bag, item_bag, head, Newcomers(encoding, offsets, means, counts), seen)


def publish_towers(models_dir: Path, towers: Towers, name: str = "towers", *, strangers: bool = True) -> Published:
    """Publishes the next version; without the files for strangers where it should know nothing but ids.

    Its files are those of the first one of the session that was made of the same: to build, run and save the models
    takes seconds.
    """
    made = _made(towers, strangers)

    def copy_files(directory: Path) -> None:
        for path in made.iterdir():
            if path.name != MANIFEST_FILE:
                shutil.copy(path, directory)

    manifest = decode_manifest((made / MANIFEST_FILE).read_bytes(), made / MANIFEST_FILE)
    return Published(publish(models_dir, name, copy_files, manifest), towers)


def _made(towers: Towers, strangers: bool) -> Path:
    """Where a version of this was published."""
    place = shared_dir() / "towers" / f"{_digest(towers)}-{strangers}"
    place.mkdir(parents=True, exist_ok=True)
    version = place / "towers" / "1"
    with FileLock(f"{place}.lock"):  # pytest-xdist's other workers want the same
        if not version.exists():
            _publish(place, towers, strangers)
    return version


def _digest(towers: Towers) -> str:
    """Of all its numbers."""
    sides = (towers.users, towers.items, towers.user_bag, towers.item_bag)
    numbers = [getattr(side, part) for side in sides for part in ("embedding", "hidden", "choice")]
    known = towers.newcomers
    numbers += [towers.head.kernel, known.item_offsets, known.user_means, known.user_counts]
    digest = hashlib.sha256(repr((towers.seen, [column.shape for column in numbers])).encode())
    for column in numbers:
        digest.update(column.tobytes())
    return digest.hexdigest()


def _publish(models_dir: Path, towers: Towers, strangers: bool) -> None:
    known = known_pairs_model(towers.users, towers.items, towers.head)
    strange = newcomers_model(towers.user_bag, towers.item_bag, towers.head)
    user_rows = np.repeat(np.arange(1, USERS + 1, dtype=np.int32), [len(ids) for ids in towers.seen.values()])
    item_rows = np.array([id_ // 5 for ids in towers.seen.values() for id_ in sorted(ids)], np.int32)

    def write_files(directory: Path) -> None:
        known.save(directory / MODEL_FILE)
        titles = [f"Item {id_}" for id_ in towers.item_ids]
        genres = [tuple(GENRES[: row % 4]) for row in range(ITEMS)]
        Catalog(np.array(towers.item_ids), titles, genres).write(directory / CATALOG_FILE)
        users = UserTable.from_ratings(np.array(towers.user_ids), user_rows, item_rows)
        users.write(directory / USERS_FILE)
        if strangers:
            strange.save(directory / NEWCOMERS_MODEL_FILE)
            towers.newcomers.write(directory / NEWCOMERS_ENCODING_FILE, directory / NEWCOMERS_COLUMNS_FILE)

    name = "towers"
    golden = [_golden_request(known, towers, user) for user in (3, 60, 3 * USERS, STRANGER)]
    golden_newcomers = [_golden_newcomer(strange, towers)] if strangers else []
    publish(models_dir, name, write_files, _manifest(name, golden, golden_newcomers))


def _golden_request(model: Any, towers: Towers, user_id: int) -> GoldenRequest:
    candidates = [*towers.item_ids[::9], NEW_ITEM]
    items = IdIndex(np.array(towers.item_ids)).rows(np.array(candidates))
    user = IdIndex(np.array(towers.user_ids)).row(user_id)
    predicted = model.predict({"user": np.full_like(items, user), "item": items}, verbose=0)
    return GoldenRequest(user_id, candidates, predicted["rating"][:, 0].tolist(), predicted["choice"][:, 0].tolist())


def _golden_newcomer(model: Any, towers: Towers) -> GoldenNewcomer:
    history, features = {5: 4.0, 50: 2.5, 450: 5.0}, {"age": "24", "gender": "F"}
    rated = np.array([id_ // 5 for id_ in history], np.int32)
    user = towers.newcomers.user(rated, np.array(list(history.values()), np.float32), features)
    item = towers.newcomers.item(["War", "Comedy"], 1990)
    # The known one is described by no entry that the model of newcomers has; so only the new one is asked for.
    predicted = model.predict(
        {
            "user_entries": user.rows[np.newaxis],
            "user_weights": user.weights[np.newaxis],
            "item_entries": item.rows[np.newaxis],
            "item_weights": item.weights[np.newaxis],
        },
        verbose=0,
    )
    return GoldenNewcomer(
        list(history),
        list(history.values()),
        features,
        NEW_ITEM,
        ["War", "Comedy"],
        1990,
        [],
        predicted["rating"][:, 0].tolist(),
        predicted["choice"][:, 0].tolist(),
    )


def _manifest(name: str, golden: list[GoldenRequest], golden_newcomers: list[GoldenNewcomer]) -> Manifest:
    return Manifest(
        format_version=FORMAT_VERSION,
        name=name,
        version=1,
        created="2026-01-02T03:04:05Z",
        training=TrainingEntry("towers", "two_tower", seed=1, epochs=2, seconds=3.0),
        dataset=DatasetEntry("ratings.csv", "0" * 64, rating_count=100),
        split=SplitEntry("random", seed=42, train_count=80, test_count=20, test_fingerprint="1" * 64),
        rating_scale=ScaleEntry(1.0, 5.0),
        users=IdRange(USERS, 3, 3 * USERS),
        items=IdRange(ITEMS, 5, 5 * ITEMS),
        metrics={"test_rmse": 0.9},
        library_versions={"keras": "3"},
        files={},
        golden_requests=golden,
        golden_newcomers=golden_newcomers,
    )


def _row(rows: TowerRows, row: int) -> "dict[str, Vector]":
    return {part: getattr(rows, part)[row].astype(np.float64) for part in ("embedding", "hidden", "choice")}


def _sum(bag: TowerRows, entries: Mapping[int, float], start: "dict[str, Vector] | None") -> "dict[str, Vector]":
    sums = start or {part: 0 * values for part, values in _row(bag, 0).items()}
    for row, weight in entries.items():
        sums = {part: values + weight * _row(bag, row)[part] for part, values in sums.items()}
    return sums
