"""Clients in processes of their own, so that they can be killed."""

import subprocess
import sys
from pathlib import Path
from typing import Final, Self

_TESTS: Final = Path(__file__).parents[1]


class ClientProcess:
    """Runs one of the modules here, such as `rough_client`."""

    def __init__(self, name: str, address: str, *arguments: object) -> None:
        command = [sys.executable, "-m", f"integration.{name}", address, *map(str, arguments)]
        self._process = subprocess.Popen(command, cwd=_TESTS, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Makes sure that it is gone."""
        self._process.kill()
        self._process.communicate()

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def line(self) -> str:
        """Waits for the next line that it prints; empty where it ends without one."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().rstrip()

    def result(self) -> str:
        """Waits for its end, which has to be a good one; returns the last line that it has printed."""
        output, errors = self._process.communicate()
        assert self._process.returncode == 0, (self._process.args, output, errors)
        return output.splitlines()[-1]

    def kill(self) -> None:
        """Ends it in the middle of what it does, where nothing was wrong so far."""
        if not self.running:
            self.result()  # tells what was wrong
        self._process.kill()
        self._process.communicate()
