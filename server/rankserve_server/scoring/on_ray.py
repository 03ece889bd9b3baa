"""Parts written by the actors of Ray Data."""

import logging
import os
from collections.abc import Iterator, Sequence
from typing import Any

import ray
import ray.data
import ray.exceptions

from rankserve_server.scoring.errors import ScoringError
from rankserve_server.scoring.part_writer import PartWriter
from rankserve_server.scoring.scoring_job import Part, ScoringJob


def write_on_ray(job: ScoringJob, parts: Sequence[Part], actors: int) -> Iterator[Part]:
    """Writes the parts, each actor with an engine of its own; gives each once it is on the disk.

    It joins the cluster of RAY_ADDRESS, or starts Ray on this machine, for as long as this takes. The version and the
    output directory are the same paths on all machines of a cluster.

    Raises:
        ScoringError: where the version cannot be loaded, a part cannot be written, or Ray fails.
    """
    elsewhere = "RAY_ADDRESS" in os.environ
    try:
        ray.init(
            num_cpus=None if elsewhere else actors,
            include_dashboard=None if elsewhere else False,
            logging_level=logging.WARNING,
            log_to_driver=False,
        )
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.WARNING)
        rows = [{"number": part.number, "user_ids": part.user_ids} for part in parts]
        by_number = {part.number: part for part in parts}
        wanted = ray.data.from_items(rows, override_num_blocks=len(rows))
        size = min(actors, len(rows))
        written = wanted.map(
            _Actor, fn_constructor_args=(job,), num_cpus=1, compute=ray.data.ActorPoolStrategy(size=size)
        )
        for row in written.iter_rows():
            if row["error"]:
                raise ScoringError(row["error"])
            yield by_number[row["number"]]
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise ScoringError(f"Ray has failed: {_first_line(error)}; run the same again to go on") from error
    finally:
        ray.shutdown()


class _Actor:
    """Loads the version when its first part comes: Ray shows what fails earlier as a fault of its own."""

    def __init__(self, job: ScoringJob) -> None:
        self._job = job
        self._writer: PartWriter | None = None

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        error = ""
        try:
            if self._writer is None:
                self._writer = PartWriter(self._job)
            self._writer.write(Part(int(row["number"]), row["user_ids"]))
        except (ScoringError, OSError) as failure:
            error = str(failure) or type(failure).__name__
        return {"number": row["number"], "error": error}


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
