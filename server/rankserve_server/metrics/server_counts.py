"""All that one server process counts."""

from rankserve_server.metrics.call_counts import CallCounts, MethodCounts
from rankserve_server.metrics.load_counts import LoadCounts
from rankserve_server.metrics.observer_counts import ObserverCounts
from rankserve_server.metrics.queue_counts import QueueCounts


class ServerCounts:
    """What the parts of a server are given to count with.

    Attributes:
        queue: jobs and batches.
        loads: versions that were loaded, or could not be.
        observer: what could not be told of calls.
    """

    def __init__(self) -> None:
        self.queue = QueueCounts()
        self.loads = LoadCounts()
        self.observer = ObserverCounts()
        self._calls: list[CallCounts] = []

    def new_calls(self) -> CallCounts:
        """For one more gRPC server; the calls of all are added up."""
        calls = CallCounts()
        self._calls.append(calls)
        return calls

    def methods(self) -> list[MethodCounts]:
        """The calls of every method, on whichever server."""
        total = CallCounts().all()
        for calls in list(self._calls):
            for sum_, counts in zip(total, calls.all(), strict=True):
                sum_.add_from(counts)
        return total
