"""The demo script's own logic, with a stand-in for rankserve and real signals."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from checks.repository import ROOT

STEPS = [
    "train --models-dir models",
    "serve --models-dir models --port 50071",
    "rank --server 127.0.0.1:50071 --user 42 204 141 131",
    "rank --server 127.0.0.1:50071 --history 50=5 --history 172=5 --history 258=2 --top-k 3",
]


@dataclass(frozen=True)
class Demo:
    """The script in a place where `rankserve` is the stand-in."""

    directory: Path

    @property
    def calls(self) -> list[str]:
        return self._written("calls").splitlines()

    @property
    def server_is_running(self) -> bool:
        try:
            os.kill(int(self._written("pid")), 0)
        except ProcessLookupError:
            return False
        return True

    def start(self, fault: str = "") -> subprocess.Popen[str]:
        directory = self.directory
        environment = os.environ | {
            "PATH": f"{directory}:{os.environ['PATH']}",
            "TMPDIR": str(directory / "tmp"),
            "FAKE_CALLS": str(directory / "calls"),
            "FAKE_PID": str(directory / "pid"),
            "FAKE_FAULT": fault,
            "DEMO_READY_TIMEOUT": "2" if fault == "serve is never ready" else "60",
            "DEMO_STOP_TIMEOUT": "1" if fault == "serve ignores SIGTERM" else "60",
        }
        return subprocess.Popen(
            ["bash", str(ROOT / "deploy" / "demo.sh"), "50071"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a process group of its own, to send it what a terminal would
            preexec_fn=_restore_interrupt,
        )

    def run(self, fault: str = "") -> tuple[int, str, str]:
        with self.start(fault) as process:
            output, errors = process.communicate(timeout=60)
        return process.returncode, output, errors

    def wait_for_call(self, command: str) -> None:
        deadline = time.monotonic() + 30
        while not any(call.startswith(command) for call in self.calls):
            assert time.monotonic() < deadline, f"{command} was never called"
            time.sleep(0.05)

    def _written(self, name: str) -> str:
        path = self.directory / name
        return path.read_text(encoding="utf-8") if path.exists() else ""


@pytest.fixture
def demo(tmp_path: Path) -> Demo:
    command = tmp_path / "rankserve"
    fake = Path(__file__).with_name("fake_rankserve.py")
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{fake}" "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    (tmp_path / "tmp").mkdir()
    return Demo(tmp_path)


def test_shows_and_takes_every_step(demo: Demo) -> None:
    status, output, errors = demo.run()
    assert (status, errors) == (0, "")
    assert demo.calls == STEPS
    typed = [line for line in output.splitlines() if line.startswith("$ ")]
    train, serve, *rank = STEPS
    assert typed[:4] == [f"$ rankserve {train}", f"$ rankserve {serve} &", *(f"$ rankserve {step}" for step in rank)]
    assert "rankserve ready on" in output
    assert "rank done" in output
    _assert_clean(demo)


@pytest.mark.parametrize(
    ("fault", "steps", "message"),
    [
        ("train fails", 1, "train: out of luck"),
        ("serve fails", 2, "the server stopped before it was ready; it printed:\nserve: out of luck"),
        ("serve dies later", 2, "error: cannot listen on 127.0.0.1: the port is taken"),
        ("serve is never ready", 2, "the server was not ready after 2 s"),
        ("rank fails", 3, "rank: out of luck"),
        ("serve stops badly", 4, "the server exited with status 3"),
        ("serve ignores SIGTERM", 4, "still running 1 s after SIGTERM"),
    ],
)
def test_a_failed_step_fails_the_demo(demo: Demo, fault: str, steps: int, message: str) -> None:
    status, output, errors = demo.run(fault)
    assert status == 1
    assert message in errors
    assert demo.calls == STEPS[:steps]
    assert "The model is in" not in output
    if fault not in {"train fails", "serve fails"}:  # those never started one
        _assert_clean(demo)


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("step", ["serve", "rank"])
def test_a_signal_stops_the_server_too(demo: Demo, step: str, signum: signal.Signals, status: int) -> None:
    with demo.start("serve is never ready" if step == "serve" else "rank hangs") as process:
        demo.wait_for_call(step)
        time.sleep(0.3)  # until the stand-in has installed its handler and the script waits
        os.killpg(process.pid, signum)
        process.communicate(timeout=30)
    assert process.returncode == status
    _assert_clean(demo)


def test_says_how_to_run_it_where_rankserve_is_missing(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    (demo.directory / "rankserve").unlink()
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    status, _, errors = demo.run()
    assert status == 1
    assert "make demo" in errors


def _assert_clean(demo: Demo) -> None:
    assert not demo.server_is_running
    assert not list((demo.directory / "tmp").iterdir())


def _restore_interrupt() -> None:
    # A shell ignores SIGINT in what it runs in the background, and a script cannot trap what it inherits as ignored.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
