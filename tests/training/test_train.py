"""Training: seeds, splits, strangers, figures. `test_tutorial` compares its outcome with the tutorial's."""

import dataclasses
import io
import math
import os

import numpy as np
import numpy.typing as npt
import pytest
from rich.console import Console

from rankserve_training.artifact import IdIndex
from rankserve_training.data import DataError, Dataset, Items, Ratings, RatingScale, Users
from rankserve_training.model.predicting import predict_ratings
from rankserve_training.preparation import prepare
from rankserve_training.presets import PRESETS, TutorialRecipe, UnknownPresetError, preset_named
from rankserve_training.train import TrainedModel, TrainingSettings, train_model
from training.conftest import Training
from training.rating_files import ITEMS, TEST_ITEM, UNRATED_ITEM, USERS


def small_dataset(count: int = 60, largest: float = 5.0) -> Dataset:
    random = np.random.default_rng(1)
    pairs = random.permutation(100)[:count]
    values = random.integers(1, 6, count).astype(np.float32)
    values[0] = largest
    ids = np.arange(1, 11)
    return Dataset(
        name="small.csv",
        source="small.csv",
        ratings=Ratings(pairs // 10 + 1, pairs % 10 + 1, values, np.arange(count)),
        test_ratings=None,
        items=Items(ids, ("",) * 10, ((),) * 10),
        users=Users(ids),
        scale=RatingScale(1.0, largest),
    )


def train(dataset: Dataset, seed: int = 1, split_seed: int = 42) -> TrainedModel:
    return train_model(dataset, TrainingSettings("tutorial", 1, seed, split_seed), Console(file=io.StringIO()))


def weights(trained: TrainedModel) -> list[npt.NDArray[np.float32]]:
    found: list[npt.NDArray[np.float32]] = trained.keras_model.get_weights()
    return found


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    first, again, other = (weights(train(small_dataset(), seed)) for seed in (1, 1, 2))
    for one, two, three in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(one, two)
        assert (one != three).mean() > 0.5


def test_the_seed_does_not_change_the_split() -> None:
    dataset = small_dataset()
    users, items = IdIndex(dataset.users.ids), IdIndex(dataset.items.ids)
    first, other = (prepare(dataset, users, items, seed) for seed in (42, 43))
    trained = train(dataset, seed=5).data
    for name in ("users", "items", "ratings"):
        np.testing.assert_array_equal(getattr(trained.test, name), getattr(first.test, name))
    assert first.test_fingerprint == trained.test_fingerprint != other.test_fingerprint
    assert (first.split_method, len(first.train), len(first.test)) == ("random", 48, 12)


def test_row_0_is_the_average_of_the_rows_that_were_trained(tutorial: Training) -> None:
    data = tutorial.trained.data
    for table, rows in zip(weights(tutorial.trained)[:2], (data.train.users, data.train.items), strict=True):
        known = sorted(set(rows.tolist()))
        expected = [math.fsum(column) / len(known) for column in table[known].T.tolist()]
        assert table[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_figures_against_plain_python(tutorial: Training) -> None:
    data, metrics = tutorial.trained.data, tutorial.trained.metrics
    predicted = predict_ratings(tutorial.trained.keras_model, data.test.users, data.test.items).tolist()
    errors = [one - two for one, two in zip(predicted, data.test.ratings.tolist(), strict=True)]
    expected = math.sqrt(math.fsum(error * error for error in errors) / 20_000)
    assert metrics["test_rmse"] == pytest.approx(expected, rel=1e-12)
    assert metrics["test_rmse_label"] == pytest.approx(expected / 4, rel=1e-12)
    assert metrics["test_mae"] == pytest.approx(math.fsum(map(abs, errors)) / 20_000, rel=1e-12)
    assert set(metrics) == {"test_rmse", "test_mae", "test_rmse_label", "global_mean_rmse", "bias_only_rmse"}
    assert tutorial.trained.seconds > 0


def test_files_with_gaps_and_a_test_file(from_files: Training) -> None:
    data = from_files.trained.data
    assert data.split_method == "file"
    assert data.users.ids.tolist() == list(USERS)
    items = sorted([*ITEMS, UNRATED_ITEM, TEST_ITEM])
    assert data.items.ids.tolist() == items
    assert (data.test.users.tolist(), data.test.items.tolist()) == ([1, 2], [1, items.index(TEST_ITEM) + 1])
    assert data.test.ratings.tolist() == [4.0, 0.5]
    dataset = from_files.dataset
    assert dataset.test_ratings is not None
    assert data.test_fingerprint == dataset.test_ratings.fingerprint()
    assert data.train.users.tolist() == [list(USERS).index(user) + 1 for user in dataset.ratings.user_ids.tolist()]
    assert data.train.items.tolist() == [items.index(item) + 1 for item in dataset.ratings.item_ids.tolist()]
    assert dataset.scale == RatingScale(0.5, 4.0)
    assert from_files.trained.metrics["test_rmse"] < 3.5


def test_two_ratings_are_enough_and_one_is_not() -> None:
    trained = train(small_dataset(2))
    assert (len(trained.data.train), len(trained.data.test)) == (1, 1)
    with pytest.raises(DataError, match=r"small\.csv has 1 ratings; at least 2 are needed to hold some out"):
        train(small_dataset(1))


def test_ratings_that_no_32_bit_float_holds() -> None:
    """Nothing is published, above all no figure that JSON cannot hold."""
    dataset = dataclasses.replace(small_dataset(), scale=RatingScale(-3e38, 3e38))
    with pytest.raises(DataError, match=r"small\.csv: ratings from -3e\+38 to 3e\+38 do not fit into 32-bit floats"):
        train(dataset)


def test_presets() -> None:
    tutorial = preset_named("tutorial")
    assert isinstance(tutorial, TutorialRecipe)
    assert (tutorial.learning_rate, tutorial.epochs, tutorial.batch_size) == (0.1, 5, 1_000)
    assert (tutorial.model.embedding_width, tutorial.model.hidden_widths) == (32, (256, 64))
    with pytest.raises(UnknownPresetError, match=f"there is no preset 'large'; known: {', '.join(PRESETS)}"):
        train_model(small_dataset(), TrainingSettings("large", 1, 1, 1), Console(file=io.StringIO()))


class Terminal(io.StringIO):
    """Keeps what is shown on it."""

    def isatty(self) -> bool:
        return True


def test_bars_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """One bar for each epoch, which stays; the cursor is given back."""
    monkeypatch.setenv("TERM", "xterm")  # whatever the tests run in
    file = Terminal()
    console = Console(file=file, force_terminal=True, width=100, color_system=None)
    train_model(small_dataset(), TrainingSettings("tutorial", 2, 1, 1), console)
    shown = file.getvalue()
    assert "epoch 1/2" in shown
    last = shown.rsplit("epoch 2/2", 1)[1]
    assert "1/1" in last
    assert "rmse 0." in last
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")


def test_keras_runs_on_jax() -> None:
    assert os.environ["KERAS_BACKEND"] == "jax"
