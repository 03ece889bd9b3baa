"""One Parquet file of scores, which appears only whole."""

import os
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from rankserve_server.scoring.scoring_plan import ScoringPlan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rankserve_server.scoring.scorer import BestItems

UNFINISHED = ".unfinished-"
"""What the names of files begin with that are being written; readers of directories pass over such names."""
_ROWS_OF_A_GROUP = 131_072
_PLAN, _PART = b"rankserve.plan_sha256", b"rankserve.part"


def part_name(part: int) -> str:
    """The file of a part, which are counted from 0."""
    return f"part-{part:05}.parquet"


@contextmanager
def durable_file(path: Path) -> "Iterator[IO[bytes]]":
    """A file that appears under its name when this is closed without an error: whole, and on the disk."""
    scratch = path.with_name(f"{UNFINISHED}{path.name}-{uuid.uuid4().hex}")
    try:
        with scratch.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        scratch.rename(path)
    finally:
        scratch.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def write_part(directory: Path, plan: ScoringPlan, part: int, by_choice: bool, found: "Iterable[BestItems]") -> int:
    """Writes a part, and holds no more of it than a group of rows.

    Returns:
        How many rows it has.

    Raises:
        OSError: where the disk does not take it; nothing is then left behind.
    """
    rows, waiting = 0, 0
    batches: list[pa.RecordBatch] = []
    schema = _schema(plan, part, by_choice)
    with (
        durable_file(directory / part_name(part)) as file,
        pq.ParquetWriter(file, schema, compression="zstd") as writer,
    ):
        for best in found:
            columns = [best.user_ids, best.ranks, best.item_ids, best.scores]
            if best.choice_scores is not None:
                columns.append(best.choice_scores)
            batches.append(pa.record_batch([pa.array(column) for column in columns], schema=schema))
            waiting += len(best.ranks)
            if waiting >= _ROWS_OF_A_GROUP:
                writer.write_table(pa.Table.from_batches(batches, schema))
                rows, waiting, batches = rows + waiting, 0, []
        writer.write_table(pa.Table.from_batches(batches, schema))
    return rows + waiting


def rows_of_part(directory: Path, plan: ScoringPlan, part: int) -> int | None:
    """How many rows a part has; None where it is not there, is not whole, or is of another plan or part."""
    try:
        found = pq.read_metadata(directory / part_name(part))
    except (FileNotFoundError, pa.ArrowInvalid):
        return None
    said = found.metadata or {}
    if said.get(_PLAN) != plan.digest.encode() or said.get(_PART) != str(part).encode():
        return None
    return int(found.num_rows)


def _schema(plan: ScoringPlan, part: int, by_choice: bool) -> pa.Schema:
    """The columns of BestItems, none of them ever null, and where they come from."""
    columns = [("user_id", pa.int64()), ("rank", pa.int32()), ("item_id", pa.int64()), ("score", pa.float32())]
    if by_choice:
        columns.append(("choice_score", pa.float32()))
    fields = [pa.field(name, kind, nullable=False) for name, kind in columns]
    return pa.schema(
        fields,
        {
            b"rankserve.model": plan.model,
            b"rankserve.version": str(plan.version),
            b"rankserve.manifest_sha256": plan.manifest_sha256,
            b"rankserve.rank_by": "choice" if by_choice else "rating",
            _PLAN: plan.digest,
            _PART: str(part),
        },
    )
