"""Evaluating a published version, as a reader of the artifact sees it."""

from dataclasses import dataclass

from rankserve_training.artifact import Artifact, ArtifactError
from rankserve_training.data import Dataset
from rankserve_training.rows import RatedPairs
from rankserve_training.train import baseline_metrics, model_metrics, prepare


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        protocol: which rows were tested, in words.
        rows: how many.
        metrics: by name, as in `TrainedModel`.
    """

    protocol: str
    rows: int
    metrics: dict[str, float]


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
    if dataset.ratings.fingerprint() != manifest.dataset.fingerprint:
        pairs = RatedPairs.of(dataset.ratings, users, items)
        return Evaluation(f"ratings of {dataset.name}", len(pairs), model_metrics(model, pairs, span))
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
    return Evaluation("held-out ratings", len(data.test), metrics)
