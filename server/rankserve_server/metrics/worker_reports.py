"""What workers have counted, told to their supervisor again and again.

Over a pair of sockets that only these two have: there is no file that could be left behind, and nothing for others to
open. A worker that is killed takes with it what it has counted in its last second.
"""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client.metrics_core import Metric

from rankserve_server.metrics.families import worker_families
from rankserve_server.metrics.reports import (
    Report,
    added_up,
    decoded,
    encoded,
    merged,
    report_of,
    without_gone_versions,
)

_EVERY_SECONDS = 1.0
_LENGTH_BYTES = 4


class ReportSender:
    """Sends the reports of a worker, on a thread of its own."""

    def __init__(self, descriptor: int, collect: Callable[[], Iterable[Metric]]) -> None:
        """`descriptor` is that of the socket that the supervisor has given to this process."""
        self._socket = socket.socket(fileno=descriptor)
        self._collect = collect
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rankserve-metrics", daemon=True)

    def start(self) -> None:
        """Sends the first one."""
        self._thread.start()

    def stop(self) -> None:
        """Sends the last one. A supervisor that does not read any more holds up nobody."""
        self._over.set()
        self._thread.join(_EVERY_SECONDS)
        self._socket.close()

    def _run(self) -> None:
        over = False
        while not over:
            over = self._over.wait(_EVERY_SECONDS)
            report = encoded(report_of(self._collect()))
            try:
                self._socket.sendall(len(report).to_bytes(_LENGTH_BYTES) + report)
            except OSError:  # the supervisor has gone, and this process ends
                return


class WorkerReports:
    """What the workers of a supervisor have sent. Its event loop reads, and any thread may collect.

    Attributes:
        restarts: workers that were started in place of others.
    """

    def __init__(self, workers: int) -> None:
        """`workers` is how many there should be."""
        self.restarts = 0
        self._workers = workers
        # Replaced as a whole: what each of the living has sent last, and what those that have ended had counted.
        self._reports: tuple[dict[int, Report], Report] = ({}, [])

    async def follow(self, worker: int, connection: socket.socket) -> None:
        """Takes the reports of a worker until it ends.

        Args:
            worker: its process id.
            connection: our end of the pair, not blocking; closed in the end.
        """
        reader, writer = await asyncio.open_connection(sock=connection)
        try:
            while True:
                length = int.from_bytes(await reader.readexactly(_LENGTH_BYTES))
                report = decoded(await reader.readexactly(length))
                living, ended = self._reports
                self._reports = ({**living, worker: report}, ended)
        except (asyncio.IncompleteReadError, ConnectionError):
            self._end(worker)
        finally:
            writer.close()

    def collect(self) -> Iterator[Metric]:
        """The families of all workers together."""
        reports, ended = self._reports
        living: Sequence[Report] = list(reports.values())
        yield from worker_families(len(living), self._workers, self.restarts)
        yield from merged([*living, without_gone_versions(ended, living)])

    def _end(self, worker: int) -> None:
        living, ended = self._reports
        last = living.get(worker)
        if last is not None:
            others = {other: report for other, report in living.items() if other != worker}
            ended = without_gone_versions(added_up([ended, last]), list(others.values()))
            self._reports = (others, ended)
