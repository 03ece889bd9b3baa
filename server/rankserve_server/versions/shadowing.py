"""A version in the shadow of the one that answers: it ranks the same requests, and only the comparison is kept.

It must cost those who wait nothing. So it has a thread of the lowest priority, works for a tenth of the time at most,
and leaves out what would have to queue.
"""

import logging
import os
import random
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from rankserve_server.errors import RequestError
from rankserve_server.loaded_model import LoadedModel
from rankserve_server.ranking import Ranking, RankQuery
from rankserve_server.ranking_alone import rank_alone

if TYPE_CHECKING:
    from rankserve_server.versions.repository import Repository

_log = logging.getLogger(__name__)

_LOWEST_PRIORITY = 19
_WORKING_SHARE = 0.1
_LONGEST_QUEUE = 32
_TOP = 10
# Each pair of them is looked at.
_MOST_ORDERED = 100
Ids = npt.NDArray[np.int64]


@dataclass
class ShadowReport:
    """How a version would have ranked what others have answered.

    Attributes:
        compared: requests that both have ranked.
        left_out: requests of its share that it was not asked.
        failed: requests that it could not rank.
        overlap_at_10: the share of the first 10 items of the answer that are among its own first 10; mean.
        kendall_tau: of the first 100 items of the answer that both have ranked; mean.
        score_difference: by how much its scores are above the answer's, for the items that both have ranked; mean.
        absolute_score_difference: the same without its sign.
    """

    compared: int = 0
    left_out: int = 0
    failed: int = 0
    overlap_at_10: float = 0.0
    kendall_tau: float = 0.0
    score_difference: float = 0.0
    absolute_score_difference: float = 0.0


@dataclass
class ShadowTotals:
    """The same added up; nothing in it ever falls, so that rates can be told.

    Attributes:
        compared: see `ShadowReport`.
        left_out: likewise.
        failed: likewise.
        overlap_at_10: sum over what was compared, likewise.
        discordance: Kendall's distance, the share of pairs that are the other way round: tau is 1 - 2 * this.
        score_rise: what scores are above the answer's, the mean over the items of a request.
        score_fall: what they are below.
    """

    compared: int = 0
    left_out: int = 0
    failed: int = 0
    overlap_at_10: float = 0.0
    discordance: float = 0.0
    score_rise: float = 0.0
    score_fall: float = 0.0

    def add(self, answer: Ranking, shadow: Ranking) -> None:
        """Counts a comparison."""
        places, other_places = common_places(answer.item_ids, shadow.item_ids)
        self.overlap_at_10 += overlap(answer.item_ids[:_TOP], shadow.item_ids[:_TOP])
        self.discordance += (1 - kendall_tau(other_places[:_MOST_ORDERED])) / 2
        if len(places):
            differences = shadow.scores[other_places].astype(np.float64) - answer.scores[places]
            self.score_rise += float(np.maximum(differences, 0).mean())
            self.score_fall += float(np.maximum(-differences, 0).mean())
        self.compared += 1

    def report(self) -> ShadowReport:
        """The means."""
        count = max(1, self.compared)
        return ShadowReport(
            compared=self.compared,
            left_out=self.left_out,
            failed=self.failed,
            overlap_at_10=self.overlap_at_10 / count,
            kendall_tau=1 - 2 * self.discordance / count if self.compared else 0.0,
            score_difference=(self.score_rise - self.score_fall) / count,
            absolute_score_difference=(self.score_rise + self.score_fall) / count,
        )


class ShadowScorer:
    """Ranks by shadows what has been answered."""

    def __init__(self, repository: "Repository") -> None:
        """Starts with the first request that a shadow is to rank."""
        self._repository = repository
        self._queue: deque[tuple[LoadedModel, RankQuery, Ranking]] = deque()
        self._totals: WeakKeyDictionary[LoadedModel, ShadowTotals] = WeakKeyDictionary()
        self._wanted = threading.Semaphore(0)
        self._thread: threading.Thread | None = None
        self._over = False

    def consider(self, answered: LoadedModel, query: RankQuery, answer: Ranking) -> None:
        """Takes a request, if there is a shadow for it and it has time; returns at once."""
        shadow = self._repository.shadow(answered, random.random())  # noqa: S311, who is measured need not be secret
        if shadow is None:
            return
        if len(self._queue) >= _LONGEST_QUEUE:
            self._totals_of(shadow).left_out += 1
            return
        self._queue.append((shadow, query, answer))
        self._wanted.release()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="rankserve-shadow", daemon=True)
            self._thread.start()

    def report(self, shadow: LoadedModel) -> ShadowReport | None:
        """What a version's shadow has shown; None where it never was one."""
        totals = self._totals.get(shadow)
        return None if totals is None else totals.report()

    def totals(self, shadow: LoadedModel) -> ShadowTotals | None:
        """The same, added up."""
        return self._totals.get(shadow)

    def stop(self) -> None:
        """Takes nothing more."""
        self._over = True
        self._wanted.release()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST_PRIORITY)
        while self._wanted.acquire() and not self._over:
            started = time.monotonic()
            self._compare(*self._queue.popleft())
            worked = time.monotonic() - started
            time.sleep(worked * (1 / _WORKING_SHARE - 1))

    def _compare(self, shadow: LoadedModel, query: RankQuery, answer: Ranking) -> None:
        totals = self._totals_of(shadow)
        try:
            totals.add(answer, rank_alone(shadow, query))
        except RequestError:  # it cannot do what this request asks for
            totals.failed += 1
        except Exception:
            totals.failed += 1
            _log.exception("The shadow %s/%d failed.", shadow.name, shadow.version)

    def _totals_of(self, shadow: LoadedModel) -> ShadowTotals:
        return self._totals.setdefault(shadow, ShadowTotals())


def overlap(ids: Ids, others: Ids) -> float:
    """The share of the former that are among the latter; 1 where there are none."""
    return float(np.isin(ids, others).mean()) if len(ids) else 1.0


def common_places(ids: Ids, others: Ids) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where the items of both rankings are: int64[n] each, in the order of the former."""
    _, places, other_places = np.intersect1d(ids, others, return_indices=True)
    order = np.argsort(places)
    return places[order], other_places[order]


def kendall_tau(places: npt.NDArray[np.int64]) -> float:
    """Kendall's tau of one order to another, given the places in the latter; 1 where there is but one item.

    All places are different, so that it is tau-a (Kendall, "A New Measure of Rank Correlation", 1938).
    """
    count = len(places)
    if count < 2:
        return 1.0
    signs = np.sign(places[None, :] - places[:, None])
    return float(np.triu(signs).sum() / (count * (count - 1) / 2))
