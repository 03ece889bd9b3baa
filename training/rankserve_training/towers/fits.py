"""The fits that a training is made of: what towers, what batches, what optimizer, for how long."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from rankserve_training.model.backend import keras
from rankserve_training.model.without_tensorflow import without_tensorflow
from rankserve_training.towers.choice_towers import ChoiceTowers, unlikelihood
from rankserve_training.towers.features import Bags
from rankserve_training.towers.fitting import EpochLog, KeepsStates, Stage, StageProgress, Validation, adam_w
from rankserve_training.towers.item_raters import ItemRaters
from rankserve_training.towers.offsets import Offsets
from rankserve_training.towers.rating_towers import RatingTowers
from rankserve_training.towers.recipe import TwoTowerRecipe
from rankserve_training.towers.tables import ChoiceTables, RatingTables
from rankserve_training.towers.user_batches import Column, PlannedBatches

# A step updates every row of every table, which takes longer the more users and items there are; so large data sets
# have larger batches, not more of them.
_MOST_STEPS = 1_000

Tables = TypeVar("Tables")
Listeners = Sequence[Callable[[StageProgress], None]]


@dataclass(frozen=True)
class Fit(ABC, Generic[Tables]):
    """All that determines a fit but the rows.

    Attributes:
        name: in words; unique within a training.
        epochs: how many at most.
        patience: epochs without improvement after which the fit ends.
        validated: whether rows are held out to look at after each epoch.
        recipe: sizes and rates.
        seed: of all that is random.
        offsets: of the rows.
        bags: features of users and of items.
    """

    measure: ClassVar[str]
    lower_is_better: ClassVar[bool]

    name: str
    epochs: int
    patience: int
    validated: bool
    recipe: TwoTowerRecipe
    seed: int
    offsets: Offsets
    bags: tuple[Bags, Bags]

    def batches(self, kind: Callable[..., PlannedBatches], rows: Any) -> PlannedBatches:
        """The batches, of the kind that takes such rows."""
        ratings, users = self.batch_sizes(len(rows))
        return kind(rows, self.columns(), ratings, users, self.seed)

    def batch_sizes(self, rows: int) -> tuple[int, int]:
        """How many ratings, and how many users at most, are in a batch where there are so many rows to train on."""
        times = -(-rows // (_MOST_STEPS * self.recipe.batch_ratings))
        return times * self.recipe.batch_ratings, times * self.recipe.batch_users

    def run(
        self,
        batches: PlannedBatches,
        figure: Callable[[Tables], float] | None,
        checkpoints: KeepsStates | None,
        listeners: Listeners,
    ) -> tuple[Tables, list[EpochLog]]:
        """What the towers have learnt, and the logs of the epochs.

        Args:
            batches: of the rows.
            figure: measures what they have learnt on the rows that are held out; None where none are.
            checkpoints: None where none are kept.
            listeners: told of every epoch.
        """
        with without_tensorflow():
            keras.utils.set_random_seed(self.seed)
        model = self.towers(batches.slots)
        self.compile(model, len(batches))
        validation = None
        if figure is not None:
            measured = figure
            validation = Validation(
                self.measure, lambda: measured(self.tables(model)), self.lower_is_better, self.patience
            )
        logs = Stage(self.name, model, batches, self.epochs, validation, checkpoints, listeners).run()
        return self.tables(model), logs

    @abstractmethod
    def columns(self) -> Mapping[str, Column]:
        """More that is known of each rating."""

    @abstractmethod
    def towers(self, slots: int) -> Any:
        """New towers, for so many users in a batch."""

    @abstractmethod
    def compile(self, model: keras.Model, steps: int) -> None:
        """Gives them loss and optimizer, for so many steps an epoch."""

    @abstractmethod
    def tables(self, model: Any) -> Tables:
        """What they have learnt."""


@dataclass(frozen=True)
class RatingFit(Fit[RatingTables]):
    """Of the first output.

    Attributes:
        raters: of items; None where they do not count.
    """

    measure = "RMSE"
    lower_is_better = True

    raters: ItemRaters | None = None

    def columns(self) -> Mapping[str, Column]:
        """See `Offsets`."""
        return {"residual": self.offsets.residuals, "others_offset": self.offsets.others_offsets}

    def towers(self, slots: int) -> RatingTowers:
        """See the class."""
        items = len(self.offsets.item_counts) - 1
        return RatingTowers(
            self.recipe.rating, self.offsets.mean, slots, items, *self.bags, self.raters, seed=self.seed
        )

    def compile(self, model: keras.Model, steps: int) -> None:
        """By the recipe."""
        recipe, undecayed = self.recipe.rating, ("hidden_bias", "mean_scale", "always")
        steps *= max(self.epochs, recipe.epochs)
        optimizer = adam_w(recipe.learning_rate, recipe.weight_decay, steps, undecayed)
        model.compile(optimizer=optimizer, loss=keras.losses.MeanSquaredError())

    def tables(self, model: RatingTowers) -> RatingTables:
        """See the class."""
        return RatingTables.of(model)


@dataclass(frozen=True)
class ChoiceFit(Fit[ChoiceTables]):
    """Of the second output."""

    measure = "nDCG@10"
    lower_is_better = False

    def columns(self) -> Mapping[str, Column]:
        """None."""
        return {}

    def towers(self, slots: int) -> ChoiceTowers:
        """See the class."""
        return ChoiceTowers(self.recipe.choice, self.offsets.item_counts, slots, *self.bags, seed=self.seed)

    def compile(self, model: keras.Model, steps: int) -> None:
        """By the recipe."""
        recipe = self.recipe.choice
        optimizer = adam_w(recipe.learning_rate, recipe.weight_decay, steps * recipe.epochs, ("popularity", "always"))
        model.compile(optimizer=optimizer, loss=unlikelihood)

    def tables(self, model: ChoiceTowers) -> ChoiceTables:
        """See the class."""
        return ChoiceTables.of(model)
