"""Everything that can be measured on rows that a model was not trained on, beside the baselines on the same rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rankserve_training.baselines import BiasModel, Popularity, global_mean, item_mean, popularity, regularised_biases
from rankserve_training.data import RatingScale
from rankserve_training.evaluation.bootstrap import Bootstrap
from rankserve_training.evaluation.calibration import calibration
from rankserve_training.evaluation.catalogue import Recommending, evaluate_recommending
from rankserve_training.evaluation.examples import example_users
from rankserve_training.evaluation.measuring import (
    ranking_differences,
    ranking_measures,
    rating_differences,
    rating_measures,
)
from rankserve_training.evaluation.rating_accuracy import accuracy_by_item_activity, accuracy_by_user_activity
from rankserve_training.evaluation.reranking import rerank
from rankserve_training.evaluation.result import Counts, Epoch, EvaluatedModel, EvaluationResult
from rankserve_training.evaluation.scorer import PreferenceScorer, Scorer
from rankserve_training.metrics import Floats
from rankserve_training.rows import RatedPairs

if TYPE_CHECKING:
    from rankserve_training.evaluation.measures import Difference

# A catalogue is ranked for so many users; for more, the interval would hardly be narrower.
_MOST_RECOMMENDED_TO = 2_000
_CLOSEST = "biases"


@dataclass(frozen=True)
class Subject:
    """What is evaluated, and on what.

    Attributes:
        name: of the model.
        version: of the model, as it is shown.
        dataset: the name of the data set.
        protocol: which rows are tested, in words.
        scale: of the ratings.
        user_ids: int64[users], for people.
        titles: of the items.
    """

    name: str
    version: str
    dataset: str
    protocol: str
    scale: RatingScale
    user_ids: npt.NDArray[np.int64]
    titles: Sequence[str]


def evaluate_held_out(
    subject: Subject,
    scorer: Scorer,
    train: RatedPairs,
    test: RatedPairs,
    learning_curve: Sequence[Epoch] = (),
    compared: Mapping[str, Floats] | None = None,
) -> EvaluationResult:
    """Measures a model and the baselines.

    Args:
        subject: what is evaluated.
        scorer: the model.
        train: what it was trained on; the baselines learn from the same.
        test: held out, 1 row or more.
        learning_curve: of its training.
        compared: by name, other models' predicted ratings of the test rows.
    """
    counts = Counts(len(subject.user_ids), len(subject.titles), len(train), len(test))
    bootstrap = Bootstrap()
    predicted = scorer.rate(test)
    ranked = rerank(predicted, test, subject.scale)
    recommended = _recommending(scorer, train, test, counts)
    measures = (
        *rating_measures(predicted, test, subject.scale, bootstrap),
        *ranking_measures(ranked, bootstrap),
        *ranking_measures(recommended, bootstrap),
    )
    models = [EvaluatedModel(f"{subject.name}/{subject.version}", "model", measures)]
    differences: list[Difference] = []
    for name, baseline in _baselines(train, counts).items():
        if isinstance(baseline, Popularity):
            found = rerank(baseline.score(test), test, subject.scale)
            recommending = _recommending(baseline, train, test, counts)
            own = (*ranking_measures(found, bootstrap), *ranking_measures(recommending, bootstrap))
            differences += ranking_differences(recommended, name, recommending, bootstrap)
        else:
            ratings = baseline.predict(test)
            found = rerank(ratings, test, subject.scale)
            own = (*rating_measures(ratings, test, subject.scale, bootstrap), *ranking_measures(found, bootstrap))
            if name == _CLOSEST:
                differences += rating_differences(predicted, name, ratings, test, bootstrap)
                differences += ranking_differences(ranked, name, found, bootstrap)
        models.append(EvaluatedModel(name, "baseline", own))
    for name, others in (compared or {}).items():
        found = rerank(others, test, subject.scale)
        own = (*rating_measures(others, test, subject.scale, bootstrap), *ranking_measures(found, bootstrap))
        differences += rating_differences(predicted, name, others, test, bootstrap)
        models.append(EvaluatedModel(name, "compared", own))
    return EvaluationResult(
        model=subject.name,
        version=subject.version,
        dataset=subject.dataset,
        protocol=subject.protocol,
        scale=subject.scale,
        counts=counts,
        models=tuple(models),
        differences=tuple(differences),
        learning_curve=tuple(learning_curve),
        calibration=calibration(predicted, test.ratings, subject.scale),
        user_activity=tuple(accuracy_by_user_activity(predicted, test, train)),
        item_activity=tuple(accuracy_by_item_activity(predicted, test, train)),
        examples=example_users(scorer, train, test, subject.user_ids, subject.titles),
    )


def _baselines(train: RatedPairs, counts: Counts) -> dict[str, BiasModel | Popularity]:
    fits = {"biases": regularised_biases, "item mean": item_mean, "global mean": global_mean}
    fitted: dict[str, BiasModel | Popularity] = {
        name: fit(train, counts.users, counts.items) for name, fit in fits.items()
    }
    return fitted | {"popularity": popularity(train, counts.items)}


def _recommending(scorer: PreferenceScorer, train: RatedPairs, test: RatedPairs, counts: Counts) -> Recommending:
    users = np.unique(test.users)
    if len(users) > _MOST_RECOMMENDED_TO:
        users = np.random.default_rng(0).choice(users, _MOST_RECOMMENDED_TO, replace=False)
        test = test.take(np.flatnonzero(np.isin(test.users, users)))
    return evaluate_recommending(scorer, train, test, counts.users, counts.items)
