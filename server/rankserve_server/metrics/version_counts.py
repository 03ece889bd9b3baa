"""Requests and scores of one version; they go with it, so that there are never more of them than loaded versions."""

import numpy as np

from rankserve_server.engine.arrays import Scores
from rankserve_server.metrics.distribution import Distribution

_CANDIDATES = (1.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0, 100_000.0, 1_000_000.0)
_SCORE_STEPS = 20
# To look at all scores would take longer than half of all other counting; how they are spread shows in some as well.
_SCORES_OF_EVERY = 64


class VersionCounts:
    """Of one version; the thread that plans and encodes requests counts.

    Attributes:
        requests: that it was chosen for, without an alias.
        aliases: the same with one, by alias: only those that an operator has made.
        candidates: of each request, those that are scored.
        unknown_items: candidates that it does not know, each once for a request.
        cold_users: requests of users that it does not know.
        scores: of every 64th request, the first one among them, in steps of a twentieth of the rating scale.
    """

    __slots__ = ("_before_scores", "aliases", "candidates", "cold_users", "requests", "scores", "unknown_items")

    def __init__(self, lowest: float, highest: float) -> None:
        """For ratings from `lowest` to `highest`."""
        self.requests = 0
        self.aliases: dict[str, int] = {}
        self.candidates = Distribution(_CANDIDATES)
        self.unknown_items = 0
        self.cold_users = 0
        self.scores = Distribution(np.linspace(lowest, highest, _SCORE_STEPS + 1).round(6).tolist())
        self._before_scores = 1

    def planned(self, candidates: int, unknown_items: int, user_known: bool, alias: str | None) -> bool:
        """Counts a request that it is to answer, and says whether its scores are to be counted too, by `answered`."""
        if alias is None:
            self.requests += 1
        else:
            self.aliases[alias] = self.aliases.get(alias, 0) + 1
        self.candidates.pending.append(candidates)
        if unknown_items:
            self.unknown_items += unknown_items
        if not user_known:
            self.cold_users += 1
        self._before_scores -= 1
        if self._before_scores:
            return False
        self._before_scores = _SCORES_OF_EVERY
        self.candidates.sort_many()
        return True

    def answered(self, scores: Scores) -> None:
        """Counts the scores of one request: float32[n], or float32[2, n] with choices."""
        self.scores.add_all(scores if scores.ndim == 1 else scores[0])
