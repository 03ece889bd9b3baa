"""By which rule `model_search.py` takes one of the values that it has tried."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from search_space import Recipe, Step


@dataclass(frozen=True)
class Outcome:
    """What a training came to.

    Attributes:
        figure: RMSE on the rows held out, in stars, or nDCG@10.
        cold: RMSE of hidden users by how many ratings are revealed; empty for choices.
        epoch: the best one.
        seconds: of processor time for an epoch, the median.
    """

    figure: float
    cold: list[float]
    epoch: int
    seconds: float


@dataclass(frozen=True)
class Tried:
    """A value of a step, and what it came to with each seed.

    Attributes:
        value: of the step's fields.
        recipe: with it.
        outcomes: one a seed.
    """

    value: tuple[Any, ...]
    recipe: Recipe
    outcomes: list[Outcome]

    def figures(self, strangers: bool) -> npt.NDArray[np.float64]:
        """What is compared, one a seed."""
        return np.array([np.mean(each.cold) if strangers else each.figure for each in self.outcomes])

    @property
    def work(self) -> float:
        """Processor seconds of as many epochs as it may take."""
        return float(np.median([each.seconds for each in self.outcomes])) * self.recipe.epochs


def worse(one: Tried, other: Tried, sign: int, strangers: bool = False) -> bool:
    """Whether one is worse than the other by more than one standard error of the mean difference."""
    differences = sign * (one.figures(strangers) - other.figures(strangers))
    return bool(differences.mean() > standard_error(differences))


def standard_error(differences: npt.NDArray[np.float64]) -> float:
    """Of their mean."""
    return float(differences.std(ddof=1) / len(differences) ** 0.5)


def best_of(tried: Sequence[Tried], sign: int, strangers: bool = False) -> Tried:
    """With the best mean; the first of equal ones."""
    return min(tried, key=lambda each: float(sign * each.figures(strangers).mean()))


def choose(step: Step, tried: Sequence[Tried], current: Tried, sign: int, most_work: float) -> Tried:
    """What the rule takes.

    Args:
        step: which fields.
        tried: its values, the cheapest first where they cost.
        current: one of them.
        sign: see `Search`.
        most_work: in processor seconds.
    """
    allowed = [each for each in tried if each.work <= most_work]
    if step.strangers:
        allowed = [each for each in allowed if not worse(each, current, sign)]
    best = best_of(allowed, sign, step.strangers)
    good = [each for each in allowed if not worse(each, best, sign, step.strangers)]
    if step.costs:
        return good[0]
    return current if current in good else best
