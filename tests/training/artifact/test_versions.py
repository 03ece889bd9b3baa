"""What a models directory holds, told by its folders."""

from pathlib import Path

import pytest

from rankserve_training.artifact import ArtifactError, list_names, list_versions, resolve_version
from rankserve_training.artifact.versions import check_name


def make(root: Path, *directories: str) -> None:
    for directory in directories:
        (root / directory).mkdir(parents=True)


def test_versions_ascend_as_numbers(tmp_path: Path) -> None:
    make(tmp_path, "10", "9", "1", "100", str(10**17))
    assert list_versions(tmp_path) == [1, 9, 10, 100, 10**17]


def test_everything_else_is_passed_over(tmp_path: Path) -> None:
    make(tmp_path, "3", "0", "01", "-1", "+4", "1.0", "v5", "٣", "²", " 6", "7 ", "1_0", ".publishing-x", "1" * 19)
    (tmp_path / "8").write_text("a file")
    assert list_versions(tmp_path) == [3]
    assert list_versions(tmp_path / "none") == list_versions(tmp_path / "8") == []


def test_models_are_folders_with_a_version(tmp_path: Path) -> None:
    make(tmp_path, "shop/1", "a.b-c_d/2", "7/3", "empty", "named/v1", ".hidden/1", "with space/1", "-dash/1", "x" * 128)
    (tmp_path / "file").write_text("")
    (tmp_path / "linked").symlink_to(tmp_path / "shop")
    assert list_names(tmp_path) == ["7", "a.b-c_d", "linked", "shop"]
    assert list_names(tmp_path / "none") == []


@pytest.mark.parametrize("name", ["a", "7", "movielens", "A.b-c_D", "0", "x" * 128])
def test_names(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", ".a", "-a", "_a", "a/b", "a b", "a\n", "é", "x" * 129, "a\0"])
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(ArtifactError, match="is not a model name: use 1 to 128 letters"):
        check_name(name)


def test_a_path_leads_to_one_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "shop/9", "shop/10")
    assert resolve_version(tmp_path / "shop") == tmp_path / "shop" / "10"
    assert resolve_version(tmp_path / "shop" / "9") == tmp_path / "shop" / "9"
    monkeypatch.chdir(tmp_path / "shop" / "9")
    assert resolve_version(Path()) == tmp_path / "shop" / "9"
    assert resolve_version(Path("..")) == tmp_path / "shop" / "10"


def test_a_model_named_like_a_version(tmp_path: Path) -> None:
    make(tmp_path, "7/1", "7/2")
    assert resolve_version(tmp_path / "7") == tmp_path / "7" / "2"
    assert resolve_version(tmp_path / "7" / "1") == tmp_path / "7" / "1"


def test_paths_that_lead_to_none(tmp_path: Path) -> None:
    make(tmp_path, "empty")
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "none", tmp_path / "file"):
        with pytest.raises(ArtifactError, match="is not a directory; give MODELS_DIR/NAME or"):
            resolve_version(path)
    with pytest.raises(ArtifactError, match="holds no version; publish one with: rankserve train --models-dir"):
        resolve_version(tmp_path / "empty")
