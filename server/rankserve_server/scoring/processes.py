"""Parts written by several processes of this machine."""

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from rankserve_server.parent import end_with_parent
from rankserve_server.scoring.errors import ScoringError
from rankserve_server.scoring.part_writer import PartWriter
from rankserve_server.scoring.scoring_job import Part, ScoringJob

_writers: dict[str, PartWriter] = {}


def write_in_processes(job: ScoringJob, parts: Sequence[Part], processes: int) -> Iterator[Part]:
    """Writes the parts, each process with an engine of its own; gives each once it is on the disk.

    Raises:
        ScoringError: where the version cannot be loaded, or a process was killed.
        OSError: where the disk does not take a part.
    """
    # Started anew, not forked: JAX has threads. They end with this process, whatever ends it.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(processes, len(parts)), context, initializer=_begin, initargs=(os.getpid(),))
    try:
        waiting = {pool.submit(_write, job, part): part for part in parts}
        for done in as_completed(waiting):
            done.result()
            yield waiting.pop(done)
    except BrokenProcessPool as error:
        raise ScoringError(
            "a scoring process was killed, maybe for want of memory (fewer --processes take less); run the same again "
            "to go on"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C on a terminal ends these at once, and says nothing
    end_with_parent(parent, signal.SIGKILL)


def _write(job: ScoringJob, part: Part) -> None:
    digest = job.plan.digest
    if digest not in _writers:
        _writers[digest] = PartWriter(job)
    _writers[digest].write(part)
