"""A small data set with features, and towers for it whose every weight is random."""

from dataclasses import dataclass

import numpy as np

from rankserve_training.artifact import IdIndex
from rankserve_training.data import Dataset, Items, Ratings, RatingScale, Users
from rankserve_training.rows import RatedPairs
from rankserve_training.towers.recipe import ChoiceRecipe, RatingRecipe, TwoTowerRecipe
from rankserve_training.towers.train import TowerTrainer

USERS, ITEMS = 30, 25
RECIPE = TwoTowerRecipe(
    rating=RatingRecipe(members=2, width=3, hidden=4, epochs=3, raters=True),
    choice=ChoiceRecipe(width=5, epochs=3),
    batch_ratings=64,
    batch_users=8,
)


def small_dataset(count: int = 400, features: bool = True) -> Dataset:
    """Every user and item has ratings and features, if asked for; some items have no genre, some no year."""
    random = np.random.default_rng(3)
    places = np.sort(random.choice(USERS * ITEMS, count, replace=False))
    genres = ((), ("Drama",), ("Drama", "War"), ("War", "Comedy", "Drama"), ("Comedy",))
    described = range(1, USERS + 1) if features else ()
    return Dataset(
        name="small",
        source="small",
        ratings=Ratings(
            places // ITEMS + 1,
            places % ITEMS + 1,
            random.integers(1, 6, count).astype(np.float32),
            random.integers(0, 1_000, count),
        ),
        test_ratings=None,
        items=Items(
            np.arange(1, ITEMS + 1),
            tuple(f"Title {item} ({1960 + item})" if item % 4 and features else "" for item in range(1, ITEMS + 1)),
            tuple(genres[item % 5] if features else () for item in range(1, ITEMS + 1)),
        ),
        users=Users(
            np.arange(1, USERS + 1),
            {
                "age": tuple(str(10 + 2 * user) for user in described),
                "gender": tuple("FM"[user % 2] for user in described),
                "zip_code": tuple(f"{user % 3}12{user:02}" for user in described),
            }
            if features
            else {},
        ),
        scale=RatingScale(1.0, 5.0),
    )


@dataclass(frozen=True)
class World:
    """A data set, its ratings as rows, and what trains on them."""

    dataset: Dataset
    pairs: RatedPairs
    trainer: TowerTrainer


def small_world(features: bool = True, recipe: TwoTowerRecipe = RECIPE) -> World:
    """The data set, and a trainer that says nothing."""
    dataset = small_dataset(features=features)
    pairs = RatedPairs.of(dataset.ratings, IdIndex(dataset.users.ids), IdIndex(dataset.items.ids))
    return World(dataset, pairs, TowerTrainer(dataset, USERS, ITEMS, recipe, 1, None, []))
