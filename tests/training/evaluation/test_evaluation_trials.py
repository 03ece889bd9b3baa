"""Protocols that train: each on rows of its own, with what it is to measure."""

import io

import pytest
from rich.console import Console

from rankserve_training.data import DataError
from rankserve_training.data.synthetic import synthetic_ratings
from rankserve_training.evaluation.trials import PROTOCOLS, Trial
from rankserve_training.train import TrainingSettings

_WORDS = {
    "split": "a random fifth of the ratings",
    "folds": "2 random folds; means",
    "time": "the last fifth of the ratings by time",
    "catalogue": "a random quarter of the ratings",
    "new-users": "users hidden from training",
    "new-items": "items hidden from training",
}


def trial(count: int) -> Trial:
    settings = TrainingSettings("tutorial", 1, seed=1, split_seed=1)
    return Trial(synthetic_ratings(60, 40, count, seed=1), settings, Console(file=io.StringIO()))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_protocol_measures_what_it_says(protocol: str) -> None:
    result = trial(1_100).run(protocol, folds=2)
    assert _WORDS[protocol] in result.protocol
    assert bool(result.cold_start) == (protocol == "new-users")
    assert bool(result.cold_items) == (protocol == "new-items")
    assert result.counts.train_ratings + result.counts.test_ratings <= 1_100
    model, *baselines = result.models
    assert model.measure("rmse") is not None
    assert [baseline.name for baseline in baselines] == ["biases", "item mean", "global mean", "popularity"]


def test_too_few_ratings() -> None:
    with pytest.raises(DataError, match="has 9 ratings, too few to be split"):
        trial(9).run("split")
