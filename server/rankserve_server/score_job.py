"""The unit of work: the candidates of one request."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from rankserve_server.engine.engine import Engine, Rows, Scores


@dataclass(eq=False)
class ScoreJob:
    """Candidates of one user to score, or the whole catalogue.

    Attributes:
        engine: of the version that answers.
        user_row: row of the user table.
        item_rows: int32[n] rows of the item table; None for all items, row 1 first.
        deadline: on the clock of `time.monotonic`; infinite where the caller has none.
        scores: float32[n], once it is done and did not fail.
        error: why it was not scored, once it is done and failed.
        abandoned: set by a caller that has gone; the job is then dropped before it costs anything.
        count: how many candidates.
        scored: how many of them have been scored, from the first.
        on_done: what the caller wants called once the job is done; whoever takes jobs out of the queue calls it.
    """

    engine: Engine
    user_row: int
    item_rows: Rows | None
    deadline: float = float("inf")
    scores: Scores = field(init=False)
    error: Exception | None = None
    abandoned: bool = False
    on_done: Callable[["ScoreJob"], None] = lambda _job: None
    count: int = field(init=False)
    scored: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.count = self.engine.item_count if self.item_rows is None else len(self.item_rows)
        self.scores = np.empty(self.count, np.float32)

    @property
    def remaining(self) -> int:
        """How many candidates are not scored yet."""
        return self.count - self.scored
