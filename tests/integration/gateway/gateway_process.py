"""A real `rankserve gateway` process, and calls of HTTP to it."""

import http.client
import json
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from integration.command_forks import ForkedServer
from integration.server_process import RANKSERVE

_READY = re.compile(r"rankserve gateway ready on https?://(?P<address>\S+:\d+), asking (?P<servers>.+)\n")
_SECONDS = 30.0


@dataclass(frozen=True)
class Answer:
    """An answer of HTTP; names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Gateway:
    """Starts with the constructor, or is forked, which is cheaper. Its owner calls `close`."""

    def __init__(self, *arguments: str, errors: Path, forked: bool = False) -> None:
        self._errors = errors
        command = ("gateway", "--port", "0", *arguments)
        self.process: subprocess.Popen[str] | ForkedServer
        with errors.open("wb") as stderr:
            if forked:
                self.process = ForkedServer(command, stderr.fileno())
            else:
                self.process = subprocess.Popen(
                    [RANKSERVE, *command],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    text=True,
                )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        match = _READY.fullmatch(line)
        assert match, f"not the ready line: {line!r}; on stderr: {self.errors}"
        self.address, self.servers = match["address"], match["servers"]

    @property
    def errors(self) -> str:
        return self._errors.read_text(encoding="utf-8")

    def get(self, path: str, **headers: str) -> Answer:
        return self.call("GET", path, headers=headers)

    def post(self, path: str, body: object, **headers: str) -> Answer:
        """`body` is sent as it is where it is bytes, else as JSON."""
        return self.call("POST", path, body if isinstance(body, bytes) else json.dumps(body).encode(), headers)

    def call(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = {}) -> Answer:
        """`_` in the names of headers stands for `-`."""
        connection = http.client.HTTPConnection(self.address, timeout=_SECONDS)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            response = connection.getresponse()
            received = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, received, response.read())
        finally:
            connection.close()

    def stop(self) -> int:
        """Asks it to stop, and returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_SECONDS)

    def close(self) -> None:
        """Makes sure that it is gone."""
        with self.process:
            self.process.kill()


@contextmanager
def running_gateway(errors: Path, *arguments: str) -> Iterator[Gateway]:
    """A gateway that is ready and has to end well."""
    gateway = Gateway(*arguments, errors=errors, forked=True)
    try:
        yield gateway
        assert gateway.process.poll() is None, gateway.errors
        assert gateway.stop() == 0, gateway.errors
        assert "Traceback" not in gateway.errors
    finally:
        gateway.close()
