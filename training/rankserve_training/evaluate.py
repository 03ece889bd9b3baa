"""Evaluating a published version, as a reader of the artifact sees it."""

from dataclasses import dataclass

import numpy as np

from rankserve_training.artifact import Artifact, ArtifactError
from rankserve_training.data import Dataset, RatingScale
from rankserve_training.evaluation.held_out import Subject, evaluate_held_out
from rankserve_training.evaluation.models import ModelScorer
from rankserve_training.evaluation.result import EvaluationResult
from rankserve_training.evaluation.summary import ranking_metrics
from rankserve_training.preparation import prepare
from rankserve_training.rows import RatedPairs
from rankserve_training.train import baseline_metrics, model_metrics


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        protocol: which rows were tested, in words.
        rows: how many.
        metrics: by name, as in `TrainedModel`.
        result: all that was measured; None where the training rows are not at hand, without which nothing can be said
            of what a user had seen, nor of the baselines.
    """

    protocol: str
    rows: int
    metrics: dict[str, float]
    result: EvaluationResult | None


def evaluate_version(artifact: Artifact, dataset: Dataset) -> Evaluation:
    """Tests a version on the rows that it has not been trained on.

    Where the ratings are those that it was trained on, these are the rows that its own split held out. Other ratings
    are all tested, and the baselines are then left out, as they would have nothing to learn from.

    Raises:
        ArtifactError: where the version was trained on all of these ratings, or they stand in another order than when
            it was trained, so that it cannot be told which were held out.
    """
    manifest = artifact.manifest
    span = manifest.rating_scale.span
    model = artifact.load_keras_model()
    users, items = artifact.users.index, artifact.catalog.index
    # Of a model that was trained elsewhere it is not known which ratings it has seen.
    if manifest.split.method == "none" or dataset.ratings.fingerprint() != manifest.dataset.fingerprint:
        pairs = RatedPairs.of(dataset.ratings, users, items)
        return Evaluation(f"ratings of {dataset.name}", len(pairs), model_metrics(model, pairs, span), None)
    if manifest.split.method != "random":
        raise ArtifactError(
            f"{manifest.name}/{manifest.version} was trained on all of these ratings, so they say nothing about it; "
            "give the ratings that it was tested on with --ratings"
        )
    data = prepare(dataset, users, items, manifest.split.seed)
    if data.test_fingerprint != manifest.split.test_fingerprint:
        raise ArtifactError(
            f"these are the ratings that {manifest.name}/{manifest.version} was trained on, but in another order, so "
            "that it cannot be told which of them were held out; give them in the order in which they were trained on"
        )
    metrics = model_metrics(model, data.test, span) | baseline_metrics(data)
    protocol = "held-out ratings"
    subject = Subject(
        name=manifest.name,
        version=str(manifest.version),
        dataset=dataset.name,
        protocol=protocol,
        scale=RatingScale(manifest.rating_scale.minimum, manifest.rating_scale.maximum),
        user_ids=np.asarray(users.ids),
        titles=artifact.catalog.titles,
    )
    result = evaluate_held_out(subject, ModelScorer(model, len(items)), data.train, data.test)
    return Evaluation(protocol, len(data.test), metrics | ranking_metrics(result), result)
