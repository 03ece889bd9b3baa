"""Trainings that are interrupted, repeated, or short of ratings."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from rankserve_training.rows import PairsByUser, RatedPairs
from rankserve_training.towers.errors import CheckpointError
from rankserve_training.towers.fitting import Checkpoints, EpochLog, StageProgress, best_epoch
from rankserve_training.towers.train import TowerTrainer, TrainedTowers
from rankserve_training.towers.user_batches import UserBatches
from training.towers.small_world import ITEMS, RECIPE, USERS, small_world

IDENTITY = {"ratings": "those", "seed": 1}

# Trains the small world with checkpoints and dies without a word after so many epochs.
_DYING = """
import os, signal, sys
from pathlib import Path
from rankserve_training.towers.fitting import Checkpoints
from training.towers.test_fitting import IDENTITY, trained
told = []
def die(progress):
    told.append(progress)
    if len(told) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
trained(Checkpoints(Path(sys.argv[1]), IDENTITY), [die])
"""


def trained(
    checkpoints: Checkpoints | None = None, listeners: Sequence[Callable[[StageProgress], None]] = ()
) -> TrainedTowers:
    world = small_world()
    trainer = TowerTrainer(world.dataset, USERS, ITEMS, RECIPE, 1, checkpoints, listeners)
    # With so few ratings there are hardly any to validate on; twice as many are.
    twice = RatedPairs(
        *(np.concatenate([column] * 2) for column in (world.pairs.users, world.pairs.items, world.pairs.ratings))
    )
    return trainer.train(twice)


def same_rows(one: TrainedTowers, other: TrainedTowers) -> bool:
    return all(
        np.array_equal(getattr(getattr(one.exported, side), part), getattr(getattr(other.exported, side), part))
        for side in ("users", "items", "user_bag", "item_bag")
        for part in ("embedding", "hidden", "choice")
    )


@dataclass(frozen=True)
class Undisturbed:
    """A training that nothing has interrupted, and how many epochs it took."""

    towers: TrainedTowers
    epochs: int


@pytest.fixture(scope="module")
def undisturbed() -> Undisturbed:
    told: list[StageProgress] = []
    return Undisturbed(trained(listeners=[told.append]), len(told))


def test_the_same_seed_gives_the_same_rows(undisturbed: Undisturbed) -> None:
    assert same_rows(trained(), undisturbed.towers)


@pytest.mark.parametrize("epochs", [7])
def test_killed_and_resumed_ends_with_the_same_rows(undisturbed: Undisturbed, tmp_path: Path, epochs: int) -> None:
    directory = tmp_path / "checkpoints"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", _DYING, directory, str(epochs)], env=environment, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    told: list[StageProgress] = []
    resumed = trained(Checkpoints(directory, IDENTITY), [told.append])
    assert same_rows(resumed, undisturbed.towers)
    assert len(told) == undisturbed.epochs - epochs
    assert resumed.rating_logs == undisturbed.towers.rating_logs


def test_checkpoints_of_another_training_are_refused(tmp_path: Path) -> None:
    Checkpoints(tmp_path, IDENTITY)
    Checkpoints(tmp_path, IDENTITY)
    with pytest.raises(CheckpointError, match="has the checkpoints of another training, whose seed differ; give"):
        Checkpoints(tmp_path, IDENTITY | {"seed": 2})


def test_checkpoints_that_cannot_be_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"checkpoints cannot be kept in .*/file/states: Not a directory$"):
        Checkpoints(tmp_path / "file" / "states", IDENTITY)
    (tmp_path / "training.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"training\.json cannot be read"):
        Checkpoints(tmp_path, IDENTITY)


def test_the_best_epoch() -> None:
    logs = [EpochLog(number, 1.0, figure) for number, figure in enumerate([0.9, 0.7, 0.7, 0.8], start=1)]
    assert best_epoch(logs, lower_is_better=True) == 2
    assert best_epoch(logs, lower_is_better=False) == 1


def test_batches_hold_every_rating_once_and_whole_users() -> None:
    pairs = small_world().pairs
    marks = np.arange(len(pairs), dtype=np.float32)
    mark_of = np.zeros((USERS + 1, ITEMS + 1), np.float32)
    mark_of[pairs.users, pairs.items] = marks
    columns = {"mark": lambda batch: mark_of[batch.users, batch.items]}
    batches = UserBatches(PairsByUser.of(pairs, USERS), columns, ratings=64, users=3, seed=5)
    orders = []
    for epoch in (0, 1, 0):
        batches.begin_epoch(epoch)
        found: list[float] = []
        for number in range(len(batches)):
            batch, ratings, weights = batches[number]
            present = weights > 0
            assert {len(column) for column in batch.values()} == {64}
            assert len(set(batch["user"][present].tolist())) == len(set(batch["slot"][present].tolist())) <= 3
            assert (np.diff(batch["slot"]) >= 0).all()
            found += batch["mark"][present].tolist()
            np.testing.assert_array_equal(ratings[present, 0], pairs.ratings[batch["mark"][present].astype(int)])
        assert sorted(found) == marks.tolist()
        orders.append(found)
    assert orders[0] == orders[2] != orders[1]


def test_of_a_user_with_too_many_ratings_a_part_is_taken() -> None:
    pairs = RatedPairs(np.ones(100, np.int32), np.arange(1, 101, dtype=np.int32), np.ones(100, np.float32))
    batches = UserBatches(PairsByUser.of(pairs, 1), {}, ratings=64, users=3, seed=5)
    parts = []
    for epoch in (0, 1):
        batches.begin_epoch(epoch)
        assert len(batches) == 1
        parts.append(set(batches[0][0]["item"].tolist()))
        assert len(parts[-1]) == 64
    assert parts[0] != parts[1]


def test_too_few_ratings_to_validate_on() -> None:
    world = small_world()
    few = world.pairs.take(np.arange(40))
    result = world.trainer.train(few)
    assert (result.epochs, result.choice_epochs, result.rating_logs) == (3, 3, [])
    assert np.isfinite(result.exported.users.embedding).all()
