"""Users and items in pairs, as protocols bring them that know tensors or examples: each pair gets its score.

They become the queries that `Rank` would make of them, one for each user, so that the scores have the same bits.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from rankserve_server.engine.engine import Scores
from rankserve_server.errors import InvalidRequestError, Violation
from rankserve_server.limits import Limits
from rankserve_server.loaded_model import LoadedModel
from rankserve_server.ranking import Places, Ranking, RankQuery
from rankserve_server.score_job import ScoreJob
from rankserve_server.service.exchanges import Exchange, of_users
from rankserve_server.service.planning import PlannedRequest, Planner
from rankserve_server.service.selector import Selection
from rankserve_server.told import Ids
from rankserve_server.versions.repository import Repository


@dataclass(slots=True)
class PlannedPairs:
    """Pairs on their way.

    Attributes:
        model: the version that answers all of them.
        selection: of it, as asked for.
        count: how many pairs.
        requests: one for each user.
        places: of each request's candidates among the pairs; None where there is only one request.
        jobs: those of all requests.
    """

    model: LoadedModel
    selection: Selection
    count: int
    requests: list[PlannedRequest]
    places: list[Places] | None
    jobs: list[ScoreJob]
    _rankings: list[Ranking] = field(default_factory=list)

    def scores(self) -> Scores:
        """float32[count], the predicted ratings, once the jobs are done.

        Raises:
            Exception: the error of a job that failed.
        """
        self._rankings = [request.ranking() for request in self.requests]
        if self.places is None:
            return self._rankings[0].scores
        scores = np.empty(self.count, np.float32)
        for ranking, places in zip(self._rankings, self.places, strict=True):
            scores[places] = ranking.scores
        return scores

    def exchanges(self) -> Iterator[Exchange]:
        """One for each user, once there are scores; see `Planned`."""
        queries = [request.query for request in self.requests]
        return of_users(zip(queries, self._rankings, strict=True), self.selection, self.model)


class PairPlanner:
    """Plans pairs."""

    def __init__(self, planner: Planner, repository: Repository, limits: Limits) -> None:
        self._planner = planner
        self._repository = repository
        self._limits = limits

    def plan(self, user_ids: Ids, item_ids: Ids, selection: Selection, deadline: float) -> PlannedPairs:
        """Plans the pairs of one request. One version answers all: where there is a canary, the first user decides.

        Args:
            user_ids: int64[n], or int64[1] for one user of all items.
            item_ids: int64[n].
            selection: of the version.
            deadline: on the clock of `time.monotonic`.

        Raises:
            RequestError: where they cannot be scored.
        """
        if not len(item_ids):
            raise InvalidRequestError(Violation("item_id", "should have one candidate or more, got none"))
        self._check_count(len(user_ids), len(item_ids))
        users, places = _by_user(user_ids)
        self._check_users(users, places, len(item_ids))
        model = self._repository.select(**selection, user_id=users[0])
        queries = [
            RankQuery(user, item_ids if places is None else item_ids[places[number]], as_sent=True)
            for number, user in enumerate(users)
        ]
        requests = [self._planner.plan_query(query, model, deadline) for query in queries]
        jobs = [job for request in requests for job in request.jobs]
        return PlannedPairs(model, selection, len(item_ids), requests, places, jobs)

    def _check_count(self, users: int, items: int) -> None:
        """Before anything is sorted."""
        limit = self._limits.max_candidates if users == 1 else self._limits.max_batch_candidates
        if items > limit:
            together = "" if users == 1 else " together"
            raise InvalidRequestError(Violation("item_id", f"at most {limit} are accepted{together}, got {items}"))

    def _check_users(self, users: list[int], places: list[Places] | None, items: int) -> None:
        if len(users) > self._limits.max_batch_requests:
            text = f"at most {self._limits.max_batch_requests} different users are accepted, got {len(users)}"
            raise InvalidRequestError(Violation("user_id", text))
        for user, count in zip(users, [items] if places is None else map(len, places), strict=True):
            if count > self._limits.max_candidates:
                text = f"at most {self._limits.max_candidates} are accepted for one user, got {count} for user {user}"
                raise InvalidRequestError(Violation("item_id", text))


def _by_user(user_ids: Ids) -> tuple[list[int], list[Places] | None]:
    """The users, the first pair's first, and the places of each one's pairs in order; None where there is one user."""
    first = int(user_ids[0])
    if len(user_ids) == 1 or not np.count_nonzero(user_ids != first):
        return [first], None
    users, numbers = np.unique(user_ids, return_inverse=True)
    places = np.split(numbers.argsort(kind="stable"), np.cumsum(np.bincount(numbers))[:-1])
    by_first_pair = sorted(range(len(users)), key=lambda number: int(places[number][0]))
    return [int(users[number]) for number in by_first_pair], [places[number] for number in by_first_pair]
