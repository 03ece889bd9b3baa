"""`manifest.json`: what a version is, and how to know that it is whole."""

import math
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec

from rankserve_training.artifact.errors import ArtifactError, DamagedError
from rankserve_training.artifact.json_files import read_json_bytes

FORMAT_VERSION = 1
MANIFEST_FILE = "manifest.json"
# Only where the version is signed: see `artifact.signing`.
SIGNATURE_FILE = "manifest.json.sig"
MODEL_FILE = "model.keras"
CATALOG_FILE = "catalog.npz"
USERS_FILE = "users.npz"
# Only where a model can rank for strangers: see `model.newcomers` and `model.two_tower`.
NEWCOMERS_MODEL_FILE = "newcomers.keras"
NEWCOMERS_ENCODING_FILE = "newcomers.json"
NEWCOMERS_COLUMNS_FILE = "newcomers.npz"
NEWCOMERS_FILES = (NEWCOMERS_MODEL_FILE, NEWCOMERS_ENCODING_FILE, NEWCOMERS_COLUMNS_FILE)

# Bounded, as numpy and the wire take no larger integers than these.
_LARGEST = 2**63 - 1
Positive = Annotated[int, msgspec.Meta(ge=1, le=_LARGEST)]
Count = Annotated[int, msgspec.Meta(ge=0, le=_LARGEST)]
AnyId = Annotated[int, msgspec.Meta(ge=-_LARGEST, le=_LARGEST)]


class FileEntry(msgspec.Struct, frozen=True):
    """How to recognise a file.

    Attributes:
        size: in bytes.
        sha256: hexadecimal.
    """

    size: Count
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class IdRange(msgspec.Struct, frozen=True):
    """How many ids there are, and between which bounds (0 and 0 where there is none)."""

    count: Count
    minimum: Count
    maximum: Count


class ScaleEntry(msgspec.Struct, frozen=True):
    """The lowest and highest rating, such as 1 and 5."""

    minimum: float
    maximum: float

    @property
    def span(self) -> float:
        """The highest less the lowest rating."""
        return self.maximum - self.minimum


class DatasetEntry(msgspec.Struct, frozen=True):
    """What the model was trained on.

    Attributes:
        name: such as `movielens/100k`, or the name of the rating file.
        fingerprint: SHA-256 over the ratings (see `Ratings.fingerprint`), a separate test file not included.
        rating_count: how many ratings, held-out rows included; 0, with no name and no fingerprint, where a model was
            trained elsewhere and none came with it.
    """

    name: str
    fingerprint: str
    rating_count: Count


class SplitEntry(msgspec.Struct, frozen=True):
    """Which rows were held out.

    Attributes:
        method: `random`: rows shuffled with `seed`, the last `test_count` of them held out; `file`: the test rows
            came in a file of their own; `none`: the model was trained elsewhere, and nothing is known of it.
        seed: of the shuffle; 0 for `file` and `none`.
        train_count: rows trained on; 0 for `none`.
        test_count: rows held out.
        test_fingerprint: SHA-256 over the ratings held out; tells them from those that the same seed holds out of the
            same ratings in another order.
    """

    method: str
    seed: int
    train_count: Count
    test_count: Count
    test_fingerprint: str


class TrainingEntry(msgspec.Struct, frozen=True):
    """How the model was trained: what `rankserve train` was asked for.

    Attributes:
        preset: the name of the recipe; `own` for a model that was trained elsewhere and came by `rankserve publish`.
        architecture: which of the forms in `rankserve_training.model` the Keras model has.
        seed: of the initial weights; 0 for `own`.
        epochs: passes over the training rows; 0 for `own`.
        seconds: how long it took; 0 for `own`.
    """

    preset: str
    architecture: str
    seed: int
    epochs: Count
    seconds: float


class GoldenRequest(msgspec.Struct, frozen=True):
    """A request with the scores that the trained Keras model gave; a server replays it before it serves the version.

    Attributes:
        user_id: known or not.
        candidate_ids: k ids, known or not.
        scores: k predicted ratings, in the order of the candidates.
        choice_scores: k scores of the second output; empty where the model has none.
    """

    user_id: AnyId
    candidate_ids: list[AnyId]
    scores: list[float]
    choice_scores: list[float] = []


