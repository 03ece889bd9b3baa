"""Three real servers on ports of their own, which can be ended in every way and started again."""

from pathlib import Path
from typing import Self

from integration.server_process import ServerProcess, free_port

# Above what health checks need to see that a server stops: interval, timeout and threshold of deploy/envoy.
GRACE_SECONDS = "3"
# Fewer than by default, so that it takes less to be too much.
QUEUED_CANDIDATES = 10_000


class ThreeServers:
    """Runs within its `with`.

    Attributes:
        ports: of the three.
        running: the three, by port.
    """

    def __init__(self, models_dir: Path, directory: Path) -> None:
        self.ports = [free_port() for _ in range(3)]
        self.running: dict[int, ServerProcess] = {}
        self._models_dir = models_dir
        self._directory = directory
        self._starts = 0

    def __enter__(self) -> Self:
        for port in self.ports:
            self._start(port)
        for server in self.running.values():
            server.wait_until_ready()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.running.values():
            server.close()

    def start_again(self, port: int) -> None:
        """Starts one that has ended."""
        self.running[port].close()
        self._start(port)
        self.running[port].wait_until_ready()

    def _start(self, port: int) -> None:
        self._starts += 1
        self.running[port] = ServerProcess(
            *("--models-dir", str(self._models_dir), "--port", str(port), "--grace-seconds", GRACE_SECONDS),
            *("--max-queued-candidates", str(QUEUED_CANDIDATES)),
            # With it they tell each call's id.
            *("--access-log", str(self._directory / f"access-{self._starts}.jsonl")),
            errors=self._directory / f"errors-{self._starts}",
            forked=True,
        )
