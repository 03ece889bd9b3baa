"""The directory that scores are written to: whose scores it holds, which files are missing, and who may write."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from rankserve_server.scoring.errors import ScoringError
from rankserve_server.scoring.part_file import UNFINISHED, durable_file, part_name, rows_of_part
from rankserve_server.scoring.scoring_plan import ScoringPlan

PLAN_FILE = "_plan.json"
SUCCESS_FILE = "_SUCCESS"
_PARTS = "part-*.parquet"
# A run that was killed gives the directory back a moment later.
_LOCK_SECONDS = 3.0


class OutputDirectory:
    """A directory with the scores of one plan, which this process alone writes.

    Its parts appear whole, `_plan.json` before the first of them, and `_SUCCESS` behind the last.
    """

    def __init__(self, directory: Path, plan: ScoringPlan) -> None:
        """See `claimed`."""
        self.path = directory
        self._plan = plan

    def missing(self) -> list[int]:
        """The parts that are yet to be written: not there, or damaged."""
        return [part for part in range(self._plan.part_count) if rows_of_part(self.path, self._plan, part) is None]

    def begin(self) -> None:
        """Says that parts are missing, where some that were there have gone."""
        (self.path / SUCCESS_FILE).unlink(missing_ok=True)

    def finish(self, known_users: int) -> dict[str, Any]:
        """Looks at all parts and writes `_SUCCESS`, which says how many of what there are.

        Raises:
            ScoringError: where a part is not as it was written.
        """
        parts: list[dict[str, Any]] = []
        for part in range(self._plan.part_count):
            rows = rows_of_part(self.path, self._plan, part)
            if rows is None:
                raise ScoringError(f"{self.path / part_name(part)} was changed meanwhile; run the same again")
            parts.append({"file": part_name(part), "rows": rows, "bytes": (self.path / part_name(part)).stat().st_size})
        success = {
            "plan": msgspec.to_builtins(self._plan),
            "users": self._plan.user_count,
            "known_users": known_users,
            "rows": sum(part["rows"] for part in parts),
            "parts": parts,
        }
        with durable_file(self.path / SUCCESS_FILE) as file:
            file.write(msgspec.json.format(msgspec.json.encode(success), indent=2) + b"\n")
        return success


@contextmanager
def claimed(directory: Path, plan: ScoringPlan, overwrite: bool) -> Iterator[OutputDirectory]:
    """Has the directory for this plan while this is open; it is made where it is not there.

    Args:
        directory: where parts are written.
        plan: what they are to hold.
        overwrite: whether scores of another plan, or of this one, are removed first.

    Raises:
        ScoringError: where another process writes there, or something else lies there.
        OSError: where it cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        _lock(descriptor, directory)
        for path in directory.glob(f"{UNFINISHED}*"):
            path.unlink(missing_ok=True)
        if overwrite:
            _remove_scores(directory)
        _take(directory, plan)
        yield OutputDirectory(directory, plan)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, directory: Path) -> None:
    give_up = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > give_up:
                raise ScoringError(
                    f"another 'rankserve score' writes to {directory}; wait for it, or stop it"
                ) from None
            time.sleep(0.05)
        else:
            return


def _remove_scores(directory: Path) -> None:
    """The plan goes last: where this is cut short, the rest is still known for what it is."""
    if not (directory / PLAN_FILE).exists():
        return
    (directory / SUCCESS_FILE).unlink(missing_ok=True)
    for path in directory.glob(_PARTS):
        path.unlink()
    (directory / PLAN_FILE).unlink()


def _take(directory: Path, plan: ScoringPlan) -> None:
    found = _plan_in(directory)
    if found is None:
        others = sorted(path.name for path in directory.iterdir())
        if others:
            raise ScoringError(f"{directory} holds {others[0]!r}, and no scores: give another --output, or empty it")
        _write_plan(directory, plan)
    elif found != plan and not any(directory.glob(_PARTS)):  # nothing has come of it, maybe as it could not be done
        (directory / SUCCESS_FILE).unlink(missing_ok=True)
        _write_plan(directory, plan)
    elif found != plan:
        raise ScoringError(
            f"{directory} holds scores of another run: {'; '.join(plan.differences(found))}. Give another --output, "
            "the same arguments to go on with it, or --overwrite"
        )
    expected = {part_name(part) for part in range(plan.part_count)}
    foreign = sorted(path.name for path in directory.glob(_PARTS) if path.name not in expected)
    if foreign:
        raise ScoringError(f"{directory / foreign[0]} is none of these scores; move it away, or give --overwrite")


def _write_plan(directory: Path, plan: ScoringPlan) -> None:
    with durable_file(directory / PLAN_FILE) as file:
        file.write(plan.encoded())


def _plan_in(directory: Path) -> ScoringPlan | None:
    try:
        content = (directory / PLAN_FILE).read_bytes()
    except FileNotFoundError:
        return None
    try:
        return msgspec.json.decode(content, type=ScoringPlan)
    except msgspec.MsgspecError as error:
        raise ScoringError(
            f"{directory / PLAN_FILE} is not of this release ({error}); give another --output, or --overwrite"
        ) from error