class GoldenNewcomer(msgspec.Struct, frozen=True):
    """A request for a user of whom ratings or features came with it, and the scores that the Keras model gave.

    Attributes:
        history_item_ids: k known items that he has rated.
        history_ratings: k ratings.
        features: of the user, by name.
        item_id: an id that is not known, described by its genres and year; the last candidate.
        genres: of that item.
        year: of that item, 0 for none.
        candidate_ids: n known items.
        scores: n + 1 predicted ratings.
        choice_scores: n + 1.
    """

    history_item_ids: list[AnyId]
    history_ratings: list[float]
    features: dict[str, str]
    item_id: AnyId
    genres: list[str]
    year: int
    candidate_ids: list[AnyId]
    scores: list[float]
    choice_scores: list[float]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The whole manifest.

    Attributes:
        format_version: of the artifact's own layout; a reader refuses one that it does not know.
        name: of the model.
        version: 1 or more; also the name of the directory.
        created: RFC 3339, UTC.
        training: how it was trained.
        dataset: on what.
        split: which of its rows were held out.
        rating_scale: the scale of ratings and scores.
        users: the range of the user ids.
        items: the range of the item ids.
        metrics: figures by name, such as `test_rmse`, on the rating scale.
        library_versions: by distribution.
        files: every other file of the directory, by name.
        golden_requests: to be replayed before the version may serve.
        golden_newcomers: likewise, where the model can rank for strangers.
    """

    format_version: int
    name: str
    version: Positive
    created: str
    training: TrainingEntry
    dataset: DatasetEntry
    split: SplitEntry
    rating_scale: ScaleEntry
    users: IdRange
    items: IdRange
    metrics: dict[str, float]
    library_versions: dict[str, str]
    files: dict[str, FileEntry]
    golden_requests: list[GoldenRequest]
    golden_newcomers: list[GoldenNewcomer] = []

    def encode(self) -> bytes:
        """The manifest as indented JSON with a final line end."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


class _FormatOnly(msgspec.Struct):
    format_version: int


def read_manifest(path: Path) -> Manifest:
    """Reads and checks `manifest.json`.

    Raises:
        ArtifactError: where it is missing, of an unknown format, or a field is missing or out of range.
    """
    return decode_manifest(read_manifest_bytes(path), path)


def read_manifest_bytes(path: Path) -> bytes:
    """The content of `manifest.json`.

    Raises:
        ArtifactError: where it is missing, or larger than any manifest.
    """
    try:
        return read_json_bytes(path)
    except FileNotFoundError as error:
        raise DamagedError(f"{path} does not exist: not a complete model version") from error
    except OSError as error:
        raise DamagedError(f"{path} cannot be read: {error.strerror}") from error


def decode_manifest(content: bytes, path: Path | str) -> Manifest:
    """Checks the content of a `manifest.json`; `path` is for the message.

    Raises:
        ArtifactError: where it is of an unknown format, or a field is missing or out of range.
    """
    try:
        format_version = msgspec.json.decode(content, type=_FormatOnly).format_version
        if format_version != FORMAT_VERSION:
            raise ArtifactError(
                f"{path}: format version {format_version} is not one that this rankserve reads ({FORMAT_VERSION}); "
                "upgrade rankserve or train again"
            )
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedError(f"{path} cannot be read: {error}") from error
    _check(path, manifest)
    return manifest


def _check(path: Path | str, manifest: Manifest) -> None:
    """What the types alone do not say."""
    scale = manifest.rating_scale
    if not (math.isfinite(scale.span) and scale.span > 0):
        raise ArtifactError(f"{path}: rating_scale should run upwards, got {scale.minimum} to {scale.maximum}")
    try:
        datetime.fromisoformat(manifest.created)
    except ValueError as error:
        raise ArtifactError(f"{path}: created should be a time such as 2026-01-31T12:00:00Z: {error}") from error
    missing = {MODEL_FILE, CATALOG_FILE, USERS_FILE} - manifest.files.keys()
    if missing:
        raise ArtifactError(f"{path}: no entry for {', '.join(sorted(missing))}")
    if not manifest.golden_requests:
        raise ArtifactError(f"{path}: golden_requests is empty, so nothing could be checked before serving")
    for golden in manifest.golden_requests:
        if not golden.candidate_ids or len(golden.candidate_ids) != len(golden.scores):
            raise ArtifactError(f"{path}: a golden request should have one score for each candidate, and at least one")
        if len(golden.choice_scores) not in (0, len(golden.scores)):
            raise ArtifactError(f"{path}: a golden request should have one choice score for each candidate, or none")
    for newcomer in manifest.golden_newcomers:
        _check_newcomer(path, newcomer)


def _check_newcomer(path: Path | str, golden: GoldenNewcomer) -> None:
    count = len(golden.candidate_ids) + 1
    fits = (
        len(golden.scores) == count
        and len(golden.choice_scores) in (0, count)
        and len(golden.history_ratings) == len(golden.history_item_ids)
    )
    if not fits:
        raise ArtifactError(
            f"{path}: a golden newcomer should have a rating for each item of the history, and a score for each "
            "candidate and one more"
        )
