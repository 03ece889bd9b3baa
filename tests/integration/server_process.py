"""A real `rankserve serve` process."""

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from integration.command_forks import ForkedServer

RANKSERVE: Final = str(Path(sys.executable).with_name("rankserve"))
_READY = re.compile(r"rankserve ready on (?P<address>\S+:\d+), serving (?P<served>.+)\n")
# Loading takes two seconds; a machine that is busy with something else needs longer.
_START_SECONDS = 60.0
_STOP_SECONDS = 30.0


@dataclass(frozen=True)
class Exit:
    """How a server ended: its exit code, and what it printed after the ready line."""

    code: int
    output: str
    errors: str


class ServerProcess:
    """Starts with the constructor, or is forked, which is cheaper: see there. Its owner calls `close`."""

    def __init__(
        self,
        *arguments: str,
        errors: Path,
        command: tuple[str, ...] = (RANKSERVE,),
        env: Mapping[str, str] | None = None,
        forked: bool = False,
    ) -> None:
        self._errors = errors
        self.address = ""
        self.served = ""
        self.process: subprocess.Popen[str] | ForkedServer
        with errors.open("wb") as stderr:
            if forked:
                self.process = ForkedServer(("serve", *arguments), stderr.fileno(), env)
                return
            self.process = subprocess.Popen(
                [*command, "serve", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env=env,
            )

    @property
    def errors(self) -> str:
        """What it has written to stderr; gRPC logs there what hostile clients have sent, whatever bytes that is."""
        return self._errors.read_text(encoding="utf-8", errors="replace")

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_until_ready(self) -> Self:
        """Reads the ready line."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()  # ends with the process at the latest
        match = _READY.fullmatch(line)
        assert match, f"not the ready line: {line!r}; on stderr: {self.errors}"
        self.address, self.served = match["address"], match["served"]
        return self

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = _STOP_SECONDS) -> Exit:
        """Waits for its end."""
        output, _ = self.process.communicate(timeout=seconds)
        return Exit(self.process.wait(), output, self.errors)

    def stop(self) -> Exit:
        """Asks it to stop and waits for its end."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def close(self) -> None:
        """Makes sure that it is gone."""
        with self.process:  # closes the pipe
            self.process.kill()


@contextmanager
def running_server(models: Path, errors: Path, *flags: str) -> Iterator[ServerProcess]:
    """A server on a free port that is ready; for fixtures that many tests share. It has to end well."""
    server = ServerProcess("--models-dir", str(models), "--port", "0", *flags, errors=errors, forked=True)
    try:
        yield server.wait_until_ready()
        ended = server.stop()
        assert (ended.code, ended.output) == (0, ""), ended.errors
    finally:
        server.close()


def free_port() -> int:
    """A port that nobody listens on, for a server whose port must be known before it is ready."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def wait_for_port(port: int) -> None:
    """Waits until a server listens."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise AssertionError(f"nobody listens on port {port}")
