"""Training the two towers: how many epochs is chosen on validation rows, then all training rows are used."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from rankserve_training.data import Dataset, Description
from rankserve_training.memory import free_finished, free_programs
from rankserve_training.metrics import rmse
from rankserve_training.model.newcomers import Encoding
from rankserve_training.rows import Int32s, PairsByUser, RatedPairs, permutation
from rankserve_training.towers.export import ExportedTowers, export_towers
from rankserve_training.towers.features import Bags, item_bags, item_features, user_bags, user_features
from rankserve_training.towers.fits import ChoiceFit, Fit, Listeners, RatingFit
from rankserve_training.towers.fitting import (
    Checkpoints,
    EpochLog,
    StageProgress,
    best_epoch,
)
from rankserve_training.towers.item_raters import item_raters_of
from rankserve_training.towers.offsets import Offsets, offsets_of
from rankserve_training.towers.recipe import TwoTowerRecipe
from rankserve_training.towers.tables import ChoiceTables, RatingTables
from rankserve_training.towers.user_batches import UserBatches
from rankserve_training.towers.validation import choice_ndcg, exported_ratings

_FEWEST_VALIDATION_ROWS = 50

Watch = Callable[[ExportedTowers], None]
Tables = TypeVar("Tables")


class RunsFits(Protocol):
    """Runs fits elsewhere too; see `rankserve_training.distributed`."""

    def run(
        self,
        fit: Fit[Tables],
        pairs: PairsByUser,
        figure: Callable[[Tables], float] | None,
        checkpoints: Checkpoints | None,
        listeners: Listeners,
    ) -> tuple[Tables, list[EpochLog]]: ...


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
        others: other processes that take part; None for none.
    """

    dataset: Dataset | Description
    user_count: int
    item_count: int
    recipe: TwoTowerRecipe
    seed: int
    checkpoints: Checkpoints | None
    listeners: Sequence[Callable[[StageProgress], None]]
    others: RunsFits | None = None

    def train(self, train: RatedPairs, epochs: int | None = None) -> TrainedTowers:
        """Chooses the number of epochs, and trains on all rows.

        Args:
            train: the training rows; test rows are never seen here.
            epochs: of the first output, instead of the recipe's choice on validation rows.
        """
        search = self._search(train)
        if epochs is None and search is not None:
            epochs = search.epochs
        free_programs(len(train))
        rows = self._rows(train)
        rating, _ = self._fit_ratings("ratings", rows, epochs or self.recipe.rating.epochs)
        choice_epochs = search.choice_epochs if search else self.recipe.choice.epochs
        choice, _ = self._fit_choices("choices", rows, choice_epochs)
        free_finished(len(train))
        return TrainedTowers(
            self._export(rating, choice, rows),
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
        return self._validated_ratings(self._held_out(rows), watch)

    def validate_choices(self, rows: RatedPairs) -> list[EpochLog]:
        """The same for the second output."""
        return self._validated_choices(self._held_out(rows))

    def _search(self, rows: RatedPairs) -> "_Search | None":
        """For how many epochs to train; None where there are too few rows to hold some out."""
        if int(len(rows) * self.recipe.validation_share) < _FEWEST_VALIDATION_ROWS:
            return None
        parts = self._held_out(rows)
        rating_logs, choice_logs = self._validated_ratings(parts), self._validated_choices(parts)
        return _Search(
            rating_logs,
            choice_logs,
            best_epoch(rating_logs, lower_is_better=True),
            best_epoch(choice_logs, lower_is_better=False),
        )

    def _held_out(self, rows: RatedPairs) -> "_Parts":
        count = int(len(rows) * self.recipe.validation_share)
        order = permutation(np.random.default_rng(self.seed), len(rows))
        held_out = rows.take(order[:count])
        trained = order[count:]
        trained.sort()
        return _Parts(self._rows(rows, trained), held_out)

    def _validated_ratings(self, parts: "_Parts", watch: Watch | None = None) -> list[EpochLog]:
        no_choice = ChoiceTables.nothing(self.item_count, *parts.train.bags)

        def rating_rmse(rating: RatingTables) -> float:
            exported = self._export(rating, no_choice, parts.train)
            if watch is not None:
                watch(exported)
            return rmse(exported_ratings(exported, parts.held_out), parts.held_out.ratings)

        epochs, patience = self.recipe.rating.epochs, self.recipe.patience
        return self._fit_ratings("ratings validation", parts.train, epochs, rating_rmse, patience)[1]

    def _validated_choices(self, parts: "_Parts") -> list[EpochLog]:
        users, items = parts.train.bags
        no_rating = RatingTables.nothing(users, self.item_count, items)
        held_out = PairsByUser.of(parts.held_out, self.user_count)

        def ndcg(choice: ChoiceTables) -> float:
            return choice_ndcg(self._export(no_rating, choice, parts.train), parts.train.pairs, held_out)

        epochs, patience = self.recipe.choice.epochs, 2 * self.recipe.patience
        return self._fit_choices("choices validation", parts.train, epochs, ndcg, patience)[1]

    def _rows(self, pairs: RatedPairs, some: Int32s | None = None) -> "_Rows":
        """All of the pairs, or those at `some` ascending places, int32[n]."""
        rating = self.recipe.rating
        train = pairs if some is None else pairs.take(some)
        by_user = PairsByUser.of(train, self.user_count)
        if some is not None:
            # A part is no second copy.
            by_user = PairsByUser(pairs, by_user.starts, some[by_user.places])
        offsets = offsets_of(train, self.user_count, self.item_count, rating.shrinkage, rating.item_shrinkage)
        of_users, of_items = user_features(self.dataset.users), item_features(self.dataset.items)
        bags = user_bags(self.dataset.users, of_users), item_bags(self.dataset.items, of_items)
        encoding = Encoding(offsets.mean, rating.shrinkage, of_users, of_items)
        return _Rows(by_user, offsets, bags, encoding)

    def _fit_ratings(
        self,
        name: str,
        rows: "_Rows",
        epochs: int,
        figure: Callable[[RatingTables], float] | None = None,
        patience: int = 0,
    ) -> tuple[RatingTables, list[EpochLog]]:
        """What the towers have learnt of the rows; the towers are let go of."""
        return self._fit(self._rating_fit(name, rows, epochs, figure is not None, patience), rows, figure)

    def _rating_fit(self, name: str, rows: "_Rows", epochs: int, is_measured: bool, patience: int) -> RatingFit:
        recipe, raters = self.recipe.rating, None
        if recipe.raters:
            raters = item_raters_of(rows.pairs, rows.offsets.biases, recipe.item_shrinkage)
        return RatingFit(name, epochs, patience, is_measured, self.recipe, self.seed, rows.offsets, rows.bags, raters)

    def _fit_choices(
        self,
        name: str,
        rows: "_Rows",
        epochs: int,
        figure: Callable[[ChoiceTables], float] | None = None,
        patience: int = 0,
    ) -> tuple[ChoiceTables, list[EpochLog]]:
        """The same for the second output."""
        return self._fit(self._choice_fit(name, rows, epochs, figure is not None, patience), rows, figure)

    def _choice_fit(self, name: str, rows: "_Rows", epochs: int, is_measured: bool, patience: int) -> ChoiceFit:
        return ChoiceFit(name, epochs, patience, is_measured, self.recipe, self.seed, rows.offsets, rows.bags)

    def _fit(
        self, fit: Fit[Tables], rows: "_Rows", figure: Callable[[Tables], float] | None
    ) -> tuple[Tables, list[EpochLog]]:
        free_finished(len(rows.pairs))
        if self.others is None:
            return fit.run(fit.batches(UserBatches, rows.pairs), figure, self.checkpoints, self.listeners)
        return self.others.run(fit, rows.pairs, figure, self.checkpoints, self.listeners)

    def _export(self, rating: RatingTables, choice: ChoiceTables, rows: "_Rows") -> ExportedTowers:
        limits = self.dataset.scale.minimum, self.dataset.scale.maximum
        return export_towers(rating, choice, rows.pairs, rows.offsets, *rows.bags, rows.encoding, limits)


@dataclass(frozen=True)
class _Rows:
    """What is trained on.

    Attributes:
        pairs: the ratings.
        offsets: of them.
        bags: features of users and of items.
        encoding: how strangers are described, with the mean of these ratings.
    """

    pairs: PairsByUser
    offsets: Offsets
    bags: tuple[Bags, Bags]
    encoding: Encoding


@dataclass(frozen=True)
class _Parts:
    """The training rows, a part of which is held out."""

    train: _Rows
    held_out: RatedPairs


@dataclass(frozen=True)
class _Search:
    """What the validation rows have shown."""

    rating_logs: list[EpochLog]
    choice_logs: list[EpochLog]
    epochs: int
    choice_epochs: int
