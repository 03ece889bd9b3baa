"""From a request's message to score jobs, and from scored jobs to the response: the same on every transport."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np

from rankserve.v1 import ranking_pb2
from rankserve_server.errors import InvalidRequestError, Violation
from rankserve_server.limits import Limits
from rankserve_server.loaded_model import LoadedModel
from rankserve_server.metrics.version_counts import VersionCounts
from rankserve_server.ranking import Plan, Ranking, RankQuery
from rankserve_server.score_job import ScoreJob
from rankserve_server.service.conversion import parsed, query_of, refusal_of, response_of
from rankserve_server.service.encoding import ResponseEncoder
from rankserve_server.service.exchanges import Exchange, of_batch, of_rank
from rankserve_server.service.plain_requests import PlainRequest
from rankserve_server.service.selector import selection_of
from rankserve_server.versions.repository import Repository
from rankserve_server.versions.shadowing import ShadowScorer

_NO_SCORES = np.zeros(0, np.float32)


class Planned(Protocol):
    """Any request on its way, whatever its protocol."""

    @property
    def jobs(self) -> list[ScoreJob]:
        """What has to be scored."""

    def encoded_response(self) -> bytes:
        """The answer, once the jobs are done.

        Raises:
            Exception: the error of a job that failed.
        """

    def exchanges(self, message: bytes, answer: bytes) -> Iterator[Exchange]:
        """What was asked and answered, to be taken later.

        Args:
            message: as it came.
            answer: what `encoded_response` has given.
        """


# From an encoded request and its deadline, on the clock of `time.monotonic`; raises a RequestError.
PlanMessage: TypeAlias = Callable[[bytes, float], Planned]


@dataclass(slots=True)
class PlannedRequest:
    """A request on its way.

    Attributes:
        query: what is asked.
        plan: what is scored, and what becomes of the scores.
        model: the version that answers.
        encoder: of its responses.
        jobs: one job; none where nothing is left to score.
        shadows: who may score it too.
        counts: where its scores are counted; None where they are not, as for most.
    """

    query: RankQuery
    plan: Plan
    model: LoadedModel
    encoder: ResponseEncoder
    jobs: list[ScoreJob]
    shadows: ShadowScorer
    counts: VersionCounts | None = None

    def response(self) -> ranking_pb2.RankResponse:
        """The answer, once the job is done.

        Raises:
            Exception: the error of a job that failed.
        """
        return response_of(self.ranking(), self.model)

    def encoded_response(self) -> bytes:
        """The same, serialised."""
        return self.encoder.encode(self.ranking())

    def exchanges(self, message: bytes, answer: bytes) -> Iterator[Exchange]:
        """See `Planned`."""
        return of_rank(message, answer)

    def ranking(self) -> Ranking:
        """The same as columns."""
        if not self.jobs:
            return self.plan.finish(_NO_SCORES)
        job = self.jobs[0]
        if job.error is not None:
            raise job.error
        ranking = self.plan.finish(job.scores)
        if self.counts is not None:
            self.counts.answered(job.scores)
        self.shadows.consider(self.model, self.query, ranking)
        return ranking


@dataclass(slots=True)
class PlannedBatch:
    """The requests of one BatchRank call on their way; a refused one is there as its error.

    Attributes:
        requests: in their order.
        jobs: those of all.
    """

    requests: list[PlannedRequest | Exception]
    jobs: list[ScoreJob]

    def response(self) -> ranking_pb2.BatchRankResponse:
        """The answers, once the jobs are done."""
        return ranking_pb2.BatchRankResponse(responses=[_response_or_refusal(request) for request in self.requests])

    def encoded_response(self) -> bytes:
        """The same, serialised."""
        return self.response().SerializeToString()

    def exchanges(self, message: bytes, answer: bytes) -> Iterator[Exchange]:
        """See `Planned`."""
        return of_batch(message, answer)


class Planner:
    """Plans requests with the models of a repository."""

    def __init__(self, repository: Repository, limits: Limits, shadows: ShadowScorer, counted: bool = False) -> None:
        """`counted` is whether the versions count what they are asked."""
        self._counted = counted
        self._repository = repository
        self._limits = limits
        self._shadows = shadows
        # Weak, so that an encoder goes with its version.
        self._encoders: WeakKeyDictionary[LoadedModel, ResponseEncoder] = WeakKeyDictionary()

    def check_ready(self) -> None:
        """Refuses a call whose requests nobody could answer.

        Raises:
            NotReadyError: while the models are being loaded.
        """
        self._repository.check_ready()

    def plan(self, request: ranking_pb2.RankRequest, deadline: float) -> PlannedRequest:
        """Plans one request.

        Args:
            request: as it came.
            deadline: on the clock of `time.monotonic`.

        Raises:
            RequestError: where it cannot be answered.
        """
        query = query_of(request, self._limits)
        selection = selection_of(request.model)
        model = self._repository.select(**selection, user_id=query.user_id)
        return self.plan_query(query, model, deadline, selection["alias"])

    def plan_message(self, message: bytes, plain: PlainRequest | None, deadline: float) -> PlannedRequest:
        """Plans one request, as its bytes came.

        Args:
            message: a serialised RankRequest.
            plain: what `decode_plain` made of it.
            deadline: on the clock of `time.monotonic`.

        Raises:
            RequestError: where it cannot be answered.
        """
        if plain is None or len(plain.candidate_ids) > self._limits.max_candidates:
            return self.plan_rank(message, deadline)
        query = RankQuery(plain.user_id, plain.candidate_ids)
        return self.plan_query(query, self._repository.select(user_id=query.user_id), deadline)

    def plan_rank(self, message: bytes, deadline: float) -> PlannedRequest:
        """A `PlanMessage` for Rank."""
        return self.plan(parsed(ranking_pb2.RankRequest, message), deadline)

    def plan_batch_rank(self, message: bytes, deadline: float) -> PlannedBatch:
        """A `PlanMessage` for BatchRank."""
        return self.plan_batch(parsed(ranking_pb2.BatchRankRequest, message), deadline)

    def plan_batch(self, request: ranking_pb2.BatchRankRequest, deadline: float) -> PlannedBatch:
        """Plans the requests of a BatchRank call.

        Raises:
            InvalidRequestError: where there are too many of them, or of their candidates.
        """
        count = len(request.requests)
        if not 1 <= count <= self._limits.max_batch_requests:
            raise InvalidRequestError(
                Violation("requests", f"1 to {self._limits.max_batch_requests} are accepted, got {count}")
            )
        planned: list[PlannedRequest | Exception] = []
        jobs: list[ScoreJob] = []
        candidates = 0
        for single in request.requests:
            planned.append(item := self._plan_or_error(single, deadline))
            if isinstance(item, PlannedRequest):
                jobs += item.jobs
                candidates += item.plan.count
                # Each time, because to plan what is refused in the end costs all others as much as what is not.
                self._check_batch_candidates(candidates)
        return PlannedBatch(planned, jobs)

    def plan_query(
        self, query: RankQuery, model: LoadedModel, deadline: float, alias: str | None = None
    ) -> PlannedRequest:
        """Plans a valid query for a version; `alias` is the one that it was asked for by.

        Raises:
            RequestError: where that cannot answer it.
        """
        plan = Plan(query, model)
        counts, count = None, plan.count
        if self._counted and model.counts.planned(count, plan.unknown_items, plan.user_row != 0, alias):
            counts = model.counts
        jobs = []
        if count:
            engine, name, version = model.engine, model.name, model.version
            jobs.append(ScoreJob(engine, plan.user_row, plan.item_rows, deadline, plan.newcomer, name, version))
        return PlannedRequest(query, plan, model, self._encoder(model), jobs, self._shadows, counts)

    def _encoder(self, model: LoadedModel) -> ResponseEncoder:
        encoder = self._encoders.get(model)
        if encoder is None:
            encoder = self._encoders[model] = ResponseEncoder(model)
        return encoder

    def _plan_or_error(self, request: ranking_pb2.RankRequest, deadline: float) -> PlannedRequest | Exception:
        try:
            return self.plan(request, deadline)
        except Exception as error:  # its neighbours are answered
            return error

    def _check_batch_candidates(self, count: int) -> None:
        if count > self._limits.max_batch_candidates:
            raise InvalidRequestError(
                Violation(
                    "requests",
                    f"at most {self._limits.max_batch_candidates} candidates are accepted together, got {count} or "
                    "more; a request for the whole catalogue counts with its size",
                )
            )


def _response_or_refusal(planned: PlannedRequest | Exception) -> ranking_pb2.RankResponse:
    if isinstance(planned, Exception):
        return refusal_of(planned)
    try:
        return planned.response()
    except Exception as error:  # its neighbours are answered
        return refusal_of(error)
