"""What happens to jobs in the queue and in batches."""

import time
from typing import TYPE_CHECKING

from rankserve_server.engine.buckets import BLOCK_ROWS
from rankserve_server.metrics.distribution import Distribution

if TYPE_CHECKING:
    from rankserve_server.score_batch import ScoreBatch

_WAIT_SECONDS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_BATCH_SECONDS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
_BATCH_ROWS = tuple(float(BLOCK_ROWS * 2**power) for power in range(-3, 6))
_BATCH_REQUESTS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)


class QueueCounts:
    """Of one queue; the thread that computes its batches counts.

    Attributes:
        wait: seconds from the queueing of a job to its first batch; its `pending` ones are sorted here.
        batch_seconds: seconds from the start of a batch until its scores were taken.
        batch_rows: candidates of a batch.
        batch_requests: jobs of a batch.
        rows: candidates that were scored.
        padding: rows that were computed beside them, to fill the shapes that are compiled.
        refused: requests that there was no room for, by why.
        dropped: requests that nobody waited for any more when their turn came, by why.
    """

    def __init__(self) -> None:
        self.wait = Distribution(_WAIT_SECONDS)
        self.batch_seconds = Distribution(_BATCH_SECONDS)
        self.batch_rows = Distribution(_BATCH_ROWS)
        self.batch_requests = Distribution(_BATCH_REQUESTS)
        self.rows = 0
        self.padding = 0
        self.refused = {"queue_full": 0, "wait": 0, "deadline": 0}
        self.dropped = {"deadline": 0, "abandoned": 0}

    def finished(self, batch: "ScoreBatch") -> None:
        """Counts a batch whose scores have just been taken."""
        if not batch.slices:
            return
        self.wait.sort_many()
        count = batch.count
        self.batch_seconds.add(time.monotonic() - batch.started)
        self.batch_rows.add(count)
        self.batch_requests.add(len(batch.slices))
        self.rows += count
        self.padding += max(0, batch.computed_rows - count)
