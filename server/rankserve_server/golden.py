"""Replays what a manifest promises: the scores that the trained model gave."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from rankserve_server.engine.arrays import Scores
from rankserve_server.engine.newcomers import NO_ROW, Bag, NewUser
from rankserve_server.loaded_model import LoadedModel
from rankserve_training.artifact import GoldenRequest
from rankserve_training.artifact.manifest import GoldenNewcomer


class WrongScoresError(ValueError):
    """A model does not give the scores that it was published with. For `fault` see `ArtifactError`."""

    fault = "scores"


# Folding changes the order of float32 operations, and so the last bits of a score. Relative to the span of the scale,
# or to the score where that is larger.
_RATING_TOLERANCE = 1e-5
# Absolute, and relative to the choice.
_CHOICE_TOLERANCE = 1e-4


def replay_golden_requests(model: LoadedModel, checkpoint: Callable[[], None] = lambda: None) -> None:
    """Replays all of them.

    Args:
        model: that is to give these scores.
        checkpoint: called after each; what it raises ends it.

    Raises:
        WrongScoresError: where the model does not give the scores that it was published with.
        ValueError: where a request does not fit together, or the model cannot answer it.
    """
    for golden in model.manifest.golden_requests:
        _check(model, f"user {golden.user_id}'s golden request", _scores(model, golden), golden)
        checkpoint()
    for number, newcomer in enumerate(model.manifest.golden_newcomers, start=1):
        _check(model, f"the golden request {number} of a newcomer", _newcomer_scores(model, newcomer), newcomer)
        checkpoint()


def _scores(model: LoadedModel, golden: GoldenRequest) -> Scores:
    engine = model.engine
    items = model.catalog.index.rows(np.array(golden.candidate_ids, np.int64))
    users = np.full(len(items), model.users.index.row(golden.user_id), np.int32)
    parts = [slice(start, start + engine.slice_rows) for start in range(0, len(items), engine.slice_rows)]
    return np.concatenate([engine.score(users[part], items[part]) for part in parts], axis=-1)


def _newcomer_scores(model: LoadedModel, golden: GoldenNewcomer) -> Scores:
    if model.newcomers is None:
        raise ValueError(f"{model.name}/{model.version} has golden requests of newcomers, but cannot rank for them")
    if len(golden.history_item_ids) != len(golden.history_ratings) or len(golden.scores) > model.engine.slice_rows:
        raise ValueError("a golden request of a newcomer does not fit together")
    index, engine = model.catalog.index, model.engine
    rated = index.rows(np.array(golden.history_item_ids, np.int64))
    entries = model.newcomers.user(rated, np.array(golden.history_ratings, np.float32), golden.features)
    user = NewUser(NO_ROW, Bag.of(entries.rows, entries.weights))
    entries = model.newcomers.item(golden.genres, golden.year)
    new_item = Bag.of(entries.rows, entries.weights)
    items = np.append(index.rows(np.array(golden.candidate_ids, np.int64)), np.int32(engine.item_count + 1))
    return engine.start_newcomers([user], [new_item], np.zeros(len(items), np.int32), items).result()


def _check(model: LoadedModel, what: str, scores: Scores, golden: GoldenRequest | GoldenNewcomer) -> None:
    ratings, choices = scores if model.engine.has_choice else (scores, None)
    allowed = _RATING_TOLERANCE * np.maximum(model.manifest.rating_scale.span, np.abs(golden.scores))
    _check_close(what, ratings, golden.scores, allowed)
    if golden.choice_scores:
        if choices is None:
            raise ValueError(f"{what} has choice scores, but the model has none")
        tolerances = _CHOICE_TOLERANCE * (1 + np.abs(golden.choice_scores))
        _check_close(f"the choice of {what}", choices, golden.choice_scores, tolerances)


def _check_close(what: str, scores: Scores, expected: Sequence[float], tolerances: npt.NDArray[np.float64]) -> None:
    if len(scores) != len(expected):
        raise ValueError(f"{what} has {len(expected)} scores for {len(scores)} candidates")
    differences = np.abs(scores.astype(np.float64) - expected)
    worst = int(np.argmax(differences - tolerances))  # also where it is NaN
    if not differences[worst] <= tolerances[worst]:
        raise WrongScoresError(
            f"{what} is off by {differences[worst]:.3g} where {tolerances[worst]:.3g} is allowed; the model does not "
            "give the scores that it was published with"
        )
