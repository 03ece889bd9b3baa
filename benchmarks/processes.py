"""Servers under measurement, and what the operating system says of them and of all processes that they started."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import grpc
from protocols import RANKING, Protocol

BASELINES = Path(__file__).parent / "baselines"
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_LOOK_EVERY = 0.05
_SCHEDULED_TIME = 2


class TooLargeError(Exception):
    """A server took more memory than it was given while it started."""


@dataclass(frozen=True)
class Contender:
    """A server that takes part.

    Attributes:
        name: as the table shows it.
        command: how it is started; {models_dir} and {port} are filled in.
        ranks: whether its answers hold scores that can be checked.
        protocol: how it is asked.
        ca_file: who signs its certificate, PEM; None for a server without TLS.
    """

    name: str
    command: tuple[str, ...]
    ranks: bool = True
    protocol: Protocol = RANKING
    ca_file: Path | None = None


def rankserve(transport: str, *options: str) -> Contender:
    """rankserve itself."""
    command = (str(Path(sys.executable).parent / "rankserve"), "serve", "--models-dir", "{models_dir}")
    return Contender(f"rankserve, {transport}", (*command, "--port", "{port}", "--transport", transport, *options))


def baseline(name: str, script: str, ranks: bool = True) -> Contender:
    """One of the servers in `baselines/`."""
    return Contender(name, (sys.executable, str(BASELINES / script), "{models_dir}", "{port}"), ranks)


class Process:
    """A running contender.

    Attributes:
        contender: what runs.
        port: where it listens.
        start_seconds: from the start of the process until it said that it was ready.
    """

    def __init__(self, contender: Contender, models_dir: Path, port: int, most_mib: float | None = None) -> None:
        """Starts it and waits until it says that it is ready, on the first line of its stdout.

        The benchmarks' ports lie below those that Linux gives to clients, where one may be taken at any time.

        Args:
            contender: what to start.
            models_dir: what it serves.
            port: where.
            most_mib: the memory that it may take until it is ready; None for any.

        Raises:
            TooLargeError: where it takes more; it is then ended.
            RuntimeError: where it does not start.
        """
        self.contender = contender
        self.port = port
        command = [part.format(models_dir=models_dir, port=port) for part in contender.command]
        started = time.monotonic()
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            line = self._first_line(most_mib)
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        self.start_seconds = time.monotonic() - started
        if "ready" not in line:
            self.stop()
            raise RuntimeError(f"{contender.name} did not start: {' '.join(command)}")

    @property
    def target(self) -> str:
        """Its address, as clients take it."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The same with a scheme."""
        return f"http{'s' if self.contender.ca_file else ''}://{self.target}"

    def connect(self) -> grpc.Channel:
        """A channel to it."""
        if self.contender.ca_file is None:
            return grpc.insecure_channel(self.target)
        return grpc.secure_channel(self.target, grpc.ssl_channel_credentials(self.contender.ca_file.read_bytes()))

    def cpu_seconds(self) -> float:
        """User and system time of all threads so far, of its processes and of those that they have waited for."""
        ticks = sum(int(field) for pid in self._tree() for field in _stat(pid)[11:15])
        return ticks / _TICKS_PER_SECOND

    def own_cpu_seconds(self) -> float:
        """The same of the process alone, to the nanosecond: the former goes by hundredths of a second."""
        # How Linux makes the id of a process' clock (clock_getcpuclockid).
        return time.clock_gettime(~self._process.pid << 3 | _SCHEDULED_TIME)

    def resident_mib(self) -> float:
        """Memory that it has now; what its processes share is counted for each of them."""
        return self._memory_mib("VmRSS:")

    def peak_mib(self) -> float:
        """The most memory that it has had, likewise."""
        return self._memory_mib("VmHWM:")

    def stop(self) -> None:
        """Ends it and whatever it leaves running."""
        tree = self._tree()
        self._process.terminate()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pid, started in tree.items():
            # A number that is in use again belongs to a process that started later.
            if _start_time(pid) == started:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _first_line(self, most_mib: float | None) -> str:
        assert self._process.stdout is not None
        while most_mib is not None and not select.select([self._process.stdout], [], [], _LOOK_EVERY)[0]:
            if self.resident_mib() > most_mib:
                raise TooLargeError(f"{self.contender.name} took more than {most_mib:,.0f} MiB")
        return self._process.stdout.readline()

    def _memory_mib(self, field: str) -> float:
        kib = 0
        for pid in self._tree():
            with suppress(OSError):  # it has ended
                lines = Path(f"/proc/{pid}/status").read_text().splitlines()
                kib += sum(int(line.split()[1]) for line in lines if line.startswith(field))
        return kib / 1024

    def _tree(self) -> dict[int, str]:
        """The process and all that it started, directly or not: when each of them started, by its number."""
        children: dict[int, list[int]] = {}
        for path in Path("/proc").glob("[0-9]*"):
            if fields := _stat(int(path.name)):
                children.setdefault(int(fields[1]), []).append(int(path.name))
        tree = [self._process.pid]
        for pid in tree:  # which grows
            tree.extend(children.get(pid, []))
        return {pid: _start_time(pid) for pid in tree}


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; none where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _start_time(pid: int) -> str:
    return "".join(_stat(pid)[19:20])


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
