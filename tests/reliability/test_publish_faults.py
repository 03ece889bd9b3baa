"""Publishing where the disk is full, fails or is read-only, or the publisher is killed, at every single step.

A step is a system call, so a step that is added to `publish` is covered as soon as it is there.
"""

import errno
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rankserve_training.artifact import list_versions, read_artifact
from session_files import made_once
from training.small_version import publish_small

TESTS = Path(__file__).parents[1]
KINDS = ("kill", "ENOSPC+", "EROFS+")
OTHER_KINDS = ("EIO", "ENOSPC", "EROFS", "EACCES", "EMFILE")
# What is found when publishing begins, and cannot always be removed.
ABANDONED = ".publishing-abandoned"
PAGE = 4_096
TINY_DISK = 256 * 1_024


def faults(models_dir: Path, kinds: tuple[str, ...]) -> dict[str, Any]:
    """Runs `faulty_publishers`."""
    done = subprocess.run(
        [sys.executable, "-m", "reliability.faulty_publishers", models_dir, *kinds],
        cwd=TESTS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    told: dict[str, Any] = json.loads(done.stdout)
    if "why_not" in told:
        pytest.skip(told["why_not"])
    return told


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    models_dir = tmp_path_factory.mktemp("faults")
    place = made_once("faults", lambda place: (place / "told").write_text(json.dumps(faults(models_dir, KINDS))))
    told: dict[str, Any] = json.loads((place / "told").read_text())
    return told


def assert_harmless(cases: list[dict[str, Any]]) -> None:
    """Each time: the old version is what it was, a new one is whole or not there, and the next publishing works."""
    for case in cases:
        assert case["broken"] == case["broken_then"] == [], case
        assert case["versions"][0] == 1, case
        assert case["next"] == str(max(case["versions"]) + 1), case
        assert case["left_then"] == [], case


def assert_told(cases: list[dict[str, Any]]) -> None:
    """Each time: the publisher has published, or raises OSError; it has not kept a lock, and can go on."""
    for case in cases:
        assert "other" not in case, case
        assert ("published" in case) != ("errno" in case), case
        # Closing twice what could not be closed is the standard library's answer to that.
        assert case.get("errno") in (None, errno.EBADF, getattr(errno, case["kind"].rstrip("+"))), case
        assert case["kept_open"] == 0, case
        assert case["visible"] == ([1, 2] if "published" in case else case["visible"]), case
        assert case["again"] == str(max(case["visible"]) + 1), case
        assert case["left"] == [], case


@pytest.mark.reliability
def test_killed_at_every_step_it_leaves_a_whole_version_or_none(told: dict[str, Any]) -> None:
    cases = [case for case in told["cases"] if case["kind"] == "kill"]
    assert_harmless(cases)
    assert len(cases) == len(told["calls"]) > 80
    assert {tuple(case["versions"]) for case in cases} == {(1,), (1, 2)}
    assert sum(bool(case["left"]) for case in cases) > len(cases) / 2, "hardly ever killed while it was publishing"
    print(f"\nkilled at each of {len(cases)} system calls")


@pytest.mark.parametrize("kind", ["ENOSPC+", "EROFS+"])
def test_a_disk_that_is_full_or_read_only_from_any_step_on_costs_only_the_new_version(
    told: dict[str, Any], kind: str
) -> None:
    cases = [case for case in told["cases"] if case["kind"] == kind]
    assert_harmless(cases)
    assert_told(cases)
    assert len(cases) > 20
    assert all("errno" in case for case in cases)
    if kind == "ENOSPC+":  # what can be removed was removed
        assert all(not case["left_by_it"] for case in cases)
    print(f"\n{kind} from each of {len(cases)} system calls on")


@pytest.mark.reliability
@pytest.mark.timeout(3_600)
def test_an_error_at_any_step_leaves_a_whole_version_or_none(tmp_path: Path) -> None:
    told = faults(tmp_path, OTHER_KINDS)
    assert_harmless(told["cases"])
    assert_told(told["cases"])
    assert all(set(case["left_by_it"]) <= {ABANDONED} for case in told["cases"]), "it has not tidied up after itself"
    outcomes = Counter(f"{case['kind']}: {'refused' if 'errno' in case else 'published'}" for case in told["cases"])
    assert outcomes.total() == len(told["calls"]) * len(OTHER_KINDS)
    print(f"\n{outcomes.total():,} faults: {dict(outcomes)}")


def test_everything_is_on_the_disk_before_it_is_visible(told: dict[str, Any]) -> None:
    """So a power cut is no worse than a kill: what was written is synced, then the names, then comes the rename."""
    calls = [(name, paths) for name, *paths in told["calls"]]
    (rename,) = [place for place, (name, _) in enumerate(calls) if name.startswith("rename")]
    scratch, target = calls[rename][1]
    written = {paths[0]: place for place, (name, paths) in enumerate(calls) if name == "write"}
    assert {Path(path).name for path in written} == {"catalog.npz", "manifest.json", "model.keras", "users.npz"}
    synced = [(place, paths[0]) for place, (name, paths) in enumerate(calls) if name in ("fsync", "fdatasync")]
    for path, last in written.items():
        assert Path(path).parent == Path(scratch)
        assert any(last < place < rename and file == path for place, file in synced), f"{path} is not synced"
    assert any(max(written.values()) < place < rename and file == scratch for place, file in synced)
    model_dir = str(Path(target).parent)
    for directory in (model_dir, told["root"]):
        assert any(rename < place and file == directory for place, file in synced), f"{directory} is not synced"


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of some pages."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={TINY_DISK}", "tmpfs", place], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def test_a_real_disk_that_is_full_costs_only_the_new_version(tiny_disk: Path) -> None:
    """It fills up within each of the files in turn."""
    publish_small(tiny_disk)
    old = {path.name: path.read_bytes() for path in (tiny_disk / "small" / "1").iterdir()}
    pages = sum(-(-len(content) // PAGE) for content in old.values())
    filler = tiny_disk / "filler"
    for free in range(pages):
        filler.write_bytes(b"")
        free_now = TINY_DISK // PAGE - pages
        filler.write_bytes(bytes(PAGE * (free_now - free)))
        with pytest.raises(OSError, match="No space left on device"):
            publish_small(tiny_disk)
        assert [path.name for path in (tiny_disk / "small").iterdir()] == ["1"]
        assert {path.name: path.read_bytes() for path in (tiny_disk / "small" / "1").iterdir()} == old
    filler.unlink()
    assert publish_small(tiny_disk).name == "2"
    assert [read_artifact(tiny_disk / "small" / name).manifest.version for name in "12"] == [1, 2]


def test_a_disk_that_is_read_only_is_refused_and_left_alone(tiny_disk: Path) -> None:
    publish_small(tiny_disk)
    subprocess.run(["mount", "-o", "remount,ro", tiny_disk], check=True)
    with pytest.raises(OSError, match="Read-only file system"):
        publish_small(tiny_disk)
    read_artifact(tiny_disk / "small" / "1")
    subprocess.run(["mount", "-o", "remount,rw", tiny_disk], check=True)
    assert publish_small(tiny_disk).name == "2"
    assert list_versions(tiny_disk / "small") == [1, 2]
