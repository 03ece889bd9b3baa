"""What is published says what the towers said when they were trained, of known users, strangers and new items."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest

from rankserve_training.model.backend import keras
from rankserve_training.model.newcomers import Entries
from rankserve_training.model.predicting import predict_pairs
from rankserve_training.model.two_tower import TowerRows, head_of, known_pairs_model, rows_of
from rankserve_training.towers.tables import ChoiceTables, RatingTables
from rankserve_training.train import keras_models
from training.towers.small_world import ITEMS, RECIPE, USERS, World, small_world

if TYPE_CHECKING:
    from rankserve_training.towers.choice_towers import ChoiceTowers
    from rankserve_training.towers.export import ExportedTowers
    from rankserve_training.towers.offsets import Offsets
    from rankserve_training.towers.rating_towers import RatingTowers

_SLOTS = 4


def summed(newcomers: keras.Model, side: str, entries: Entries) -> TowerRows:
    return rows_of(newcomers, side).summed(entries)


class Towers:
    """Untrained towers whose every weight is random, and what is exported of them."""

    def __init__(self, world: World) -> None:
        trainer = world.trainer
        self.world = world
        rows = trainer._rows(world.pairs)
        self.offsets: Offsets = rows.offsets
        self.rating: RatingTowers = trainer._rating_fit("ratings", rows, 1, False, 0).towers(_SLOTS)
        self.choice: ChoiceTowers = trainer._choice_fit("choices", rows, 1, False, 0).towers(_SLOTS)
        models: tuple[keras.Model, keras.Model] = (self.rating, self.choice)
        for number, model in enumerate(models):
            random = np.random.default_rng(number)
            for variable in model.trainable_variables:
                variable.assign(random.normal(scale=0.3, size=variable.shape))
        tables = RatingTables.of(self.rating), ChoiceTables.of(self.choice)
        self.exported: ExportedTowers = trainer._export(*tables, rows)
        self.model, self.newcomers = keras_models(self.exported)

    def trained_to_say(self, user: int, items: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
        """The towers' own ratings of pairs that are not among the user's: present in the batch, but not known."""
        pairs = self.world.pairs
        own = np.flatnonzero(pairs.users == user)
        rated, count = pairs.take(own), len(own) + len(items)
        batch: dict[str, Any] = {
            "user": np.full(count, user, np.int32),
            "item": np.concatenate([pairs.items[own], items]).astype(np.int32),
            "slot": np.zeros(count, np.int32),
            "present": np.repeat([1.0, 0.0], [len(own), len(items)]).astype(np.float32),
            "residual": np.concatenate([self.offsets.residuals(rated), np.zeros(len(items))]).astype(np.float32),
            "others_offset": np.concatenate(
                [self.offsets.others_offsets(rated), self.offsets.item_offsets[items]]
            ).astype(np.float32),
        }
        predicted = np.asarray(self.rating(batch, training=False), np.float64)[len(own) :]
        ratings: npt.NDArray[np.float64] = np.clip(predicted.mean(axis=1), 1, 5)
        return ratings


@pytest.fixture(scope="module", params=[True, False], ids=["features", "no features"])
def towers(request: pytest.FixtureRequest) -> Towers:
    return Towers(small_world(features=request.param))


def test_known_pairs_are_rated_as_the_members_rate_them_on_average(towers: Towers) -> None:
    items = np.arange(1, ITEMS + 1, dtype=np.int32)
    for user in (1, 2, USERS):
        rated = towers.world.pairs.items[towers.world.pairs.users == user]
        new = np.setdiff1d(items, rated).astype(np.int32)
        published = predict_pairs(towers.model, np.full_like(new, user), new).ratings
        np.testing.assert_allclose(published, towers.trained_to_say(user, new), atol=2e-5)


def test_a_choice_is_as_likely_as_the_towers_say(towers: Towers) -> None:
    """Published are the logits; the towers' own output is their logarithmic softmax."""
    pairs, user = towers.world.pairs, 3
    own = np.flatnonzero(pairs.users == user)
    batch = {
        "user": np.full(len(own), user, np.int32),
        "item": pairs.items[own],
        "slot": np.zeros(len(own), np.int32),
        "present": np.ones(len(own), np.float32),
    }
    expected = np.asarray(towers.choice(batch, training=False))[:, 0]
    items = np.arange(1, ITEMS + 1, dtype=np.int32)
    choices = predict_pairs(towers.model, np.full_like(items, user), items).choices
    assert choices is not None
    logits = choices.astype(np.float64)
    log_probability = logits - np.log(np.exp(logits).sum())
    np.testing.assert_allclose(log_probability[pairs.items[own] - 1], expected, atol=2e-5)


