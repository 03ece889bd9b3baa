"""Starts the processes of the generator, all at the same moment, and collects what they counted."""

import time
from collections.abc import Callable, Iterable, Iterator, MutableSequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing import connection, get_context
from multiprocessing.context import SpawnProcess
from multiprocessing.sharedctypes import RawArray
from typing import Any

import click

from rankserve_client.bench.plan import Plan
from rankserve_client.bench.tally import Counts, merge
from rankserve_client.bench.worker import READY, run_worker

_REFRESH = 0.25
_LEAD = 0.05  # for the message with the time of the start to arrive


@dataclass(frozen=True, slots=True)
class Progress:
    """What all processes together have counted so far; `seconds` is None until the warm-up is over."""

    seconds: float | None
    answered: int
    failed: int
    wrong: int


@dataclass(frozen=True, slots=True)
class _Worker:
    process: SpawnProcess
    pipe: connection.Connection
    progress: "MutableSequence[int]"


def run(plan: Plan, show: Callable[[Progress], None] = lambda _: None) -> Counts:
    """Runs a plan and returns what its processes counted; `show` is called several times a second meanwhile."""
    with _started(plan.shares()) as workers:
        _show(workers, None, show)
        for message in _messages(workers, lambda: _show(workers, None, show)):
            if message != READY:
                raise RuntimeError(f"unexpected message of a process: {message!r}")
        start = time.monotonic() + _LEAD
        for worker in workers:
            worker.pipe.send(start)
        return merge(_messages(workers, lambda: _show(workers, start, show)))


@contextmanager
def _started(plans: Iterable[Plan]) -> Iterator[list[_Worker]]:
    with ExitStack() as ending:  # those that have started are ended where another cannot start
        yield [ending.enter_context(_running(plan)) for plan in plans]


@contextmanager
def _running(plan: Plan) -> Iterator[_Worker]:
    worker = _start(plan)
    try:
        yield worker
    finally:
        worker.process.terminate()
        worker.process.join()
        worker.process.close()
        worker.pipe.close()


def _start(plan: Plan) -> _Worker:
    ours, theirs = connection.Pipe()
    progress: Any = RawArray("q", 3)
    process = get_context("spawn").Process(target=run_worker, args=(plan, theirs, progress), daemon=True)
    process.start()
    theirs.close()  # so that the end of the process shows as the end of the pipe
    return _Worker(process, ours, progress)


def _messages(workers: list[_Worker], wait: Callable[[], None]) -> Iterator[Any]:
    """One message of each process, as they come; calls `wait` while there is none."""
    waiting = {worker.pipe: worker for worker in workers}
    while waiting:
        ready = connection.wait(list(waiting), timeout=_REFRESH)
        wait()
        for pipe in ready:
            if isinstance(pipe, connection.Connection):
                yield _receive(waiting.pop(pipe))


def _receive(worker: _Worker) -> Any:
    try:
        message = worker.pipe.recv()
    except EOFError:
        worker.process.join()
        raise click.ClickException(
            f"a process of the generator has ended too early, with exit code {worker.process.exitcode}"
        ) from None
    if isinstance(message, str) and message != READY:
        raise RuntimeError(f"a process of the generator has failed:\n{message}")
    return message


def _show(workers: list[_Worker], start: float | None, show: Callable[[Progress], None]) -> None:
    answered, failed, wrong = (sum(column) for column in zip(*(worker.progress for worker in workers), strict=True))
    show(Progress(None if start is None else max(0.0, time.monotonic() - start), answered, failed, wrong))
