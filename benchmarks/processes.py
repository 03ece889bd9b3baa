"""Servers under measurement, and what the operating system says of them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

BASELINES = Path(__file__).parent / "baselines"
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Contender:
    """A server that takes part.

    Attributes:
        name: as the table shows it.
        command: how it is started; {models_dir} and {port} are filled in.
        ranks: whether its answers are rankings that can be checked.
    """

    name: str
    command: tuple[str, ...]
    ranks: bool = True


def rankserve(transport: str, *options: str) -> Contender:
    """rankserve itself."""
    command = (str(Path(sys.executable).parent / "rankserve"), "serve", "--models-dir", "{models_dir}")
    return Contender(f"rankserve, {transport}", (*command, "--port", "{port}", "--transport", transport, *options))


def baseline(name: str, script: str, ranks: bool = True) -> Contender:
    """One of the servers in `baselines/`."""
    return Contender(name, (sys.executable, str(BASELINES / script), "{models_dir}", "{port}"), ranks)


class Process:
    """A running contender."""

    def __init__(self, contender: Contender, models_dir: Path, port: int) -> None:
        """Starts it and waits until it says that it is ready, on the first line of its stdout."""
        self.contender = contender
        self.port = port
        command = [part.format(models_dir=models_dir, port=port) for part in contender.command]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        if "ready" not in self._process.stdout.readline():
            raise RuntimeError(f"{contender.name} did not start: {' '.join(command)}")

    def cpu_seconds(self) -> float:
        """User and system time of all its threads so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND

    def resident_mib(self) -> float:
        """Memory that it has now."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise RuntimeError("no VmRSS")

    def stop(self) -> None:
        """Ends it."""
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def running(contenders: list[Contender], models_dir: Path, first_port: int) -> Iterator[list[Process]]:
    """Starts all of them, each on a port of its own, and stops them."""
    with ExitStack() as stack:
        processes = []
        for number, contender in enumerate(contenders):
            process = Process(contender, models_dir, first_port + number)
            stack.callback(process.stop)
            processes.append(process)
        yield processes
