"""Publishes a version again and again, each time with a fault at another system call: MODELS_DIR KIND...

A KIND is `kill`, an errno such as `EIO` (one call fails), or one with a plus, `ENOSPC+` (from that call on, all fail
that change something, until `publish` is over). First it publishes without a fault, to learn which calls there are.
Prints JSON: those calls and what each fault has led to, or why it cannot be done here. It is a script, because a
process that runs JAX's threads must not fork.
"""

import errno
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rankserve_training.artifact import ArtifactError, list_versions, read_artifact
from reliability import system_calls
from reliability.system_calls import KILL, SystemCall
from training.small_version import publish_small

# What a full disk, or one that cannot be written any more, refuses.
_WRITES = {"write", "pwrite64", "writev", "mkdir", "mkdirat", "ftruncate", "link", "symlink", "fsync", "fdatasync"}
_CHANGES = _WRITES | {"rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir", "chmod", "fchmod", "fchmodat"}
_LASTING = {"ENOSPC+": _WRITES, "EROFS+": _CHANGES}


def main(models_dir: Path, kinds: list[str]) -> None:
    if reason := system_calls.why_not():
        print(json.dumps({"why_not": reason}))
        return
    prepared = models_dir / "prepared"
    publish_small(prepared)
    left_behind = prepared / "small" / ".publishing-abandoned"
    left_behind.mkdir()
    (left_behind / "model.keras").write_bytes(b"half")
    work = models_dir / "work"
    told = work.with_suffix(".json")
    _fresh(prepared, work)
    calls = system_calls.run(lambda: _publish_twice(work, told), lambda _number, _call: None)
    cases = [_try(prepared, work, told, kind, step) for kind in kinds for step in _steps(kind, calls)]
    print(json.dumps({"calls": [[call.name, *call.paths] for call in calls], "root": str(work), "cases": cases}))


def _steps(kind: str, calls: list[SystemCall]) -> Iterator[int]:
    """Where such a fault makes a difference."""
    for step, call in enumerate(calls):
        if kind not in _LASTING or call.name in _LASTING[kind]:
            yield step


def _try(prepared: Path, work: Path, told: Path, kind: str, step: int) -> dict[str, Any]:
    """What is there after a fault, and after the next publisher."""
    _fresh(prepared, work)
    told.write_text("{}")
    number = None if kind == KILL else getattr(errno, kind.rstrip("+"))
    hit: list[str] = []

    def decide(place: int, call: SystemCall) -> "int | str | None":
        lasts = kind in _LASTING and place > step and call.name in _LASTING[kind]
        if place == step or lasts:
            hit.append(call.name)
            return KILL if number is None else number
        return None

    system_calls.run(lambda: _publish_twice(work, told), decide)
    case = {"kind": kind, "step": step, "call": hit[0], "broken": _broken(prepared, work)}
    case |= json.loads(told.read_text())
    case["left"] = _unfinished(work)
    case["versions"] = list_versions(work / "small")
    case["next"] = publish_small(work).name
    case["broken_then"], case["left_then"] = _broken(prepared, work), _unfinished(work)
    return case


def _publish_twice(work: Path, told: Path) -> None:
    """With the fault, and again in the same process; in between the first may not have kept a lock or a file open."""
    outcome: dict[str, Any] = {}
    files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208, the file of the listing itself is among them
    system_calls.mark()
    try:
        outcome["published"] = publish_small(work).name
    except OSError as error:
        outcome["errno"] = error.errno
    except BaseException as error:
        outcome["other"] = repr(error)
    system_calls.mark()
    outcome["kept_open"] = len(os.listdir("/proc/self/fd")) - files  # noqa: PTH208, the listing itself is among them
    outcome["left_by_it"] = _unfinished(work)
    outcome["visible"] = list_versions(work / "small")
    outcome["again"] = publish_small(work).name
    told.write_text(json.dumps(outcome))


def _fresh(prepared: Path, work: Path) -> None:
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(prepared, work)


def _unfinished(work: Path) -> list[str]:
    return sorted(path.name for path in (work / "small").glob(".publishing-*"))


def _broken(prepared: Path, work: Path) -> list[str]:
    """The versions that do not read, and the old one where it is not what it was."""
    found = []
    for version in list_versions(work / "small"):
        try:
            read_artifact(work / "small" / str(version))
        except ArtifactError as error:
            found.append(str(error))
    if _digest(prepared / "small" / "1") != _digest(work / "small" / "1"):
        found.append("version 1 has changed")
    return found


def _digest(version: Path) -> str:
    content = [(path.name, path.read_bytes()) for path in sorted(version.iterdir())] if version.exists() else []
    return hashlib.sha256(repr(content).encode()).hexdigest()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
