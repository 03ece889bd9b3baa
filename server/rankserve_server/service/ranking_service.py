"""RankingService on grpc.aio."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np

from rankserve.v1 import ranking_pb2, ranking_pb2_grpc
from rankserve_server.errors import InvalidRequestError, NotReadyError, Violation
from rankserve_server.limits import Limits
from rankserve_server.loaded_model import LoadedModel
from rankserve_server.ranking import Plan
from rankserve_server.repository import Repository
from rankserve_server.score_job import ScoreJob
from rankserve_server.service.calls import Calls, Context, deadline_of, fail
from rankserve_server.service.conversion import query_of, refusal_of, response_of
from rankserve_server.service.score_waiter import ScoreWaiter
from rankserve_server.service.selector import selection_of
from rankserve_server.service.stream_window import StreamWindow

_Request = ranking_pb2.RankRequest
_Response = ranking_pb2.RankResponse
_NO_SCORES = np.zeros(0, np.float32)


class RankingService(ranking_pb2_grpc.RankingServiceServicer):
    """Converts requests to score jobs, waits for the scores, converts them back."""

    def __init__(self, repository: Repository, waiter: ScoreWaiter, calls: Calls, limits: Limits) -> None:
        self._repository = repository
        self._waiter = waiter
        self._calls = calls
        self._limits = limits

    async def Rank(self, request: _Request, context: Context) -> _Response:  # noqa: N802, named by the proto
        """Ranks the candidates of one request."""
        return await self._calls.answer(context, self._rank(request, deadline_of(context)))

    async def BatchRank(  # noqa: N802
        self, request: ranking_pb2.BatchRankRequest, context: Context
    ) -> ranking_pb2.BatchRankResponse:
        """Ranks several requests; a refused one does not touch its neighbours."""
        return await self._calls.answer(context, self._rank_batch(request, deadline_of(context)))

    async def RankStream(self, requests: AsyncIterator[_Request], context: Context) -> AsyncIterator[_Response]:  # noqa: N802
        """Ranks a stream of requests, several at a time, and answers in their order."""
        window = StreamWindow[_Response](self._limits.max_stream_requests)
        reader = asyncio.create_task(self._read_stream(requests, window, deadline_of(context)))
        drain_watch = asyncio.create_task(self._calls.cancel_when_draining(reader))
        try:
            while (response := await window.next()) is not None:
                yield response
            self._calls.check_open()
        except NotReadyError as error:
            await fail(context, error)
        finally:
            drain_watch.cancel()
            reader.cancel()
            window.cancel()

    async def _rank(self, request: _Request, deadline: float) -> _Response:
        self._calls.check_open()
        planned = self._plan(request, deadline)
        await self._waiter.score(planned.jobs)
        return planned.response()

    async def _rank_batch(
        self, request: ranking_pb2.BatchRankRequest, deadline: float
    ) -> ranking_pb2.BatchRankResponse:
        self._calls.check_open()
        count = len(request.requests)
        if not 1 <= count <= self._limits.max_batch_requests:
            raise InvalidRequestError(
                Violation("requests", f"1 to {self._limits.max_batch_requests} are accepted, got {count}")
            )
        planned = [self._plan_or_error(single, deadline) for single in request.requests]
        jobs = [job for item in planned if isinstance(item, _Planned) for job in item.jobs]
        self._check_batch_candidates(jobs)
        await self._waiter.score(jobs)
        return ranking_pb2.BatchRankResponse(responses=[_response_or_refusal(item) for item in planned])

    async def _read_stream(
        self, requests: AsyncIterator[_Request], window: StreamWindow[_Response], deadline: float
    ) -> None:
        """Starts an answer for each request until the client has sent its last one."""
        try:
            async for request in requests:
                await window.room()
                window.add(self._stream_answer(request, deadline))
        finally:
            window.end()

    async def _stream_answer(self, request: _Request, deadline: float) -> _Response:
        with self._calls.in_flight():
            try:
                planned = self._plan(request, deadline)
                await self._waiter.score(planned.jobs)
                return planned.response()
            except Exception as error:  # the stream goes on
                return refusal_of(error)

    def _plan(self, request: _Request, deadline: float) -> "_Planned":
        query = query_of(request, self._limits)
        model = self._repository.select(**selection_of(request.model))
        plan = Plan(query, model)
        job = ScoreJob(model.engine, plan.user_row, plan.item_rows, deadline) if plan.count else None
        return _Planned(plan, model, job)

    def _plan_or_error(self, request: _Request, deadline: float) -> "_Planned | Exception":
        try:
            return self._plan(request, deadline)
        except Exception as error:  # its neighbours are answered
            return error

    def _check_batch_candidates(self, jobs: list[ScoreJob]) -> None:
        count = sum(job.count for job in jobs)
        if count > self._limits.max_batch_candidates:
            raise InvalidRequestError(
                Violation(
                    "requests",
                    f"at most {self._limits.max_batch_candidates} candidates are accepted together, got {count}; a "
                    "request for the whole catalogue counts with its size",
                )
            )


@dataclass(frozen=True)
class _Planned:
    """A request on its way: the plan, the version that answers, and the job; none where nothing is left to score."""

    plan: Plan
    model: LoadedModel
    job: ScoreJob | None

    @property
    def jobs(self) -> list[ScoreJob]:
        return [] if self.job is None else [self.job]

    def response(self) -> _Response:
        """The answer, once the job is done.

        Raises:
            Exception: the error of a job that failed.
        """
        if self.job is None:
            return response_of(self.plan.finish(_NO_SCORES), self.model)
        if self.job.error is not None:
            raise self.job.error
        return response_of(self.plan.finish(self.job.scores), self.model)


def _response_or_refusal(planned: _Planned | Exception) -> _Response:
    if isinstance(planned, Exception):
        return refusal_of(planned)
    try:
        return planned.response()
    except Exception as error:  # its neighbours are answered
        return refusal_of(error)
