"""The command `rankserve`: as users start it, and, which is cheaper, in the tests' own process."""

import io
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from rankserve_client.cli import main

RANKSERVE = Path(sys.executable).with_name("rankserve")


def started_rankserve(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Starts it and waits for its end."""
    return subprocess.run(
        [RANKSERVE, *arguments], cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def rankserve(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs it to its end in this process, which has imported Keras and TensorFlow already."""
    command = [str(argument) for argument in arguments]
    output, errors = io.StringIO(), io.StringIO()
    with chdir(cwd), redirect_stdout(output), redirect_stderr(errors):
        code = _exit_code(command)
    return subprocess.CompletedProcess(command, code, output.getvalue(), errors.getvalue())


def _exit_code(command: list[str]) -> int:
    with pytest.raises(SystemExit) as ended:
        main(command, "rankserve")
    return int(ended.value.code or 0)


def error_line(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that a command failed with, and no traceback."""
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr.removeprefix("Error: ").rstrip("\n")


def usage_error(done: subprocess.CompletedProcess[str]) -> str:
    """What a command said of a wrong command line."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("Usage: rankserve ")
    return done.stderr.splitlines()[-1].removeprefix("Error: ")
