"""The file that requests are kept in."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rankserve_server.request_log.entries import KeptRequest, lines_of

if TYPE_CHECKING:
    from rankserve_server.logs.line_file import LineFile
    from rankserve_server.metrics.observer_counts import ObserverCounts


class RequestLog:
    """Writes requests with their answers, as lines of JSON."""

    def __init__(self, file: "LineFile", counts: "ObserverCounts") -> None:
        self._file = file
        self._counts = counts

    def write(self, kept: Sequence[KeptRequest]) -> None:
        """Adds the requests of these messages."""
        lines = [line for each in kept for line in lines_of(each)]
        if lines and not self._file.add(b"".join(lines)):
            self._counts.dropped["write"] += len(lines)

    def close(self) -> None:
        """Ends it."""
        self._file.close()
