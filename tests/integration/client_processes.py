"""Clients in processes of their own, so that they can be killed."""

import faulthandler
import subprocess
import sys
from pathlib import Path
from typing import Final, Self

_TESTS: Final = Path(__file__).parents[1]
# More than any call is given, and than a silent server is waited for.
_PATIENCE_SECONDS: Final = 120


def end_within(seconds: float) -> None:
    """Ends this process where it does not end by itself: some time later, with what each of its threads waits for."""
    faulthandler.dump_traceback_later(seconds + _PATIENCE_SECONDS, exit=True)


class ClientProcess:
    """Runs one of the modules here, such as `rough_client`."""

    def __init__(self, name: str, address: str, *arguments: object) -> None:
        command = [sys.executable, "-m", f"integration.{name}", address, *map(str, arguments)]
        # Its errors are the test's: a pipe would fill up and stop it, as nobody reads there before the end.
        self._process = subprocess.Popen(command, cwd=_TESTS, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._output = self._process.stdout

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Makes sure that it is gone."""
        self._process.kill()
        self._process.wait()
        self._output.close()

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def line(self) -> str:
        """Waits for the next line that it prints; empty where it ends without one."""
        return self._output.readline().rstrip()

    def result(self) -> str:
        """Waits for its end, which has to be a good one; returns the last line that it has printed."""
        output = self._output.read()
        self._process.wait()
        assert self._process.returncode == 0, (self._process.args, output)
        return output.splitlines()[-1]

    def kill(self) -> None:
        """Ends it in the middle of what it does, where nothing was wrong so far."""
        if not self.running:
            self.result()  # tells what was wrong
        self._process.kill()
        self._process.wait()
