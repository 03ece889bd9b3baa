"""How good the rankings were that a server has given: joined with what their users have rated since."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rankserve_training.data import DataError, Ratings, RatingScale
from rankserve_training.evaluation.bootstrap import Bootstrap
from rankserve_training.evaluation.measures import Measure
from rankserve_training.evaluation.per_user import PerUser
from rankserve_training.evaluation.request_log import Int64s, LoggedRankings, RequestLog
from rankserve_training.evaluation.reranking import rerank
from rankserve_training.metrics import mae
from rankserve_training.rows import RatedPairs

_RANKING_KEYS = ("ndcg_at_5", "ndcg_at_10", "mrr")


@dataclass(frozen=True)
class LoggedVersion:
    """What one model version has ranked, measured.

    Attributes:
        name: of the model.
        version: of it.
        rankings: how many it has given.
        joined: how many of them have an item that its user has rated.
        rows: how many such items there are.
        measures: of them, each with a 95 % interval, for which users are drawn.
    """

    name: str
    version: int
    rankings: int
    joined: int
    rows: int
    measures: tuple[Measure, ...]


def evaluate_log(log: RequestLog, outcomes: Ratings, path: Path) -> list[LoggedVersion]:
    """Joins rankings with outcomes by user and item.

    RMSE and MAE are of the scores of rated items. nDCG and MRR are of the rated items of a ranking in its order; see
    `rerank`, of which each ranking is a user here. What is not rated counts nowhere: it may never have been seen.

    Args:
        log: the rankings.
        outcomes: what users have rated.
        path: of the outcomes, for the error.

    Returns:
        The versions of the log that have any outcome.

    Raises:
        DataError: where no user has rated anything that was ranked for him.
    """
    values = outcomes.values.astype(np.float64)
    scale = RatingScale(float(values.min()), float(values.max()))
    found = [_measured(rankings, outcomes, scale) for rankings in log.versions]
    measured = [version for version in found if version is not None]
    if not measured:
        raise DataError(
            f"no user has rated anything in {path} that was ranked for him in these {log.rankings:,} rankings: are its "
            "ids those of the log?"
        )
    return measured


def _measured(rankings: LoggedRankings, outcomes: Ratings, scale: RatingScale) -> LoggedVersion | None:
    logged, rated = _joined(rankings, outcomes)
    if not len(logged):
        return None
    given = outcomes.values[rated]
    users, predicted = rankings.user_ids[logged], rankings.scores[logged]
    bootstrap, numbers = Bootstrap(), rankings.numbers[logged]
    rmse = bootstrap.rmse(predicted, given, users)
    measures = [
        Measure("rmse", rmse.value, rmse.low, rmse.high, len(given)),
        Measure("mae", mae(predicted, given), None, None, len(given)),
    ]
    if scale.span > 0:
        # By ranking, not by user: each is one that somebody has seen.
        pairs = RatedPairs(numbers.astype(np.int32), np.ones(len(given), np.int32), given)
        ranked = rerank(rankings.places[logged], pairs, scale)
        user_of = np.zeros(rankings.rankings + 1, np.int64)
        user_of[numbers] = users
        measures += [
            measure
            for key in _RANKING_KEYS
            if (measure := _mean(key, getattr(ranked, key), user_of, bootstrap)) is not None
        ]
    joined = len(np.unique(numbers))
    return LoggedVersion(rankings.name, rankings.version, rankings.rankings, joined, len(given), tuple(measures))


def _mean(key: str, per_ranking: PerUser, user_of: Int64s, bootstrap: Bootstrap) -> Measure | None:
    if not len(per_ranking):
        return None
    mean = bootstrap.mean(per_ranking.values, user_of[per_ranking.users])
    return Measure(key, mean.value, mean.low, mean.high, len(per_ranking))


def _joined(rankings: LoggedRankings, outcomes: Ratings) -> tuple[Int64s, Int64s]:
    """The rows of both that are of the same user and item, int64[m] each; an outcome can have several rankings."""
    users, items = np.unique(outcomes.user_ids), np.unique(outcomes.item_ids)
    known = np.flatnonzero(np.isin(rankings.user_ids, users) & np.isin(rankings.item_ids, items))

    def keys(user_ids: Int64s, item_ids: Int64s) -> Int64s:
        return np.searchsorted(users, user_ids) * np.int64(len(items)) + np.searchsorted(items, item_ids)

    rated = keys(outcomes.user_ids, outcomes.item_ids)
    order = np.argsort(rated)
    wanted = keys(rankings.user_ids[known], rankings.item_ids[known])
    places = np.minimum(np.searchsorted(rated[order], wanted), len(order) - 1)
    same = rated[order][places] == wanted
    return known[same], order[places[same]]
