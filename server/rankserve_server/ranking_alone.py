"""A request scored by itself, beside the queue: for those that nobody waits for."""

from rankserve_server.loaded_model import LoadedModel
from rankserve_server.ranking import Plan, Ranking, RankQuery
from rankserve_server.score_batch import ScoreBatch
from rankserve_server.score_job import ScoreJob
from rankserve_server.score_slice import next_slice


def rank_alone(model: LoadedModel, query: RankQuery) -> Ranking:
    """The answer of a version.

    Raises:
        RequestError: where it cannot answer.
        Exception: where scoring fails.
    """
    plan = Plan(query, model)
    job = ScoreJob(model.engine, plan.user_row, plan.item_rows, newcomer=plan.newcomer)
    while job.remaining:
        piece = next_slice(job)
        ScoreBatch([piece], []).finish()
        if job.error is not None:
            raise job.error
        job.scored = piece.stop
    return plan.finish(job.scores)
