"""Running a command on a terminal of its own."""

import os
import pty
import subprocess
import sys
from pathlib import Path

RANKSERVE = str(Path(sys.executable).with_name("rankserve"))
_VARIABLES = ("NO_COLOR", "FORCE_COLOR", "TERM", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS")


def run_on_terminal(*arguments: str, **environment: str) -> str:
    """What the command writes, results and all else, on a terminal that knows colours."""
    variables = {name: value for name, value in os.environ.items() if name not in _VARIABLES}
    variables |= {"TERM": "xterm-256color", "COLUMNS": "120"} | environment
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [RANKSERVE, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=variables, close_fds=True
    ) as process:
        os.close(theirs)
        written = _all_of(ours)
        process.wait(60)
    os.close(ours)
    return written.decode()


def _all_of(descriptor: int) -> bytes:
    written = b""
    while True:
        try:
            part = os.read(descriptor, 65_536)
        except OSError:  # how Linux says that the other end is closed
            return written
        if not part:
            return written
        written += part
