"""What the search for the default model's recipe tries: where it starts, its steps and their values."""

from dataclasses import dataclass
from typing import Any, Literal

from rankserve_training.towers.recipe import ChoiceRecipe, RatingRecipe

Recipe = RatingRecipe | ChoiceRecipe
Part = Literal["rating", "choice"]


@dataclass(frozen=True)
class Step:
    """Values of one or more fields that are compared, all else being as chosen so far.

    Attributes:
        fields: of the recipe.
        values: of these, cheapest first where they cost.
        costs: whether later values take longer.
        strangers: whether the RMSE of hidden users decides.
    """

    fields: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]
    costs: bool = False
    strangers: bool = False

    @staticmethod
    def of(name: str, *values: Any, costs: bool = False) -> "Step":
        """Values of one field."""
        return Step((name,), tuple((value,) for value in values), costs)


@dataclass(frozen=True)
class Search:
    """Where a search of one part starts, what it tries and what it may cost.

    Attributes:
        part: which towers.
        start: the recipe to start from.
        before: the default before, for comparison and as the measure of cost.
        steps: in their order.
        most_work: times the processor time of `before`.
        sign: 1 where lower is better, -1 where higher is.
    """

    part: Part
    start: Recipe
    before: Recipe
    steps: tuple[Step, ...]
    most_work: float
    sign: int


RATINGS = Search(
    part="rating",
    start=RatingRecipe(
        members=2,
        width=16,
        hidden=16,
        epochs=20,
        learning_rate=2e-3,
        weight_decay=0.01,
        dropout=0.2,
        initial=0.05,
        stranger_share=0.1,
        short_share=0.1,
        empty_share=0.1,
        shrinkage=10.0,
        item_shrinkage=10.0,
        raters=False,
    ),
    before=RatingRecipe(
        members=4,
        width=24,
        hidden=32,
        epochs=20,
        learning_rate=4e-3,
        weight_decay=0.1,
        dropout=0.25,
        initial=0.05,
        stranger_share=0.1,
        short_share=0.3,
        empty_share=0.2,
        shrinkage=15.0,
        item_shrinkage=10.0,
        raters=False,
    ),
    steps=(
        Step.of("learning_rate", 2e-3, 4e-3, 8e-3),
        Step.of("weight_decay", 0.01, 0.1, 0.3, 1.0),
        Step.of("dropout", 0.1, 0.2, 0.3, 0.4),
        Step.of("width", 16, 24, 40, costs=True),
        Step.of("members", 2, 4, 6, costs=True),
        Step.of("hidden", 1, 16, 32, costs=True),
        Step.of("epochs", 12, 20, 30, costs=True),
        Step.of("shrinkage", 5.0, 10.0, 20.0),
        Step.of("item_shrinkage", 5.0, 10.0, 20.0),
        Step.of("initial", 0.02, 0.05, 0.1),
        Step(
            ("stranger_share", "short_share", "empty_share"),
            ((0.0, 0.0, 0.0), (0.1, 0.1, 0.1), (0.1, 0.3, 0.1), (0.1, 0.3, 0.2), (0.2, 0.5, 0.2)),
            strangers=True,
        ),
        Step.of("learning_rate", 2e-3, 4e-3, 8e-3),
        Step.of("weight_decay", 0.01, 0.1, 0.3, 1.0),
        Step.of("dropout", 0.1, 0.2, 0.3, 0.4),
        # Added when the steps above had been run. Raters cost as much in a batch of any size, so that with half batches
        # they look dearer than they are: with fewer epochs they are within the bound all the same.
        Step(("raters", "epochs"), ((False, 20), (True, 12), (True, 16)), costs=True),
        Step.of("learning_rate", 1e-3, 2e-3, 4e-3),
        Step.of("dropout", 0.1, 0.2, 0.3, 0.4),
        Step.of("weight_decay", 0.01, 0.1, 0.3, 1.0),
    ),
    most_work=1.2,
    sign=1,
)

CHOICES = Search(
    part="choice",
    start=ChoiceRecipe(
        width=128, epochs=40, learning_rate=1e-3, weight_decay=0.01, dropout=0.0, entry_dropout=0.5, initial=0.05
    ),
    before=ChoiceRecipe(
        width=64, epochs=40, learning_rate=4e-3, weight_decay=0.1, dropout=0.5, entry_dropout=0.3, initial=0.05
    ),
    steps=(
        Step.of("learning_rate", 1e-3, 2e-3, 4e-3, 8e-3),
        Step.of("weight_decay", 0.01, 0.1, 0.3, 1.0),
        Step.of("dropout", 0.0, 0.25, 0.5, 0.7),
        Step.of("entry_dropout", 0.1, 0.3, 0.5, 0.7),
        Step.of("width", 32, 64, 128, 256, costs=True),
        Step.of("epochs", 20, 40, 60, costs=True),
        Step.of("initial", 0.02, 0.05, 0.1),
        Step.of("learning_rate", 1e-3, 2e-3, 4e-3, 8e-3),
        Step.of("weight_decay", 0.01, 0.1, 0.3, 1.0),
        Step.of("dropout", 0.0, 0.25, 0.5, 0.7),
        Step.of("entry_dropout", 0.1, 0.3, 0.5, 0.7),
    ),
    most_work=1.5,
    sign=-1,
)
