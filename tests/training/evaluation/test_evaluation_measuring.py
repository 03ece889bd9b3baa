"""From predictions to measures, their texts, the table on the terminal, JSON and examples."""

import io
import json
import math
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from rankserve_training.evaluation.bootstrap import Bootstrap
from rankserve_training.evaluation.catalogue import evaluate_recommending
from rankserve_training.evaluation.examples import RatedTitle, RecommendedTitle, example_users
from rankserve_training.evaluation.measures import (
    Difference,
    Measure,
    best,
    difference_text,
    interval_text,
    value_text,
)
from rankserve_training.evaluation.measuring import (
    likelihood_measure,
    ranking_differences,
    ranking_measures,
    rating_differences,
    rating_measures,
)
from rankserve_training.evaluation.reranking import rerank
from rankserve_training.evaluation.result import EvaluationResult
from rankserve_training.evaluation.table import measures_table
from rankserve_training.metrics import mae, rmse
from training.evaluation.cases import STARS, GivenScorer, as_pairs
from training.evaluation.sample_result import BARE, SAMPLE

BOOTSTRAP = Bootstrap(replicates=200)
USERS, ITEMS = 30, 40


def sample() -> tuple[GivenScorer, GivenScorer]:
    random = np.random.default_rng(0)
    first, second = (GivenScorer(random.uniform(1, 5, (USERS + 1, ITEMS + 1)).astype(np.float32)) for _ in range(2))
    return first, second


def some_rows(seed: int, users_from: int = 1) -> list[tuple[int, int, float]]:
    random = np.random.default_rng(seed)
    return [
        (int(random.integers(users_from, USERS + 1)), int(random.integers(1, ITEMS + 1)), float(random.integers(1, 6)))
        for _ in range(300)
    ]


def test_rating_measures() -> None:
    test = as_pairs(some_rows(1))
    predicted = sample()[0].rate(test)
    measures = {measure.key: measure for measure in rating_measures(predicted, test, STARS, BOOTSTRAP)}
    assert list(measures) == ["rmse", "mae", "ece"]
    assert measures["rmse"].value == pytest.approx(rmse(predicted, test.ratings))
    assert measures["mae"].value == pytest.approx(mae(predicted, test.ratings))
    assert {measure.count for measure in measures.values()} == {300}
    expected = BOOTSTRAP.rmse(predicted, test.ratings, test.users)
    assert (measures["rmse"].low, measures["rmse"].high) == (expected.low, expected.high)
    likelihood = likelihood_measure(np.full(300, 1.5), test, BOOTSTRAP)
    assert (likelihood.key, likelihood.value, likelihood.low) == ("nll", 1.5, 1.5)


def test_strangers_are_not_one_user() -> None:
    """Row 0 stands for all of them: drawn as one, the interval would be as wide as if there were a single user."""
    test = as_pairs([(0, 1, 1 + place % 5) for place in range(100)])
    measure = rating_measures(np.full(100, 3.0), test, STARS, BOOTSTRAP)[0]
    assert measure.low is not None
    assert measure.low < measure.value


def test_ranking_measures_and_differences() -> None:
    train, test = as_pairs(some_rows(1)), as_pairs(some_rows(2))
    model, other = sample()
    for found, others in (
        (rerank(model.rate(test), test, STARS), rerank(other.rate(test), test, STARS)),
        (
            evaluate_recommending(model, train, test, USERS, ITEMS),
            evaluate_recommending(other, train, test, USERS, ITEMS),
        ),
    ):
        measures = {measure.key: measure for measure in ranking_measures(found, BOOTSTRAP)}
        assert list(measures) == [field.name for field in fields(found)]
        theirs = {measure.key: measure for measure in ranking_measures(others, BOOTSTRAP)}
        for difference in ranking_differences(found, "other", others, BOOTSTRAP):
            assert difference.value == pytest.approx(measures[difference.key].value - theirs[difference.key].value)
            assert difference.low <= difference.value <= difference.high
    fewer = evaluate_recommending(other, train, as_pairs(some_rows(2)[:20]), USERS, ITEMS)
    with pytest.raises(ValueError, match="same rows"):
        ranking_differences(found, "other", fewer, BOOTSTRAP)


def test_measures_of_nobody_are_left_out() -> None:
    alone = as_pairs([(1, 1, 3)])
    assert ranking_measures(rerank(np.array([1.0]), alone, STARS), BOOTSTRAP) == ()
    assert ranking_measures(evaluate_recommending(sample()[0], alone, alone, USERS, ITEMS), BOOTSTRAP) == ()


