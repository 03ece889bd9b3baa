"""Evaluating a published version: only on what it was not trained on."""

import dataclasses
import math

import numpy as np
import pytest

from rankserve_training.artifact import ArtifactError
from rankserve_training.data import Dataset, Ratings
from rankserve_training.evaluate import evaluate_version
from rankserve_training.evaluation.subjects import evaluate_trained
from rankserve_training.evaluation.summary import ranking_metrics
from rankserve_training.model.predicting import predict_ratings
from training.conftest import Training


def test_it_gives_the_figures_of_the_training(tutorial: Training, movielens: Dataset) -> None:
    evaluation = evaluate_version(tutorial.artifact, movielens)
    assert (evaluation.protocol, evaluation.rows) == ("held-out ratings", 20_000)
    assert tutorial.artifact.manifest.metrics == tutorial.trained.metrics
    assert evaluation.metrics == tutorial.trained.metrics | ranking_metrics(evaluate_trained(tutorial.trained, "again"))


def test_the_same_ratings_in_another_order(tutorial: Training, movielens: Dataset) -> None:
    """The seed would hold out others of them, most of which the model has seen."""
    reordered = dataclasses.replace(movielens, ratings=movielens.ratings.take(np.arange(100_000)[::-1]))
    assert reordered.ratings.fingerprint() == tutorial.artifact.manifest.dataset.fingerprint
    with pytest.raises(ArtifactError, match="movielens/1 was trained on, but in another order"):
        evaluate_version(tutorial.artifact, reordered)


def test_other_ratings_and_ids_that_are_not_known(tutorial: Training, movielens: Dataset) -> None:
    rated = [(1, 1, 5.0), (943, 1682, 1.0), (944, 1, 3.0), (1, 2**63 - 1, 2.0), (10**12, 1683, 4.0)]
    users, items, values = zip(*rated, strict=True)
    ratings = Ratings(np.array(users), np.array(items), np.array(values, np.float32), np.zeros(5, np.int64))
    evaluation = evaluate_version(
        tutorial.artifact, dataclasses.replace(movielens, name="new.csv", ratings=ratings, test_ratings=None)
    )
    rows = np.array([(1, 1), (943, 1682), (0, 1), (1, 0), (0, 0)], np.int32)
    predicted = predict_ratings(tutorial.trained.keras_model, rows[:, 0], rows[:, 1]).tolist()
    errors = [one - two for one, two in zip(predicted, values, strict=True)]
    assert (evaluation.protocol, evaluation.rows) == ("ratings of new.csv", 5)
    assert set(evaluation.metrics) == {"test_rmse", "test_mae", "test_rmse_label"}
    assert evaluation.metrics["test_rmse"] == pytest.approx(math.sqrt(sum(e * e for e in errors) / 5), rel=1e-6)
    assert evaluation.metrics["test_mae"] == pytest.approx(sum(map(abs, errors)) / 5, rel=1e-6)


def test_a_version_that_was_trained_on_all_of_them(from_files: Training) -> None:
    dataset = from_files.dataset
    with pytest.raises(ArtifactError, match=r"own/1 was trained on all of these ratings, .* with --ratings$"):
        evaluate_version(from_files.artifact, dataset)
    assert dataset.test_ratings is not None
    tested = dataclasses.replace(dataset, name="shop.inter", ratings=dataset.test_ratings, test_ratings=None)
    evaluation = evaluate_version(from_files.artifact, tested)
    assert (evaluation.protocol, evaluation.rows) == ("ratings of shop.inter", 2)
    assert evaluation.metrics["test_rmse"] == pytest.approx(from_files.trained.metrics["test_rmse"], rel=1e-6)
