"""Whether a process that loads gives way to others; these are real ones, on one processor."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from rankserve_server import loader_watch
from rankserve_server.loader_watch import LoaderWatch, ProcessorTime, StarvedError
from rankserve_training.artifact import ArtifactError

_PROCESSOR = min(os.sched_getaffinity(0))
_HERE = f"import os, threading, time; os.sched_setaffinity(0, {{{_PROCESSOR}}}); "
_IDLE = "os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0)); "
_WITHOUT_END = "exec('while True: pass')"
# Wants the processor half of the time.
_HALF = (
    "exec('while True:\\n until = time.monotonic() + 0.005\\n while time.monotonic() < until: pass\\n"
    " time.sleep(0.005)')"
)
# Long enough to look some times also where it is halted for nine tenths of it.
_SECONDS = 2.0


@pytest.fixture(autouse=True)
def serving(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this process served somebody."""
    monkeypatch.setattr(loader_watch, "_SERVING_FROM", -1.0)
    monkeypatch.setattr(loader_watch, "_LEAST_SHARE", 0.0)


def go_on() -> None:
    """A checkpoint."""


@contextmanager
def running(*codes: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes, once each has started."""
    with ExitStack() as stack:
        processes = []
        for code in codes:
            process = subprocess.Popen(
                [sys.executable, "-c", _HERE + "print(flush=True); " + code], stdout=subprocess.PIPE
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            assert process.stdout is not None
            process.stdout.readline()
            processes.append(process)
        yield processes


def share_halted(process: subprocess.Popen[bytes]) -> float:
    """Of some seconds, the share of looks at a watched process that find it halted."""
    halted = []
    with LoaderWatch(process, go_on, "idle") as watch:
        until = time.monotonic() + _SECONDS
        while time.monotonic() < until:
            state = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0]
            halted.append(state == "T")
            time.sleep(0.003)
    watch.raise_found()
    return sum(halted) / len(halted)


def test_it_is_halted_while_others_want_the_processor() -> None:
    with running(_HALF, _IDLE + _WITHOUT_END) as (_, process):
        assert share_halted(process) > 0.6
        # The last halt is over with the watch; on a busy machine its turn may come late.
        ran, until = ProcessorTime(process.pid), time.monotonic() + 30
        while not ran.look()[0]:
            assert time.monotonic() < until
            time.sleep(0.1)


def test_it_has_its_least_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        loader_watch, "_LEAST_SHARE", 0.3
    )  # of a half, halted for nine tenths, it would have a twentieth
    with running(_HALF, _IDLE + _WITHOUT_END) as (_, process):
        assert share_halted(process) < 0.5


def test_it_is_not_halted_where_nobody_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # Whoever else uses this machine wants some of it, or all.
    monkeypatch.setattr(loader_watch, "_WANTED_FROM", float("inf"))
    monkeypatch.setattr(loader_watch, "_STARVED_SHARE", 0.0)
    with running(_IDLE + _WITHOUT_END) as (process,):
        assert share_halted(process) == 0


def test_it_is_not_halted_where_only_others_are_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader_watch, "_SERVING_FROM", 1.0)  # this one looks every some milliseconds
    with running(_HALF, _IDLE + _WITHOUT_END) as (_, process):
        assert share_halted(process) == 0


def test_one_that_is_left_nothing_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader_watch, "_STARVED_SECONDS", 0.2)
    with running(_WITHOUT_END, _IDLE + _WITHOUT_END) as (_, process):
        with LoaderWatch(process, go_on, "idle") as watch:
            process.wait(timeout=60)
        with pytest.raises(StarvedError):
            watch.raise_found()


def test_halts_are_no_part_of_the_time_that_it_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader_watch, "_MOST_SECONDS", _SECONDS / 2)
    with running(_HALF, _IDLE + _WITHOUT_END) as (_, process):
        share_halted(process)
    monkeypatch.setattr(loader_watch, "_SHARE_WHERE_WANTED", 1.0)
    with running(_HALF, _IDLE + _WITHOUT_END) as (_, process), pytest.raises(ArtifactError, match="more than 1 s"):
        share_halted(process)


def test_a_thread_that_waits_counts_where_the_others_sleep() -> None:
    starving = (
        "threading.Thread(target=lambda: exec('while True: pass'), daemon=True).start(); threading.Event().wait(60)"
    )
    with running(_WITHOUT_END, _IDLE + starving) as (_, process):
        processor_time = ProcessorTime(process.pid)
        until = time.monotonic() + 60
        waited = 0.0
        # The first thread waits too, until it has started the other one.
        while waited - waited_by_first_thread(process.pid) < 0.5:
            assert time.monotonic() < until
            waited += processor_time.look()[1]
            time.sleep(0.01)


def waited_by_first_thread(pid: int) -> float:
    """Seconds."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="utf-8").split()[1]) / 1e9
