"""A run of `rankserve score`: from what was asked for to files and figures."""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from rankserve_server.scoring.errors import ScoringError
from rankserve_server.scoring.id_file import read_ids
from rankserve_server.scoring.output_directory import claimed
from rankserve_server.scoring.scoring_job import Part, ScoringJob
from rankserve_server.scoring.scoring_plan import Order, ScoringPlan, digest_of
from rankserve_training.artifact import Artifact, ArtifactError, read_artifact
from rankserve_training.artifact.manifest import MANIFEST_FILE
from rankserve_training.artifact.signing import read_trusted_keys
from rankserve_training.artifact.storage.fetching import version_at

Engine: TypeAlias = Callable[[ScoringJob, Sequence[Part]], Iterator[Part]]
"""What writes parts, and gives each once it is on the disk."""


@dataclass(frozen=True)
class Request:
    """What the command was asked for; see its options."""

    model: Path | str
    output: Path
    top_k: int
    users: Path | None
    items: Path | None
    rank_by: Order
    exclude_seen: bool
    users_per_file: int
    max_table_mib: int
    trusted_keys: tuple[Path, ...]
    overwrite: bool


@dataclass(frozen=True)
class Outcome:
    """What a run has done.

    Attributes:
        model: name of the model.
        version: its version.
        output: the directory.
        users: how many users the files have, those that are new to the model too.
        unknown_users: those of them.
        items: how many items were scored for each.
        unknown_items: those of them that the model does not know.
        repeated_ids: lines of the files of ids that were left out because they repeat one.
        rows: of all files.
        files: how many.
        files_written: by this run; the others were there.
        users_scored: by this run.
        seconds: it took, from the start of the command's work to the end.
        pairs_per_second: users times items that this run has scored, over these seconds; 0 where there was nothing.
    """

    model: str
    version: int
    output: str
    users: int
    unknown_users: int
    items: int
    unknown_items: int
    repeated_ids: int
    rows: int
    files: int
    files_written: int
    users_scored: int
    seconds: float
    pairs_per_second: float

    def to_json(self) -> dict[str, object]:
        """With these keys."""
        return asdict(self)


class ScoringRun:
    """One run: `prepare` says what there is to do, `write` does it.

    Attributes:
        plan: what the files hold.
    """

    def __init__(self, request: Request) -> None:
        """Verifies the files of the version and reads the lists of ids.

        Raises:
            ScoringError: where the version, or a list, is not as it should be.
            OSError: where a list cannot be read.
        """
        self._started = time.monotonic()
        self._request = request
        artifact, version = _verified(request)
        listed_users, repeated_users = (None, 0) if request.users is None else read_ids(request.users)
        item_ids, repeated_items = (None, 0) if request.items is None else read_ids(request.items)
        self._user_ids = artifact.users.index.ids if listed_users is None else listed_users
        self._known_users = int(np.count_nonzero(artifact.users.index.rows(self._user_ids)))
        self._repeated = repeated_users + repeated_items
        self._unknown_items = (
            0 if item_ids is None else int(np.count_nonzero(artifact.catalog.index.rows(item_ids) == 0))
        )
        self.plan = ScoringPlan(
            model=artifact.manifest.name,
            version=artifact.manifest.version,
            manifest_sha256=hashlib.sha256((version / MANIFEST_FILE).read_bytes()).hexdigest(),
            max_table_mib=request.max_table_mib,
            top_k=request.top_k,
            rank_by=request.rank_by,
            exclude_seen=request.exclude_seen,
            users=digest_of(listed_users),
            user_count=len(self._user_ids),
            items=digest_of(item_ids),
            item_count=len(artifact.catalog) if item_ids is None else len(item_ids),
            users_per_file=request.users_per_file,
        )
        output = request.output.resolve()
        self._job = ScoringJob(self.plan, version, output, item_ids, request.trusted_keys)

    def write(self, engine: Engine, progress: Callable[[int, int], None]) -> Outcome:
        """Writes the files that are missing, and at last `_SUCCESS`.

        Args:
            engine: what writes them.
            progress: is told how many users have been scored, and of how many.

        Raises:
            ScoringError: where it cannot be done.
            OSError: where the disk does not take it.
        """
        with claimed(self._job.output, self.plan, self._request.overwrite) as output:
            parts = [Part(number, self.plan.users_of(number, self._user_ids)) for number in output.missing()]
            if parts:
                output.begin()
            done = self.plan.user_count - sum(len(part.user_ids) for part in parts)
            progress(done, self.plan.user_count)
            for part in engine(self._job, parts) if parts else ():
                done += len(part.user_ids)
                progress(done, self.plan.user_count)
            success = output.finish(self._known_users)
        return self._outcome(parts, rows=success["rows"])

    def _outcome(self, written: list[Part], rows: int) -> Outcome:
        seconds = time.monotonic() - self._started
        scored = sum(len(part.user_ids) for part in written)
        return Outcome(
            model=self.plan.model,
            version=self.plan.version,
            output=str(self._request.output),
            users=self.plan.user_count,
            unknown_users=self.plan.user_count - self._known_users,
            items=self.plan.item_count,
            unknown_items=self._unknown_items,
            repeated_ids=self._repeated,
            rows=rows,
            files=self.plan.part_count,
            files_written=len(written),
            users_scored=scored,
            seconds=round(seconds, 3),
            pairs_per_second=round(scored * self.plan.item_count / seconds),
        )


def _verified(request: Request) -> tuple[Artifact, Path]:
    try:
        version = version_at(request.model)
        artifact = read_artifact(version, read_trusted_keys(request.trusted_keys))
    except ArtifactError as error:
        raise ScoringError(str(error)) from error
    if not len(artifact.catalog) or not len(artifact.users):
        raise ScoringError(f"{version} has no users or no items, so that there is nothing to score")
    return artifact, version
