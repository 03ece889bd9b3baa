"""Several server processes on one port, and one that watches over them.

The kernel spreads connections, not calls, over the processes: a client with one connection stays with one of them. A
worker takes the port only once its models are loaded, so that every connection is answered.
"""

import asyncio
import logging
import os
import socket
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from rankserve_server.config import ServerConfig, encode_config
from rankserve_server.notify import Notifier, unnotified
from rankserve_server.observing.observing_config import STDOUT
from rankserve_server.starting import READY, StartError, free_address, print_ready, stop_signals_handled

if TYPE_CHECKING:
    from rankserve_server.metrics.worker_reports import WorkerReports

_log = logging.getLogger(__name__)

# A worker that dies is started again after so many seconds, twice as many each time in a row, up to the second number.
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
# What a worker gets to end after its drain, or after a second signal.
_LAST_SECONDS = 5.0
# A worker that has lived so long starts a new row.
_STEADY_SECONDS = 60.0


class Supervisor:
    """Keeps `config.workers` servers running: `asyncio.run(Supervisor(config).run())`."""

    def __init__(self, config: ServerConfig) -> None:
        self._config = config
        self._stopping = asyncio.Event()
        self._processes: set[Process] = set()
        self._notifier = Notifier()
        self._reports: WorkerReports | None = None
        self._following: set[asyncio.Task[None]] = set()
        wants_stdout = config.observing.access_log == STDOUT
        # A worker's own stdout is read for its ready line only.
        self._stdout = os.dup(sys.stdout.fileno()) if wants_stdout else None

    async def run(self) -> None:
        """Serves until SIGTERM or SIGINT, which every worker then gets as SIGTERM; a second signal likewise.

        Raises:
            StartError: where the address is taken, or the first worker does not start.
        """
        with stop_signals_handled(self._stop), _port_held(self._config) as port, self._metrics_served():
            config = replace(self._config, port=port, reuse_port=True)
            # Alone, so that what is wrong with the models is said once.
            first = await self._start(config)
            ready = await _ready_line(first)
            if ready is None:
                await self._ended(first)
                if self._stopping.is_set():
                    return
                raise StartError("the first worker did not start; the line above says why")
            others = [await self._start(config) for _ in range(config.workers - 1)]
            await asyncio.gather(*(_ready_line(process) for process in others))
            if not self._stopping.is_set():
                if not config.quiet:
                    print_ready(f"{ready}, {config.workers} workers")
                self._notifier.send("READY=1")
            async with self._notifier.watched(time.monotonic_ns):
                await asyncio.gather(*(self._keep(config, process) for process in (first, *others)))

    @contextmanager
    def _metrics_served(self) -> Iterator[None]:
        """Those of all workers, where somebody wants them."""
        if self._config.metrics_port is None:
            yield
            return
        # Prometheus' library is imported only where there are metrics.
        from rankserve_server.metrics.endpoint import MetricsEndpoint
        from rankserve_server.metrics.worker_reports import WorkerReports

        self._reports = WorkerReports(self._config.workers)
        endpoint = MetricsEndpoint(self._config.metrics_host, self._config.metrics_port, self._reports.collect)
        endpoint.start()
        try:
            yield
        finally:
            endpoint.stop()

    async def _start(self, config: ServerConfig) -> Process:
        if self._stdout is not None:
            config = replace(config, observing=replace(config.observing, stdout=self._stdout))
        if self._reports is None:
            return await self._started(config)
        ours, theirs = socket.socketpair()
        with theirs:
            process = await self._started(replace(config, metrics_socket=theirs.fileno()), theirs.fileno())
        ours.setblocking(False)
        following = asyncio.create_task(self._reports.follow(process.pid, ours))
        self._following.add(following)
        following.add_done_callback(self._following.discard)
        return process

    async def _started(self, config: ServerConfig, *handed_over: int) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "rankserve_server.worker",
            str(os.getpid()),
            encode_config(config),
            stdout=PIPE,
            env=unnotified(os.environ),
            pass_fds=handed_over if self._stdout is None else (*handed_over, self._stdout),
            # Ctrl-C in a terminal reaches all processes of a session: the supervisor alone is to pass it on.
            start_new_session=True,
        )
        self._processes.add(process)
        if self._stopping.is_set():  # the signal came while it was started, so it has not got it
            process.terminate()
        return process

    async def _keep(self, config: ServerConfig, process: Process) -> None:
        """Starts a worker again whenever it ends, until the supervisor stops."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            started = time.monotonic()
            code = await self._ended(process)
            if self._stopping.is_set():
                return
            if time.monotonic() - started > _STEADY_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            _log.error("Worker %d ended with %d; starting another in %g s.", process.pid, code, pause)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
                return
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            process = await self._start(config)
            if self._reports is not None:
                self._reports.restarts += 1
            await _ready_line(process)

    async def _ended(self, process: Process) -> int:
        code = await process.wait()
        self._processes.discard(process)
        return code

    def _stop(self) -> None:
        """Passes a signal on, and sees to it that no worker outlives it for long."""
        hurry = self._stopping.is_set()
        self._stopping.set()
        self._notifier.send("STOPPING=1")
        for process in self._processes:
            with suppress(ProcessLookupError):
                process.terminate()
        patience = _LAST_SECONDS if hurry else self._config.grace_seconds + self._config.drain_seconds + _LAST_SECONDS
        asyncio.get_running_loop().call_later(patience, self._kill)

    def _kill(self) -> None:
        for process in self._processes:
            _log.error("Worker %d does not end; it is killed.", process.pid)
            with suppress(ProcessLookupError):
                process.kill()


@contextmanager
def _port_held(config: ServerConfig) -> Iterator[int]:
    """Makes sure that the port is free, and holds it for the workers alone; gives its number."""
    family, address = free_address(config)
    with socket.socket(family, socket.SOCK_STREAM) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(address)
        yield holder.getsockname()[1]


async def _ready_line(process: Process) -> str | None:
    """What a worker prints when it is ready; None where it ends before that."""
    if process.stdout is None:
        raise ValueError("the worker was started without a pipe for its output")
    line = (await process.stdout.readline()).decode().rstrip()
    return line if line.startswith(READY) else None
