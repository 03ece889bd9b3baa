"""Starts the processes of a training on this machine, and watches them: they all end, or none does.

What a process writes itself is shown. What the libraries below it write is kept from the terminal: of a lost process
they say much, and little that helps.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

# With which a process ends that has lost another one: what has become of that one says more.
LOST_OTHERS = 75
# Where a process that was started here finds what it says to whoever watches it, and not to the user.
LOG_VARIABLE = "RANKSERVE_TRAINING_LOG"
# What it writes there once it has found the others: JAX aborts a process that does not.
JOINED = "rankserve: all processes have joined"
_SECONDS_BETWEEN_LOOKS = 0.05
# So long a process may take to notice that another one has gone, or to end when it is asked to.
_SECONDS_TO_END = 5.0
# What JAX's runtime writes before it aborts a process whose others do not answer any more.
_LOST_SIGNS = ("coordination", "heartbeat", "distributed service", "gloo")


@dataclass(frozen=True)
class _Process:
    """A process that was started here."""

    number: str
    popen: "subprocess.Popen[bytes]"
    log: Path

    def said(self) -> str:
        """Its last words to whoever watches it."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


def free_address() -> str:
    """A port of this machine alone that is free."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listening.getsockname()[1]}"


def run_processes(members: Sequence[tuple[str, Sequence[str]]]) -> int:
    """Runs `rankserve train` in processes of their own, until all have ended.

    Args:
        members: the number of each, as it is called in messages, and its arguments.

    Returns:
        The exit code: 0, or that of the process which has said what went wrong.

    Raises:
        click.ClickException: where one has ended without a word; the others are ended then.
        KeyboardInterrupt: where this process was interrupted; all are ended then.
    """
    with tempfile.TemporaryDirectory(prefix="rankserve-") as directory, _terminable():
        processes: list[_Process] = []
        try:
            for number, arguments in members:
                # One by one: those that have been started are ended where the next cannot be.
                processes.append(_start(number, arguments, Path(directory) / f"{number}.log"))
            return _watch(processes)
        finally:
            _end(processes)


def _start(number: str, arguments: Sequence[str], log: Path) -> _Process:
    command = [sys.executable, "-m", "rankserve_training.distributed.process", *arguments]
    log.touch()
    # A session of its own: Ctrl-C comes here alone, and is passed on in order.
    popen = subprocess.Popen(  # noqa: S603, this program again
        command, stdin=subprocess.DEVNULL, env=os.environ | {LOG_VARIABLE: str(log)}, start_new_session=True
    )
    return _Process(number, popen, log)


def _watch(processes: Sequence[_Process]) -> int:
    while True:
        codes = [process.popen.poll() for process in processes]
        if any(codes):
            return _blame(processes)
        if all(code == 0 for code in codes):
            return 0
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def _blame(processes: Sequence[_Process]) -> int:
    """Says why, once it is known."""
    until = time.monotonic() + _SECONDS_TO_END
    while time.monotonic() < until:
        for process in processes:
            code = process.popen.poll()
            if code in (None, 0, LOST_OTHERS) or _has_lost_others(process, code):
                continue
            if code > 0:
                return code
            raise click.ClickException(
                f"process {process.number} of the training was ended by {signal.Signals(-code).name}, and the others "
                "with it; nothing was published"
            )
        if all(process.popen.poll() is not None for process in processes):
            break
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    lost = next(process for process in processes if process.popen.poll())
    why = lost.said() if lost.popen.poll() == LOST_OTHERS else ""
    if not why and JOINED not in lost.log.read_text(errors="replace"):
        why = "not all processes have joined within --join-timeout; nothing was published"
    raise click.ClickException(why or "another process of this training has ended or cannot be reached")


def _has_lost_others(process: _Process, code: int) -> bool:
    """Whether JAX has ended it for that."""
    if code != -signal.SIGABRT:
        return False
    log = process.log.read_text(errors="replace").lower()
    return any(sign in log for sign in _LOST_SIGNS)


def _end(processes: Sequence[_Process]) -> None:
    for process in processes:
        if process.popen.poll() is None:
            process.popen.send_signal(signal.SIGINT)
    until = time.monotonic() + _SECONDS_TO_END
    for process in processes:
        try:
            process.popen.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.popen.kill()
            process.popen.wait()


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Has SIGTERM end the others, too, as Ctrl-C does."""

    def stop(number: int, frame: object) -> None:  # noqa: ARG001, Python calls it so
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
