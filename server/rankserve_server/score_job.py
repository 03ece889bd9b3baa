"""The unit of work: the candidates of one request."""

from typing import TYPE_CHECKING

import numpy as np

from rankserve_server.engine.engine import Engine, Rows, Scores
from rankserve_server.newcomer_rows import NewcomerRows

if TYPE_CHECKING:
    from collections.abc import Callable

    from rankserve_server.tracing.call_trace import CallTrace

_NO_SCORES: Scores = np.zeros(0, np.float32)


class ScoreJob:
    """Candidates of one user to score, or the whole catalogue.

    Attributes:
        engine: of the version that answers.
        user_row: row of the user table.
        item_rows: int32[n] rows of the item table; None for all items, row 1 first.
        newcomer: the rows that are in no table, the user's among them; None where there are none.
        deadline: on the clock of `time.monotonic`; infinite where the caller has none.
        model: the model's name: each has a fair share of the engine's time.
        version: the model's version; 0 where nobody asks.
        count: how many candidates.
        scored: how many of them have been scored, from the first.
        scores: float32[n] or float32[2, n] (see `Engine`), once it is done and did not fail.
        error: why it was not scored, once it is done and failed.
        queued_at: when it was queued, on the clock of `time.monotonic`, where somebody counts or sees that.
        started_at: when its first batch began, likewise; 0 before.
        trace: what is noted for spans; None where it is not traced.
        abandoned: set by a caller that has gone; the job is then dropped before it costs anything.
        on_done: what the caller wants called once the job is done; see `tell`.
    """

    __slots__ = (
        "abandoned",
        "count",
        "deadline",
        "engine",
        "error",
        "item_rows",
        "model",
        "newcomer",
        "on_done",
        "queued_at",
        "scored",
        "scores",
        "started_at",
        "trace",
        "user_row",
        "version",
    )

    def __init__(
        self,
        engine: Engine,
        user_row: int,
        item_rows: Rows | None,
        deadline: float = float("inf"),
        newcomer: NewcomerRows | None = None,
        model: str = "",
        version: int = 0,
    ) -> None:
        self.engine = engine
        self.model = model
        self.version = version
        self.user_row = user_row
        self.item_rows = item_rows
        self.deadline = deadline
        self.newcomer = newcomer
        self.count = engine.item_count if item_rows is None else len(item_rows)
        self.scored = 0
        self.scores = _NO_SCORES
        self.error: Exception | None = None
        self.abandoned = False
        self.queued_at = 0.0
        self.started_at = 0.0
        self.trace: CallTrace | None = None
        self.on_done: Callable[[ScoreJob], None] = _ignore

    @property
    def remaining(self) -> int:
        """How many candidates are not scored yet."""
        return self.count - self.scored

    def keep(self, start: int, stop: int, scores: Scores) -> None:
        """Takes the scores of the candidates `start` to `stop`."""
        if stop - start == self.count:
            self.scores = scores
            return
        if self.scores is _NO_SCORES:
            self.scores = np.empty((*scores.shape[:-1], self.count), np.float32)
        self.scores[..., start:stop] = scores

    def tell(self) -> None:
        """Tells the caller that the job is done; whoever takes jobs out of the queue does that.

        The caller is then forgotten: he knows the job too, and what refers to each other is freed by the collector
        only, which stops every request for 7 ms when it has gathered some hundred of them.
        """
        on_done, self.on_done = self.on_done, _ignore
        on_done(self)


def _ignore(_job: ScoreJob) -> None:
    """For jobs that nobody is told of."""
