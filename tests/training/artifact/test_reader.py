"""Reading a version: nothing that has been changed since it was published is opened."""

import io
import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankserve_training.artifact import ArtifactError, UserTable, list_versions, read_artifact
from training.small_version import change_manifest, publish_small, replace_file

FILES = ("model.keras", "catalog.npz", "users.npz")


@pytest.fixture
def version(tmp_path: Path) -> Path:
    return publish_small(tmp_path / "models")


def refusal(version: Path) -> str:
    with pytest.raises(ArtifactError) as caught:
        read_artifact(version)
    message = str(caught.value)
    assert message.startswith(str(version))
    return message


def test_a_whole_version(version: Path) -> None:
    artifact = read_artifact(version)
    assert artifact.directory == version
    assert (artifact.manifest.name, artifact.manifest.version) == ("small", 1)
    assert artifact.catalog.ids.tolist() == [4, 6]
    assert artifact.catalog.titles == ["Four", "Señor Six"]
    assert artifact.catalog.genres == [("Drama", "War"), ()]
    assert artifact.users.seen(artifact.users.index.row(9)).tolist() == [1, 2]


def test_a_relative_path_and_a_link(version: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(version.parent)
    assert read_artifact(Path("1")).directory == version
    (tmp_path / "current").symlink_to(version)
    assert read_artifact(tmp_path / "current").directory == version


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_short_or_longer_or_missing(version: Path, name: str) -> None:
    content = (version / name).read_bytes()
    for damaged in (content[:-1], content[: len(content) // 2], b"", content + b"\0"):
        (version / name).write_bytes(damaged)
        assert f"{name} has {len(damaged)} bytes, but the manifest says {len(content)}" in refusal(version)
    (version / name).unlink()
    assert refusal(version).endswith(f"{name} is missing")
    (version / name).mkdir()
    assert refusal(version).endswith(f"{name} is missing")


@given(name=st.sampled_from(FILES), place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit(tmp_path_factory: pytest.TempPathFactory, name: str, place: float, bit: int) -> None:
    models_dir = tmp_path_factory.getbasetemp() / "flipped"
    version = models_dir / "small" / "1"
    if not version.exists():
        publish_small(models_dir)
    whole = (version / name).read_bytes()
    content = bytearray(whole)
    content[int(place * len(content))] ^= 1 << bit
    (version / name).write_bytes(content)
    assert refusal(version).endswith(f"{name} does not have the SHA-256 of its manifest: changed or damaged")
    (version / name).write_bytes(whole)
    read_artifact(version)


def test_two_files_of_the_same_size_exchanged(tmp_path: Path) -> None:
    first, second = (publish_small(tmp_path) for _ in range(2))
    replace_file(second, "model.keras", (second / "model.keras").read_bytes()[::-1])
    read_artifact(second)
    shutil.copy(first / "model.keras", second / "model.keras")
    assert "does not have the SHA-256" in refusal(second)


def test_other_files_are_passed_over(version: Path) -> None:
    (version / "notes.txt").write_text("trained by hand")
    read_artifact(version)


def test_a_version_keeps_its_name_and_number(version: Path, tmp_path: Path) -> None:
    models_dir = version.parent.parent
    for other in (version.parent / "2", models_dir / "other" / "1", tmp_path / "1"):
        shutil.copytree(version, other)
        assert "its manifest says that it is small/1; a version keeps its name and number" in refusal(other)
    shutil.copytree(models_dir, tmp_path / "elsewhere")
    read_artifact(tmp_path / "elsewhere" / "small" / "1")


@pytest.mark.parametrize("outside", ["../secret", "..", ".", "", "sub/../../secret", "sub/file", "\0", "x" * 5_000])
def test_a_file_name_that_leads_elsewhere(version: Path, outside: str) -> None:
    (version.parent / "secret").write_bytes(b"secret")
    (version / "sub").mkdir()
    (version / "sub" / "file").write_bytes(b"secret")
    files = json.loads((version / "manifest.json").read_text(encoding="utf-8"))["files"]
    secret = {"size": 6, "sha256": "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"}
    change_manifest(version, files=files | {outside: secret})
    refusal(version)
    change_manifest(version, files=files | {str(version.parent / "secret"): secret})
    assert "is not a file of this directory" in refusal(version)


@pytest.mark.parametrize("name", ["catalog.npz", "users.npz"])
def test_columns_that_are_broken_although_their_hash_is_right(version: Path, name: str) -> None:
    whole = (version / name).read_bytes()
    empty = io.BytesIO()
    zipfile.ZipFile(empty, "w").close()
    for content in (b"", b"no archive", whole[:-30], whole[:50] + b"\0" * 50 + whole[100:], empty.getvalue()):
        replace_file(version, name, content)
        assert f"{name}" in refusal(version)
    replace_file(version, name, whole)
    read_artifact(version)


def test_counts_that_do_not_fit(version: Path) -> None:
    change_manifest(version, users={"count": 2, "minimum": 9, "maximum": 10})
    assert refusal(version).endswith("the manifest says 2 users, but the file holds 1")
    change_manifest(
        version, users={"count": 1, "minimum": 9, "maximum": 9}, items={"count": 0, "minimum": 0, "maximum": 0}
    )
    assert refusal(version).endswith("the manifest says 0 items, but the file holds 2")


def test_users_of_a_larger_catalogue(version: Path, tmp_path: Path) -> None:
    """Its rows would lie outside of the item table."""
    other = UserTable.from_ratings(np.array([9]), np.array([1], np.int32), np.array([3], np.int32))
    other.write(tmp_path / "users.npz")
    replace_file(version, "users.npz", (tmp_path / "users.npz").read_bytes())
    assert "column 'seen.rows' should hold rows from 1 to 2" in refusal(version)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(version: Path) -> None:
    (version / "users.npz").chmod(0)
    assert "Permission denied" in refusal(version)


def test_what_is_no_version(tmp_path: Path) -> None:
    assert "manifest.json does not exist" in refusal(tmp_path)
    assert "manifest.json does not exist" in refusal(tmp_path / "none")
    publish_small(tmp_path)
    assert list_versions(tmp_path / "small") == [1]
    assert "manifest.json does not exist" in refusal(tmp_path / "small")
