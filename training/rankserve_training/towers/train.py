"""Training the two towers: how many epochs is chosen on validation rows, then all training rows are used."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rankserve_training.data import Dataset
from rankserve_training.metrics import rmse
from rankserve_training.model.backend import keras
from rankserve_training.model.newcomers import Encoding
from rankserve_training.rows import RatedPairs
from rankserve_training.towers.choice_towers import ChoiceTowers, unlikelihood
from rankserve_training.towers.export import ChoiceTables, ExportedTowers, export_towers
from rankserve_training.towers.features import Bags, item_bags, item_features, user_bags, user_features
from rankserve_training.towers.fitting import (
    Checkpoints,
    EpochLog,
    Stage,
    StageProgress,
    Validation,
    adam_w,
    best_epoch,
)
from rankserve_training.towers.item_raters import item_raters_of
from rankserve_training.towers.offsets import Offsets, offsets_of
from rankserve_training.towers.rating_towers import RatingTowers
from rankserve_training.towers.recipe import TwoTowerRecipe
from rankserve_training.towers.user_batches import UserBatches
from rankserve_training.towers.validation import choice_ndcg, exported_ratings

_FEWEST_VALIDATION_ROWS = 50
# A step updates every row of every table, which takes longer the more users and items there are; so large data sets
# have larger batches, not more of them.
_MOST_STEPS = 1_000

Watch = Callable[[ExportedTowers], None]


@dataclass(frozen=True)
class TrainedTowers:
    """What training gives.

    Attributes:
        exported: the rows.
        rating_logs: of the epochs of the search for the number of epochs.
        choice_logs: likewise of the second output.
        epochs: of the final fit of the first output.
        choice_epochs: of the second one.
    """

    exported: ExportedTowers
    rating_logs: list[EpochLog]
    choice_logs: list[EpochLog]
    epochs: int
    choice_epochs: int


@dataclass(frozen=True)
class TowerTrainer:
    """Trains on the ratings of a data set.

    Attributes:
        dataset: whose users and items are described.
        user_count: known users.
        item_count: known items.
        recipe: sizes and rates.
        seed: of all that is random.
        checkpoints: where states are kept; None for nowhere.
        listeners: told of every epoch.
    """

    dataset: Dataset
    user_count: int
    item_count: int
    recipe: TwoTowerRecipe
    seed: int
    checkpoints: Checkpoints | None
    listeners: Sequence[Callable[[StageProgress], None]]

    def train(self, train: RatedPairs, epochs: int | None = None) -> TrainedTowers:
        """Chooses the number of epochs, and trains on all rows.

        Args:
            train: the training rows; test rows are never seen here.
            epochs: of the first output, instead of the recipe's choice on validation rows.
        """
        encoding = self._encoding(train)
        bags = self._bags(encoding)
        search = self._search(train)
        if epochs is None and search is not None:
            epochs = search.epochs
        offsets = self._offsets(train)
        rating = self._rating_towers(train, offsets, bags)
        self._fit_ratings("ratings", rating, train, offsets, epochs or self.recipe.rating.epochs, None)
        choice = self._choice_towers(train, bags)
        choice_epochs = search.choice_epochs if search else self.recipe.choice.epochs
        self._fit_choices("choices", choice, train, choice_epochs, None)
        exported = self._export(rating, ChoiceTables.of(choice), train, offsets, bags, encoding)
        return TrainedTowers(
            exported,
            search.rating_logs if search else [],
            search.choice_logs if search else [],
            epochs or self.recipe.rating.epochs,
            choice_epochs,
        )

    def validate_ratings(self, rows: RatedPairs, watch: Watch | None = None) -> list[EpochLog]:
        """Trains the first output on a part of the rows and looks at the others after every epoch.

        Args:
            rows: the training rows, enough to hold some out.
            watch: given what would be exported after each epoch; for searches that measure more than the RMSE.
        """
        return self._validated_ratings(self._held_out(rows), watch)[1]

    def validate_choices(self, rows: RatedPairs) -> list[EpochLog]:
        """The same for the second output."""
        parts = self._held_out(rows)
        offsets = self._offsets(parts.train)
        return self._validated_choices(parts, self._rating_towers(parts.train, offsets, self._bags(parts.encoding)))

    def _search(self, rows: RatedPairs) -> "_Search | None":
        """For how many epochs to train; None where there are too few rows to hold some out."""
        if int(len(rows) * self.recipe.validation_share) < _FEWEST_VALIDATION_ROWS:
            return None
        parts = self._held_out(rows)
        rating, rating_logs = self._validated_ratings(parts)
        choice_logs = self._validated_choices(parts, rating)
        return _Search(
            rating_logs,
            choice_logs,
            best_epoch(rating_logs, lower_is_better=True),
            best_epoch(choice_logs, lower_is_better=False),
        )

    def _held_out(self, rows: RatedPairs) -> "_Parts":
        count = int(len(rows) * self.recipe.validation_share)
        order = np.random.default_rng(self.seed).permutation(len(rows))
        return _Parts(rows.take(np.sort(order[count:])), rows.take(order[:count]), self._encoding(rows))

    def _validated_ratings(self, parts: "_Parts", watch: Watch | None = None) -> tuple[RatingTowers, list[EpochLog]]:
        bags = self._bags(parts.encoding)
        offsets = self._offsets(parts.train)
        rating = self._rating_towers(parts.train, offsets, bags)
        no_choice = ChoiceTables.nothing(self.item_count, *bags)

        def rating_rmse() -> float:
            exported = self._export(rating, no_choice, parts.train, offsets, bags, parts.encoding)
            if watch is not None:
                watch(exported)
            return rmse(exported_ratings(exported, parts.held_out), parts.held_out.ratings)

        validation = Validation("RMSE", rating_rmse, lower_is_better=True, patience=self.recipe.patience)
        epochs = self.recipe.rating.epochs
        return rating, self._fit_ratings("ratings validation", rating, parts.train, offsets, epochs, validation)

    def _validated_choices(self, parts: "_Parts", rating: RatingTowers) -> list[EpochLog]:
        bags = self._bags(parts.encoding)
        offsets = self._offsets(parts.train)
        choice = self._choice_towers(parts.train, bags)

        def ndcg() -> float:
            tables = ChoiceTables.of(choice)
            exported = self._export(rating, tables, parts.train, offsets, bags, parts.encoding)
            return choice_ndcg(exported, parts.train, parts.held_out)

        validation = Validation("nDCG@10", ndcg, lower_is_better=False, patience=2 * self.recipe.patience)
        return self._fit_choices("choices validation", choice, parts.train, self.recipe.choice.epochs, validation)

    def _encoding(self, train: RatedPairs) -> Encoding:
        mean = float(train.ratings.mean(dtype=np.float64))
        features = user_features(self.dataset.users), item_features(self.dataset.items)
        return Encoding(mean, self.recipe.rating.shrinkage, *features)

    def _bags(self, encoding: Encoding) -> tuple[Bags, Bags]:
        return (
            user_bags(self.dataset.users, encoding.user_features),
            item_bags(self.dataset, encoding.item_features),
        )

    def _offsets(self, train: RatedPairs) -> Offsets:
        rating = self.recipe.rating
        return offsets_of(train, self.user_count, self.item_count, rating.shrinkage, rating.item_shrinkage)

    def _rating_towers(self, train: RatedPairs, offsets: Offsets, bags: tuple[Bags, Bags]) -> RatingTowers:
        keras.utils.set_random_seed(self.seed)
        _, slots = self._batch_sizes(len(train))
        rating = self.recipe.rating
        raters = None
        if rating.raters:
            raters = item_raters_of(train, self.user_count, self.item_count, rating.item_shrinkage)
        return RatingTowers(rating, offsets.mean, slots, self.item_count, *bags, raters, seed=self.seed)

    def _choice_towers(self, train: RatedPairs, bags: tuple[Bags, Bags]) -> ChoiceTowers:
        _, slots = self._batch_sizes(len(train))
        return ChoiceTowers(self.recipe.choice, train, slots, self.item_count, *bags, seed=self.seed)

    def _fit_ratings(
        self,
        name: str,
        model: RatingTowers,
        train: RatedPairs,
        offsets: Offsets,
        epochs: int,
        validation: Validation | None,
    ) -> list[EpochLog]:
        columns = {"residual": offsets.residuals, "others_offset": offsets.others_offsets}
        batches = self._batches(train, columns)
        recipe = self.recipe.rating
        undecayed = ("hidden_bias", "mean_scale", "always")
        steps = max(epochs, recipe.epochs) * len(batches)
        optimizer = adam_w(recipe.learning_rate, recipe.weight_decay, steps, undecayed)
        model.compile(optimizer=optimizer, loss=keras.losses.MeanSquaredError())
        return Stage(name, model, batches, epochs, validation, self.checkpoints, self.listeners).run()

    def _fit_choices(
        self, name: str, model: ChoiceTowers, train: RatedPairs, epochs: int, validation: Validation | None
    ) -> list[EpochLog]:
        batches = self._batches(train, {})
        recipe = self.recipe.choice
        steps = recipe.epochs * len(batches)
        optimizer = adam_w(recipe.learning_rate, recipe.weight_decay, steps, ("popularity", "always"))
        model.compile(optimizer=optimizer, loss=unlikelihood)
        return Stage(name, model, batches, epochs, validation, self.checkpoints, self.listeners).run()

    def _batches(self, train: RatedPairs, columns: dict[str, npt.NDArray[np.float32]]) -> UserBatches:
        ratings, users = self._batch_sizes(len(train))
        return UserBatches(train, columns, ratings, users, self.seed)

    def _batch_sizes(self, rows: int) -> tuple[int, int]:
        """How many ratings, and how many users at most, are in a batch where there are so many rows to train on."""
        times = -(-rows // (_MOST_STEPS * self.recipe.batch_ratings))
        return times * self.recipe.batch_ratings, times * self.recipe.batch_users

    def _export(
        self,
        rating: RatingTowers,
        choice: ChoiceTables,
        train: RatedPairs,
        offsets: Offsets,
        bags: tuple[Bags, Bags],
        encoding: Encoding,
    ) -> ExportedTowers:
        scale = self.dataset.scale
        # The mean that strangers' ratings are compared with is that of the rows that were trained on.
        encoding = Encoding(offsets.mean, encoding.shrinkage, encoding.user_features, encoding.item_features)
        return export_towers(rating, choice, train, offsets, *bags, encoding, (scale.minimum, scale.maximum))


@dataclass(frozen=True)
class _Parts:
    """The training rows, a part of which is held out."""

    train: RatedPairs
    held_out: RatedPairs
    encoding: Encoding


@dataclass(frozen=True)
class _Search:
    """What the validation rows have shown."""

    rating_logs: list[EpochLog]
    choice_logs: list[EpochLog]
    epochs: int
    choice_epochs: int
