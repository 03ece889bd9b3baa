"""`manifest.json`: every field is needed and has its type."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rankserve_training.artifact import ArtifactError, GoldenRequest
from rankserve_training.artifact.manifest import FileEntry, ScaleEntry, read_manifest
from training.small_version import small_manifest

FILES = {name: FileEntry(1, "ab" * 32) for name in ("model.keras", "catalog.npz", "users.npz")}
MANIFEST = msgspec.structs.replace(small_manifest(), files=FILES)
VALID: dict[str, Any] = json.loads(MANIFEST.encode())
# Their keys are free.
MAPPINGS = {("metrics",), ("library_versions",), ("files",)}


def paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The way to every value of the manifest."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, (*path, key))
    if isinstance(value, list) and value:
        yield from paths(value[0], (*path, 0))


def changed(path: tuple[str | int, ...], change: Any) -> Any:
    """The valid manifest with one value replaced or, where `change` is `...`, taken out."""
    manifest = json.loads(json.dumps(VALID))
    parent = manifest
    for key in path[:-1]:
        parent = parent[key]
    if change is ...:
        del parent[path[-1]]
    else:
        parent[path[-1]] = change
    return manifest


def refusal(tmp_path: Path, content: bytes | str | Any) -> str:
    """What reading this manifest is refused with."""
    path = tmp_path / "manifest.json"
    if isinstance(content, str):
        content = content.encode()
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    with pytest.raises(ArtifactError) as caught:
        read_manifest(path)
    message = str(caught.value)
    assert message.startswith(f"{path}")
    assert "\n" not in message
    return message


ALL_PATHS = list(paths(VALID))
# What only models of two towers have.
OPTIONAL = ("choice_scores", "golden_newcomers")
FIELDS = [
    path for path in ALL_PATHS if path[:-1] not in MAPPINGS and isinstance(path[-1], str) and path[-1] not in OPTIONAL
]


def test_it_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_bytes(MANIFEST.encode())
    assert read_manifest(path) == MANIFEST
    assert path.read_bytes().endswith(b"}\n")
    # What a later minor version adds is passed over.
    path.write_text(json.dumps(VALID | {"notes": "new"}))
    assert read_manifest(path) == MANIFEST


@pytest.mark.parametrize("path", FIELDS, ids=str)
def test_a_missing_field(tmp_path: Path, path: tuple[str | int, ...]) -> None:
    assert f"`{path[-1]}`" in refusal(tmp_path, changed(path, ...))


@pytest.mark.parametrize("path", ALL_PATHS, ids=str)
def test_a_field_of_another_type(tmp_path: Path, path: tuple[str | int, ...]) -> None:
    value: Any = VALID
    for key in path:
        value = value[key]
    others: list[Any] = [None, True, [[]], {"other": {}}] + (["other"] if not isinstance(value, str) else [1, 1.5])
    if isinstance(value, int):
        others.append(1.5)
    for other in others:
        refusal(tmp_path, changed(path, other))


@pytest.mark.parametrize("version", [0, 2, -1, 2**70])
def test_an_unknown_format(tmp_path: Path, version: int) -> None:
    """Told before anything else, as all else may differ."""
    assert refusal(tmp_path, {"format_version": version}).endswith(
        f"format version {version} is not one that this rankserve reads (1); upgrade rankserve or train again"
    )


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("version",), 0),
        (("version",), 2**63),
        (("dataset", "rating_count"), -1),
        (("split", "test_count"), -1),
        (("training", "epochs"), -1),
        (("users", "minimum"), -1),
        (("items", "maximum"), 2**63),
        (("files", "model.keras", "size"), -1),
        (("files", "model.keras", "sha256"), "AB" * 32),
        (("files", "model.keras", "sha256"), "ab" * 31),
        (("golden_requests", 0, "user_id"), 2**63),
        (("golden_requests", 0, "candidate_ids"), [1, 2, 2**63]),
        (("rating_scale",), {"minimum": 5, "maximum": 1}),
        (("rating_scale",), {"minimum": 5, "maximum": 5}),
        (("rating_scale",), {"minimum": -1.7e308, "maximum": 1.7e308}),
        (("files",), {"model.keras": VALID["files"]["model.keras"]}),
        (("golden_requests",), []),
        (("golden_requests", 0), {"user_id": 1, "candidate_ids": [], "scores": []}),
        (("golden_requests", 0), {"user_id": 1, "candidate_ids": [1, 2], "scores": [1.0]}),
        (("golden_requests", 0, "scores"), [1.0, 2.0, None]),
    ],
)
def test_a_value_out_of_range(tmp_path: Path, path: tuple[str | int, ...], value: Any) -> None:
    refusal(tmp_path, changed(path, value))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_none(tmp_path: Path, number: str) -> None:
    refusal(tmp_path, json.dumps(VALID).replace("1.25", number))
    refusal(tmp_path, json.dumps(VALID).replace("2.25", number))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="list"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(json.dumps(VALID).replace("small.csv", "\\ud800").encode(), id="half a character"),
        pytest.param(MANIFEST.encode().replace(b"small.csv", b"\xff"), id="no UTF-8"),
        pytest.param(b'{"deep": ' + b"[" * 100_000 + b"]" * 100_000 + b', "format_version": 1}', id="deep"),
        pytest.param(MANIFEST.encode() * 2, id="twice"),
    ],
)
def test_what_is_no_manifest(tmp_path: Path, content: bytes) -> None:
    refusal(tmp_path, content)


def test_a_manifest_cut_short_anywhere(tmp_path: Path) -> None:
    content = MANIFEST.encode()
    for length in range(0, len(content) - len(b"}\n"), 7):
        refusal(tmp_path, content[:length])


def test_no_file_and_a_directory(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="does not exist: not a complete model version"):
        read_manifest(tmp_path / "manifest.json")
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(ArtifactError, match="Is a directory"):
        read_manifest(tmp_path / "manifest.json")


def test_spans() -> None:
    assert ScaleEntry(0.5, 5).span == 4.5
    assert GoldenRequest(-1, [0], [1.0]).candidate_ids == [0]


@pytest.mark.parametrize(
    "changes",
    [
        {"scores": [1.0]},
        {"choice_scores": [1.0]},
        {"history_ratings": []},
        {"candidate_ids": []},
    ],
    ids=lambda changes: ", ".join(changes),
)
def test_golden_newcomers_whose_columns_do_not_fit(tmp_path: Path, changes: dict[str, Any]) -> None:
    golden = {
        "history_item_ids": [4],
        "history_ratings": [5.0],
        "features": {"age": "33"},
        "item_id": 9,
        "genres": ["War"],
        "year": 1997,
        "candidate_ids": [4, 6],
        "scores": [1.0, 2.0, 3.0],
        "choice_scores": [],
    }
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(VALID | {"golden_newcomers": [golden]}))
    assert len(read_manifest(path).golden_newcomers) == 1
    assert "golden newcomer" in refusal(tmp_path, VALID | {"golden_newcomers": [golden | changes]})


def test_a_golden_request_with_too_few_choices(tmp_path: Path) -> None:
    golden = VALID["golden_requests"][0] | {"choice_scores": [1.0]}
    assert "one choice score for each" in refusal(tmp_path, VALID | {"golden_requests": [golden]})