def test_rating_differences() -> None:
    test = as_pairs(some_rows(3))
    first, second = (model.rate(test) for model in sample())
    found = rating_differences(first, "other", second, test, BOOTSTRAP)
    assert [(difference.key, difference.against) for difference in found] == [("rmse", "other"), ("mae", "other")]
    assert found[0].value == pytest.approx(rmse(first, test.ratings) - rmse(second, test.ratings))
    assert found[1].value == pytest.approx(mae(first, test.ratings) - mae(second, test.ratings))


@pytest.mark.parametrize(
    ("key", "value", "verdict"),
    [("rmse", -0.2, "better"), ("rmse", 0.2, "worse"), ("mrr", 0.2, "better"), ("mrr", -0.2, "worse")],
)
def test_verdicts(key: str, value: float, verdict: str) -> None:
    assert Difference(key, "other", value, value - 0.1, value + 0.1).verdict == verdict
    assert Difference(key, "other", value, value - 0.3, value + 0.3).verdict == "undecided"


def test_texts() -> None:
    measure = Measure("rmse", 0.92146, 0.91449, 0.9286, 10)
    assert (value_text(measure), interval_text(measure)) == ("0.9215", "0.914 to 0.929")
    assert interval_text(replace(measure, low=None)) == ""
    assert difference_text(Difference("mrr", "x", 0.00123, -0.001, 0.0034)) == "+0.0012 (-0.001 to +0.003)"


def test_the_best() -> None:
    first, second, third = (Measure("rmse", value, None, None, 1) for value in (0.92001, 0.92003, 0.9203))
    assert best([third, second, first]) == [second, first]
    assert best([replace(first, key="mrr"), replace(third, key="mrr")]) == [replace(third, key="mrr")]
    assert best([]) == []


def test_the_table() -> None:
    console = Console(file=io.StringIO(), width=160, force_terminal=False)
    named = replace(SAMPLE, models=(*SAMPLE.models[:2], replace(SAMPLE.models[4], name="[bold]odd[/bold]")))
    console.print(measures_table(named))
    assert isinstance(console.file, io.StringIO)
    printed = console.file.getvalue()
    for text in ("movielens/3 on 20,000 ratings of", "random split", "RMSE ↓", "nDCG@10 ↑", "0.9143", "0.904 to 0.924"):
        assert text in printed
    assert "[bold]odd[/bold]" in printed
    (row,) = [line for line in printed.splitlines() if "Recall@10" in line]
    assert row.count("n/a") == 2
    assert "NLL" not in printed


def test_json_has_every_field_and_no_nan() -> None:
    plain = SAMPLE.to_json()
    assert list(plain) == [field.name for field in fields(EvaluationResult)]
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["models"][0]["measures"][0] == {
        "key": "rmse",
        "value": 0.9143,
        "low": pytest.approx(0.9043),
        "high": pytest.approx(0.9243),
        "count": 20_000,
    }
    assert plain["cold_start"][0]["points"][1]["accuracy"]["rmse"] == 0.99
    assert plain["scale"] == {"minimum": 1.0, "maximum": 5.0}
    half: Any = np.float32(0.5)
    odd = replace(BARE, differences=(Difference("rmse", "x", math.nan, -math.inf, half),))
    assert odd.to_json()["differences"] == [{"key": "rmse", "against": "x", "value": None, "low": None, "high": 0.5}]


def test_examples() -> None:
    """User 1 (id 10) has seen items 1 and 2 and held out 3 and 4; 5 has no title. He is the only one with both."""
    matrix = np.array([[0] * 6, [0, 1.5, 1.25, 4.5, 2.5, 3.5], [0] * 6], np.float32)
    train, test = as_pairs([(1, 1, 3), (1, 2, 5), (2, 1, 1)]), as_pairs([(1, 3, 4), (1, 4, 2), (0, 1, 1)])
    (found,) = example_users(GivenScorer(matrix), train, test, np.array([10, 20]), ["A", "B", "C", "D", ""])
    assert (found.user, found.history_count, found.held_out_count) == ("10", 2, 2)
    assert found.history == (RatedTitle("B", 5.0), RatedTitle("A", 3.0))
    assert found.recommended == (
        RecommendedTitle("C", 4.5, 4.0),
        RecommendedTitle("item in row 5", 3.5, None),
        RecommendedTitle("D", 2.5, 2.0),
    )


def test_no_more_examples_than_asked_for() -> None:
    train, test = as_pairs(some_rows(1)), as_pairs(some_rows(2, users_from=0))
    model, ids, titles = sample()[0], np.arange(1, USERS + 1), [f"{item}" for item in range(1, ITEMS + 1)]
    found = example_users(model, train, test, ids, titles, count=2)
    assert len({example.user for example in found}) == 2
    assert found == example_users(model, train, test, ids, titles, count=2)
    assert example_users(model, train, as_pairs([]), ids, titles) == ()
