"""What the default recipe was searched on is tested by no protocol with one split."""

import runpy
from typing import NoReturn

import numpy as np
import pytest
from rich.console import Console

from checks.repository import ROOT
from rankserve_training.artifact import IdIndex
from rankserve_training.data import load
from rankserve_training.evaluation.trials import Trial
from rankserve_training.rows import RatedPairs
from rankserve_training.train import TrainingSettings


class _TestedError(Exception):
    """Carries what a protocol would test."""

    def __init__(self, tested: RatedPairs) -> None:
        super().__init__()
        self.tested = tested


class _NoTraining(Trial):
    """Goes as far as the training, where it is known which rows would be tested."""

    def _train(self, _train: RatedPairs, test: RatedPairs) -> NoReturn:
        raise _TestedError(test)


@pytest.mark.parametrize("protocol", ["split", "catalogue", "new-users", "new-items", "time"])
def test_the_search_saw_no_row_that_a_protocol_tests(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = load()
    benchmarks = ROOT / "benchmarks"
    monkeypatch.syspath_prepend(str(benchmarks))
    search = runpy.run_path(str(benchmarks / "model_search.py"), run_name="model_search")
    rows, _ = search["search_rows"](dataset)
    pairs = RatedPairs.of(dataset.ratings, IdIndex(dataset.users.ids), IdIndex(dataset.items.ids)).take(rows)

    with pytest.raises(_TestedError) as reached:
        _NoTraining(dataset, TrainingSettings("two-tower", None, 42, 42), Console(), compare=False).run(protocol)

    tested = reached.value.tested
    assert len(tested) > 1_000
    assert len(pairs) > 30_000
    assert not np.isin(_codes(pairs), _codes(tested)).any()


def _codes(pairs: RatedPairs) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """One number for each pair of user and item; nobody rates an item twice."""
    return pairs.users.astype(np.int64) * 1_000_000 + pairs.items
