"""No change of the protos breaks a client of the last release."""

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from checks.repository import ROOT

BUF = str(Path(sys.executable).with_name("buf"))


def test_nothing_breaks_since_the_last_release(tmp_path: Path) -> None:
    tag = last_release(ROOT)
    if tag is None:
        pytest.skip("no release tag (v*) in this clone's history: nothing to compare the protos with")
    assert breaking_changes(ROOT, tag, tmp_path) == []


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """A repository with one message, released as v1.0.0."""
    repository = tmp_path / "repository"
    (repository / "protos").mkdir(parents=True)
    (repository / "protos" / "buf.yaml").write_bytes((ROOT / "protos" / "buf.yaml").read_bytes())
    _write_message(repository, "int64 id = 1;")
    _git(repository, "init", "--quiet")
    _git(repository, "add", ".")
    _commit(repository)
    _git(repository, "tag", "v1.0.0")
    _git(repository, "tag", "unrelated")
    return repository


def test_finds_the_last_release(released: Path) -> None:
    assert last_release(released) == "v1.0.0"
    _commit(released)
    _git(released, "tag", "v1.1.0")
    _commit(released)
    assert last_release(released) == "v1.1.0"


def test_there_may_be_no_release(tmp_path: Path) -> None:
    assert last_release(tmp_path) is None  # not even a repository
    _git(tmp_path, "init", "--quiet")
    assert last_release(tmp_path) is None


def test_an_added_field_breaks_nothing(released: Path, tmp_path: Path) -> None:
    _write_message(released, "int64 id = 1; string title = 2;")
    assert breaking_changes(released, "v1.0.0", tmp_path) == []


def test_a_changed_field_is_found(released: Path, tmp_path: Path) -> None:
    _write_message(released, "string id = 1;")
    (change,) = breaking_changes(released, "v1.0.0", tmp_path)
    assert 'Field "1" with name "id" on message "Item" changed type' in change


def last_release(repository: Path) -> str | None:
    describe = ["git", "describe", "--tags", "--abbrev=0", "--match", "v*"]
    process = subprocess.run(describe, cwd=repository, capture_output=True, text=True, check=False)
    return process.stdout.strip() or None


def breaking_changes(repository: Path, release: str, scratch: Path) -> list[str]:
    """What buf says of the protos in the working tree against those of `release`."""
    # An archive and not buf's `.git#tag=`, which clones and so fails in a shallow clone.
    archive = subprocess.run(
        ["git", "archive", "--format=zip", release, "protos"], cwd=repository, capture_output=True, check=True
    ).stdout
    with zipfile.ZipFile(io.BytesIO(archive)) as packed:
        packed.extractall(scratch / release)
    against = scratch / release / "protos"
    process = subprocess.run(
        [BUF, "breaking", "protos", "--against", str(against)],
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert process.returncode == 0 or process.stdout, process.stderr
    return process.stdout.splitlines()


def _write_message(repository: Path, fields: str) -> None:
    text = f'syntax = "proto3";\npackage rankserve.v1;\nmessage Item {{ {fields} }}\n'
    (repository / "protos" / "item.proto").write_text(text, encoding="utf-8")


def _commit(repository: Path) -> None:
    author = ("-c", "user.name=rankserve", "-c", "user.email=rankserve@example.com", "-c", "commit.gpgsign=false")
    _git(repository, *author, "commit", "--quiet", "--allow-empty", "--message", "protos")


def _git(repository: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=repository, check=True, timeout=60)