def test_a_stranger_with_the_ratings_of_a_known_user_differs_from_him_by_his_id_only(towers: Towers) -> None:
    pairs, encoding = towers.world.pairs, towers.newcomers.encoding
    users = towers.world.dataset.users
    known = rows_of(towers.model, "user")
    own_id = np.asarray(towers.rating.user_id.get_weights()[0])
    for user in (1, 7):
        own = pairs.users == user
        features = {name: values[user - 1] for name, values in users.features.items()}
        entries = encoding.user(pairs.items[own], pairs.ratings[own], features)
        stranger = summed(towers.newcomers.keras_model, "user", entries)
        np.testing.assert_allclose(stranger.choice[0], known.choice[user], atol=1e-5)
        width = RECIPE.rating.members * RECIPE.rating.width
        difference = known.embedding[user] - stranger.embedding[0]
        np.testing.assert_allclose(difference[:width], own_id[user], atol=1e-5)


def test_of_whom_nothing_is_known_is_the_average_of_the_users_with_ratings(towers: Towers) -> None:
    users = rows_of(towers.model, "user")
    rated = np.unique(towers.world.pairs.users)
    for part in ("embedding", "hidden"):
        table = getattr(users, part).astype(np.float64)
        np.testing.assert_allclose(table[0], table[rated].mean(axis=0), atol=1e-5)
    nobody = towers.newcomers.encoding.user(np.zeros(0, np.int32), np.zeros(0, np.float32))
    np.testing.assert_allclose(
        summed(towers.newcomers.keras_model, "user", nobody).choice[0], users.choice[0], atol=1e-6
    )


def test_an_item_of_which_nothing_is_known_is_row_0(towers: Towers) -> None:
    row = summed(towers.newcomers.keras_model, "item", towers.newcomers.encoding.item([], 0))
    for part in ("embedding", "hidden", "choice"):
        np.testing.assert_allclose(getattr(row, part)[0], getattr(rows_of(towers.model, "item"), part)[0], atol=1e-6)


def test_keras_scores_newcomers_as_their_rows_do(towers: Towers) -> None:
    """The model of newcomers and the rows that a server makes of its tables score alike; weights of 0 do not count."""
    encoding = towers.newcomers.encoding
    user = encoding.user(np.array([2, 5, 9], np.int32), np.array([1, 5, 3], np.float32), {"gender": "F", "age": "33"})
    item = encoding.item(["War", "Drama", "unheard of"], 1971)
    inputs: dict[str, npt.NDArray[np.generic]] = {}
    for side, entries in (("user", user), ("item", item)):
        inputs[f"{side}_entries"] = np.pad(entries.rows, (0, 3))[np.newaxis]
        inputs[f"{side}_weights"] = np.pad(entries.weights, (0, 3))[np.newaxis]
    scored = towers.newcomers.keras_model.predict(inputs, verbose=0)
    model = known_pairs_model(
        summed(towers.newcomers.keras_model, "user", user),
        summed(towers.newcomers.keras_model, "item", item),
        head_of(towers.model),
    )
    rows = predict_pairs(model, np.zeros(1, np.int32), np.zeros(1, np.int32))
    assert rows.choices is not None
    assert scored["rating"].item() == pytest.approx(rows.ratings.item(), abs=1e-5)
    assert scored["choice"].item() == pytest.approx(rows.choices.item(), abs=1e-5)


def test_fresh_ratings_of_a_known_user_move_him_as_far_as_their_number_says(towers: Towers) -> None:
    encoding, user = towers.newcomers.encoding, 4
    mean_before = float(encoding.user_means[user])
    entries = encoding.user(np.array([1, 2], np.int32), np.array([5, 5], np.float32), {"gender": "M"}, row=user)
    count = int(encoding.user_counts[user])
    residuals = 5 - encoding.encoding.mean - encoding.item_offsets[[1, 2]].astype(np.float64)
    shrinkage = RECIPE.rating.shrinkage
    mean = (mean_before * (shrinkage + count) + residuals.sum()) / (shrinkage + count + 2)
    assert entries.rows.tolist() == [1, 2, 3, 2 + ITEMS, 3 + ITEMS]
    expected = [mean - mean_before, *((residuals - mean) / np.sqrt(count + 2)), *[1 / np.sqrt(count + 2)] * 2]
    np.testing.assert_allclose(entries.weights, expected, rtol=1e-4, atol=1e-6)


def test_rows_can_be_taken_and_joined() -> None:
    rows = TowerRows(*(np.arange(6, dtype=np.float32).reshape(3, 2) + part for part in range(3)))
    joined = TowerRows.joined([rows.take(np.array([2], np.int32)), rows])
    assert joined.choice.tolist() == [[6, 7], [2, 3], [4, 5], [6, 7]]
