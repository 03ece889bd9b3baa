"""From a directory to a version that may answer: what is refused, with the real model."""

import json
import logging
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from integration.versions import copy_version, cut_short
from rankserve_server.loaded_model import LoadedModel
from rankserve_server.loading import load_version
from rankserve_training.artifact import Artifact, ArtifactError


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


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ("max_table_mib", "kept", "multiplications"),
    [
        (2, "items (0.2 MiB instead of 1.6 MiB)", "24,640"),
        (1, "users (0.1 MiB instead of 0.9 MiB) and items (0.2 MiB instead of 1.6 MiB)", "32,832"),
        (0, "users (0.1 MiB instead of 0.9 MiB) and items (0.2 MiB instead of 1.6 MiB)", "32,832"),
    ],
)
def test_what_the_limit_keeps_from_being_folded_is_said(
    version: Path, caplog: pytest.LogCaptureFixture, max_table_mib: int, kept: str, multiplications: str
) -> None:
    load_version(version, lambda: None, max_table_mib)
    assert warnings_of(caplog) == [
        f"copy/5: its folded tables would take 2.6 MiB, and --max-table-mib allows {max_table_mib} MiB. Embeddings are "
        f"kept for {kept}, so that a candidate costs {multiplications} multiplications instead of 16,448."
    ]


def test_nothing_is_said_where_all_is_folded(version: Path, caplog: pytest.LogCaptureFixture) -> None:
    load_version(version, lambda: None, max_table_mib=3)
    assert warnings_of(caplog) == []


def test_the_keras_model_is_gone_when_the_engine_compiles(version: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models: list[weakref.ref[Any]] = []
    load_keras_model = Artifact.load_keras_model

    def load_and_watch(artifact: Artifact) -> Any:
        model = load_keras_model(artifact)
        models.append(weakref.ref(model))
        return model

    monkeypatch.setattr(Artifact, "load_keras_model", load_and_watch)
    alive: list[bool] = []
    load_version(version, lambda: alive.append(any(model() is not None for model in models)))
    before_loading, loaded, *compiling = alive
    assert (before_loading, loaded) == (False, True)
    assert compiling
    assert not any(compiling)


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
