"""What needs a package that is not installed says so before it has worked in vain."""

import sys
from pathlib import Path

import numpy as np
import pytest

from rankserve_training.data import RatingScale
from rankserve_training.errors import MissingExtraError
from rankserve_training.evaluation.compared import COMPARED, rate_with_surprise
from rankserve_training.rows import RatedPairs
from rankserve_training.tensorboard import TensorBoardLog


def test_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    TensorBoardLog(tmp_path)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "tensorboard")
    with pytest.raises(MissingExtraError, match=r"pip install 'rankserve\[tensorboard\]'"):
        TensorBoardLog(tmp_path)
    TensorBoardLog(None)


def test_surprise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "surprise", None)
    one = RatedPairs(np.ones(1, np.int32), np.ones(1, np.int32), np.ones(1, np.float32))
    with pytest.raises(MissingExtraError, match=r"Surprise SVD needs Surprise.*pip install 'rankserve\[compare\]'"):
        rate_with_surprise(COMPARED[0], one, one, RatingScale(1, 5))


def test_surprise_rates_on_the_scale() -> None:
    pytest.importorskip("surprise", reason="an extra that not everybody has")
    random = np.random.default_rng(1)
    rows = random.permutation(200)
    users, items = (rows // 20 + 1).astype(np.int32), (rows % 20 + 1).astype(np.int32)
    pairs = RatedPairs(users, items, random.integers(1, 6, 200).astype(np.float32))
    train, test = pairs.take(np.arange(150)), pairs.take(np.arange(150, 200))
    for name in COMPARED:
        rated = rate_with_surprise(name, train, test, RatingScale(1, 5))
        assert rated.shape == (50,)
        assert rated.min() >= 1
        assert rated.max() <= 5
