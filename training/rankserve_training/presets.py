"""Recipes: what is built and how it is trained, under one name each."""

from dataclasses import dataclass

from rankserve_training.model.embedding_mlp_config import EmbeddingMlpConfig
from rankserve_training.towers.recipe import TwoTowerRecipe

DEFAULT = "two-tower"


class UnknownPresetError(ValueError):
    """There is no preset of that name. The message names those that there are."""


@dataclass(frozen=True)
class TutorialRecipe:
    """The recipe of the tutorial.

    Attributes:
        model: the sizes of the model.
        learning_rate: of Adagrad.
        epochs: passes over the training rows.
        batch_size: rows in a step.
    """

    model: EmbeddingMlpConfig
    learning_rate: float
    epochs: int
    batch_size: int


PRESETS: dict[str, TutorialRecipe | TwoTowerRecipe] = {
    DEFAULT: TwoTowerRecipe(),
    # https://keras.io/keras_rs/examples/basic_ranking, to the number.
    "tutorial": TutorialRecipe(EmbeddingMlpConfig(), learning_rate=0.1, epochs=5, batch_size=1_000),
}


def preset_named(name: str) -> TutorialRecipe | TwoTowerRecipe:
    """The preset of this name.

    Raises:
        UnknownPresetError: where there is none.
    """
    if name not in PRESETS:
        raise UnknownPresetError(f"there is no preset {name!r}; known: {', '.join(PRESETS)}")
    return PRESETS[name]
