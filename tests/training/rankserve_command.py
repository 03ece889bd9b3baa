"""The command `rankserve` as users start it."""

import subprocess
import sys
from pathlib import Path

RANKSERVE = Path(sys.executable).with_name("rankserve")


def rankserve(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs it to its end."""
    return subprocess.run(
        [RANKSERVE, *arguments], cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


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
