"""Publishing: the next free number, whole or not at all, beside others that do the same."""

import errno
import json
import os
import subprocess
import sys
import threading
from itertools import chain
from pathlib import Path

import msgspec
import pytest

from rankserve_training.artifact import ArtifactError, list_versions, publish, read_artifact
from rankserve_training.artifact.publish import check_place
from training.small_version import MODEL_BYTES, publish_small, small_manifest, write_small_files

TESTS = Path(__file__).parents[2]


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def run(code: str, *arguments: str) -> subprocess.Popen[str]:
    """Starts Python code in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_makes_the_directories_and_counts(tmp_path: Path) -> None:
    models_dir = tmp_path / "deep" / "models"
    assert [publish_small(models_dir).name for _ in range(3)] == ["1", "2", "3"]
    assert publish_small(models_dir, "other") == models_dir / "other" / "1"
    assert names(models_dir / "small") == ["1", "2", "3"]
    assert names(models_dir / "small" / "2") == ["catalog.npz", "manifest.json", "model.keras", "users.npz"]
    for version in (1, 2, 3):
        assert read_artifact(models_dir / "small" / str(version)).manifest.version == version


def test_a_number_is_not_used_again(tmp_path: Path) -> None:
    (tmp_path / "small" / "41").mkdir(parents=True)
    (tmp_path / "small" / "42").write_text("a file in the way")
    assert publish_small(tmp_path).name == "43"
    assert (tmp_path / "small" / "42").read_text() == "a file in the way"


def test_anyone_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        version = publish_small(tmp_path)
    finally:
        os.umask(before)
    assert version.stat().st_mode & 0o777 == 0o755
    assert {path.stat().st_mode & 0o777 for path in version.iterdir()} == {0o644}


def test_name_version_and_files_are_filled_in(tmp_path: Path) -> None:
    version = publish(tmp_path, "named", write_small_files, small_manifest("other"))
    manifest = read_artifact(version).manifest
    assert (manifest.name, manifest.version) == ("named", 1)
    assert manifest.files["model.keras"].size == len(MODEL_BYTES)
    empty = {"name": "", "version": 1, "files": {}}
    original = msgspec.structs.asdict(small_manifest()) | empty
    assert msgspec.structs.asdict(manifest) | empty == original


def test_what_could_not_be_read_is_not_published(tmp_path: Path) -> None:
    manifest = small_manifest()
    for unreadable in (
        msgspec.structs.replace(manifest, metrics={"test_rmse": float("nan")}),
        msgspec.structs.replace(manifest, golden_requests=[]),
        msgspec.structs.replace(manifest, format_version=2),
    ):
        with pytest.raises(ArtifactError):
            publish(tmp_path, "small", write_small_files, unreadable)
    with pytest.raises(ArtifactError, match=r"no entry for catalog\.npz, users\.npz"):
        publish(tmp_path, "small", lambda directory: (directory / "model.keras").touch(), manifest)
    assert names(tmp_path / "small") == []


@pytest.mark.parametrize("name", ["", "..", "a/b", ".publishing-x"])
def test_a_name_that_is_none(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArtifactError, match="is not a model name"):
        publish_small(tmp_path / "models", name)
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_leaves_nothing(tmp_path: Path, failure: BaseException) -> None:
    def write_half(directory: Path) -> None:
        (directory / "model.keras").write_bytes(b"half")
        raise failure

    publish_small(tmp_path)
    with pytest.raises(type(failure)):
        publish(tmp_path, "small", write_half, small_manifest())
    assert names(tmp_path / "small") == ["1"]
    assert publish_small(tmp_path).name == "2"


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    """Here: a limit to the size of a file, below that of the model, and below that of the manifest alone."""
    code = """if True:
        import resource, sys
        from pathlib import Path
        from training import small_version
        small_version.MODEL_BYTES = small_version.MODEL_BYTES[:int(sys.argv[3])]
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
        try:
            small_version.publish_small(Path(sys.argv[1]))
        except OSError as error:
            print(error.errno)
    """
    for limit, model_bytes in ((20_000, 30_000), (1_200, 1_000)):
        with run(code, str(tmp_path), str(limit), str(model_bytes)) as process:
            assert process.communicate() == (f"{errno.EFBIG}\n", "")
        assert names(tmp_path / "small") == []


def test_a_place_that_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "small").write_text("")
    check_place(tmp_path / "new" / "models", "small")
    check_place(tmp_path, "small")
    assert names(tmp_path) == ["file", "models"]
    for models_dir in (tmp_path / "file", tmp_path / "file" / "models", tmp_path / "models"):
        with pytest.raises(
            ArtifactError, match=r"nothing can be published in .* is not a directory that can be written"
        ):
            check_place(models_dir, "small")
        with pytest.raises(OSError, match=r"Not a directory|File exists"):
            publish_small(models_dir)
    with pytest.raises(ArtifactError, match="is not a model name"):
        check_place(tmp_path, "..")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_may_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir(mode=0o500)
    with pytest.raises(ArtifactError, match="is not a directory that can be written"):
        check_place(tmp_path, "small")
    with pytest.raises(PermissionError):
        publish_small(tmp_path)
    assert names(tmp_path / "small") == []


def test_many_publishers_at_once(tmp_path: Path) -> None:
    code = """if True:
        import sys
        from pathlib import Path
        from training.small_version import publish_small
        print(*[publish_small(Path(sys.argv[1])).name for _ in range(20)])
    """
    processes = [run(code, str(tmp_path)) for _ in range(3)]
    outputs = [process.communicate() for process in processes]
    assert [errors for _, errors in outputs] == [""] * 3
    numbers = [[int(number) for number in output.split()] for output, _ in outputs]
    assert sorted(chain(*numbers)) == list(range(1, 61)) == list_versions(tmp_path / "small")
    assert all(ascending == sorted(ascending) for ascending in numbers)
    assert len(names(tmp_path / "small")) == 60
    for version in range(1, 61):
        assert read_artifact(tmp_path / "small" / str(version)).manifest.version == version


def test_a_slow_publisher_is_not_disturbed(tmp_path: Path) -> None:
    """What it has written stays although others publish, and remove what they find abandoned, in the meantime."""
    begun, go_on = threading.Event(), threading.Event()
    results = []

    def write_slowly(directory: Path) -> None:
        write_small_files(directory)
        begun.set()
        assert go_on.wait(30)

    thread = threading.Thread(target=lambda: results.append(publish(tmp_path, "small", write_slowly, small_manifest())))
    thread.start()
    try:
        assert begun.wait(30)
        (tmp_path / "small" / ".publishing-abandoned").mkdir()
        assert [publish_small(tmp_path).name, publish_small(tmp_path).name] == ["1", "2"]
        left = names(tmp_path / "small")
    finally:
        go_on.set()
        thread.join()
    assert [name.startswith(".publishing-") for name in left] == [True, False, False]
    assert ".publishing-abandoned" not in left
    assert results == [tmp_path / "small" / "3"]
    assert read_artifact(results[0]).manifest.version == 3
    assert names(tmp_path / "small") == ["1", "2", "3"]


def test_killed_at_any_moment(tmp_path: Path) -> None:
    """SIGKILL, a hundred times: every version that there is reads, and the next publisher tidies up."""
    rounds = 100
    script = Path(__file__).with_name("killed_publishers.py")
    done = subprocess.run(
        [sys.executable, script, tmp_path, str(rounds), "20260102"],
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    left = json.loads(done.stdout)
    assert len(left) == rounds
    # A publisher that finds the remains of the last one removes them before it begins.
    assert set(left) == {0, 1}
    assert sum(left) > rounds / 4, "hardly ever killed while it was publishing"
    versions = list_versions(tmp_path / "small")
    assert versions == list(range(1, len(versions) + 1))
    for version in versions:
        assert read_artifact(tmp_path / "small" / str(version)).manifest.version == version
    last = publish_small(tmp_path)
    assert last.name == str(len(versions) + 1)
    assert names(tmp_path / "small") == sorted(map(str, range(1, len(versions) + 2)))
