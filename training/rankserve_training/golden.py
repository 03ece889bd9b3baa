"""Golden requests: what a server replays before it serves a version, with the scores that Keras gives."""

import numpy as np
import numpy.typing as npt

from rankserve_training.artifact import GoldenRequest, IdIndex
from rankserve_training.artifact.manifest import GoldenNewcomer
from rankserve_training.model.backend import keras
from rankserve_training.model.newcomers import Feature
from rankserve_training.model.predicting import predict_pairs
from rankserve_training.model.two_tower import TowerRows, head_of, known_pairs_model, rows_of
from rankserve_training.train import TrainedModel, TrainedNewcomers

_USERS = 16
_CANDIDATES = 32
_NEWCOMERS = 4
_LONGEST_HISTORY = 24
_YEAR = 1997


def golden_requests(model: keras.Model, users: IdIndex, items: IdIndex) -> list[GoldenRequest]:
    """Users and items spread over the whole tables, first and last included, and a stranger in every request."""
    user_ids = [*_spread(users.ids, _USERS), _stranger(users.ids)]
    spread_items = _spread(items.ids, _CANDIDATES * len(user_ids))
    requests = []
    for number, user_id in enumerate(user_ids):
        candidates = [*spread_items[number :: len(user_ids)], _stranger(items.ids)]
        rows = items.rows(np.array(candidates, np.int64))
        scores = predict_pairs(model, np.full_like(rows, users.row(user_id)), rows)
        choices = [] if scores.choices is None else scores.choices.tolist()
        requests.append(GoldenRequest(user_id, candidates, scores.ratings.tolist(), choices))
    return requests


def golden_newcomers(trained: TrainedModel) -> list[GoldenNewcomer]:
    """Strangers with histories of several lengths, and an item that is described; none where the model has none."""
    if trained.newcomers is None:
        return []
    random = np.random.default_rng(0)
    return [
        _golden_newcomer(trained, trained.newcomers, round(length), random)
        for length in np.linspace(0, _LONGEST_HISTORY, _NEWCOMERS)
    ]


def _golden_newcomer(
    trained: TrainedModel, newcomers: TrainedNewcomers, length: int, random: np.random.Generator
) -> GoldenNewcomer:
    encoding, items, scale = newcomers.encoding, trained.data.items, trained.dataset.scale
    rows = np.sort(random.choice(len(items), min(length, len(items)), replace=False)).astype(np.int32) + 1
    ratings = random.uniform(scale.minimum, scale.maximum, len(rows)).astype(np.float32)
    features = {feature.name: _value_of(feature) for feature in encoding.encoding.user_features}
    genres = [name for feature in encoding.encoding.item_features for name in feature.values[:2]]
    candidates = _spread(items.ids, _CANDIDATES)
    user = rows_of(newcomers.keras_model, "user").summed(encoding.user(rows, ratings, features))
    item = rows_of(newcomers.keras_model, "item").summed(encoding.item(genres, _YEAR))
    known = rows_of(trained.keras_model, "item").take(items.rows(np.array(candidates, np.int64)))
    candidate_rows = TowerRows.joined([known, item])
    model = known_pairs_model(user, candidate_rows, head_of(trained.keras_model))
    places = np.arange(len(candidates) + 1, dtype=np.int32)
    scores = predict_pairs(model, np.zeros_like(places), places)
    return GoldenNewcomer(
        history_item_ids=items.ids[rows - 1].tolist(),
        history_ratings=ratings.tolist(),
        features=features,
        item_id=_stranger(items.ids),
        genres=genres,
        year=_YEAR,
        candidate_ids=candidates,
        scores=scores.ratings.tolist(),
        choice_scores=scores.choices.tolist() if scores.choices is not None else [],
    )


def _value_of(feature: Feature) -> str:
    return f"{feature.edges[0]:g}" if feature.edges else feature.values[0]


def _stranger(ids: npt.NDArray[np.int64]) -> int:
    """The lowest positive id that is not among these."""
    gaps = np.flatnonzero(ids != np.arange(1, len(ids) + 1))
    return int(gaps[0]) + 1 if len(gaps) else len(ids) + 1


def _spread(ids: npt.NDArray[np.int64], count: int) -> list[int]:
    places = np.unique(np.linspace(0, len(ids) - 1, min(count, len(ids))).round().astype(np.int64))
    return [int(id_) for id_ in ids[places]]
