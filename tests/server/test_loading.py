"""From a directory to a version that may answer: what is refused, with the real model."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from integration.versions import copy_version, cut_short
from rankserve_server.loaded_model import LoadedModel
from rankserve_server.loading import load_version
from rankserve_training.artifact import ArtifactError


@pytest.fixture
def version(models_dir: Path, tmp_path: Path) -> Path:
    """A copy that may be broken."""
    return copy_version(models_dir / "movielens" / "1", tmp_path, "copy", 5)


def load(version: Path) -> None:
    load_version(version, lambda: None)


def edit_manifest(version: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = version / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    change(manifest)
    path.write_text(json.dumps(manifest), encoding="utf-8")


def test_a_whole_version_may_answer(movielens: LoadedModel) -> None:
    loaded = (movielens.name, movielens.version, len(movielens.users), len(movielens.catalog))
    assert loaded == ("movielens", 1, 943, 1_682)
    assert movielens.catalog.titles[203] == "Back to the Future (1985)"


def test_a_version_that_does_not_keep_its_golden_scores_is_refused(version: Path) -> None:
    def spoil_one(manifest: dict[str, Any]) -> None:
        manifest["golden_requests"][-1]["scores"][-1] += 0.001

    edit_manifest(version, spoil_one)
    with pytest.raises(ArtifactError, match=r"golden request is off by .* where 4e-05 is allowed; the model does not"):
        load(version)


def test_a_golden_request_may_be_longer_than_a_batch(version: Path) -> None:
    def repeat_and_spoil_the_last(manifest: dict[str, Any]) -> None:
        golden = manifest["golden_requests"][0]
        manifest["golden_requests"][0] |= {key: golden[key] * 100 for key in ("candidate_ids", "scores")}
        manifest["golden_requests"][0]["scores"][-1] += 1

    edit_manifest(version, repeat_and_spoil_the_last)
    with pytest.raises(ArtifactError, match=r"off by 1 where"):
        load(version)


def test_an_unknown_architecture_is_refused(version: Path) -> None:
    edit_manifest(version, lambda manifest: manifest["training"].update(architecture="oracle"))
    with pytest.raises(ArtifactError, match=r"architecture 'oracle' is none of those known here: embedding_mlp"):
        load(version)


@pytest.mark.parametrize("name", ["model.keras", "catalog.npz", "users.npz", "manifest.json"])
def test_every_file_is_needed(version: Path, name: str) -> None:
    (version / name).unlink()
    with pytest.raises(ArtifactError, match=name):
        load(version)


def test_a_file_that_is_cut_short_is_refused_before_it_is_opened(version: Path) -> None:
    cut_short(version)
    with pytest.raises(ArtifactError, match=r"cut short or changed"):
        load(version)


def test_a_changed_byte_is_found(version: Path) -> None:
    content = bytearray((version / "model.keras").read_bytes())
    content[len(content) // 2] ^= 1
    (version / "model.keras").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"SHA-256"):
        load(version)


def test_a_version_under_another_number_is_refused(version: Path) -> None:
    with pytest.raises(ArtifactError, match=r"its manifest says that it is copy/5"):
        load(version.rename(version.with_name("6")))


def test_what_the_checkpoint_raises_ends_it(version: Path) -> None:
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    load_version(version, count)
    assert steps >= 5, "a signal would have to wait long"
    for last in (1, steps // 2):
        remaining = last

        def stop() -> None:
            nonlocal remaining
            remaining -= 1
            if not remaining:
                raise KeyError("stopped")

        with pytest.raises(KeyError, match=r"stopped"):
            load_version(version, stop)
