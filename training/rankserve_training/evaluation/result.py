"""What an evaluation found: the plain data from which the report and the table are made."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal

import numpy as np

from rankserve_training.data import RatingScale
from rankserve_training.evaluation.calibration import Calibration
from rankserve_training.evaluation.cold_start import ColdStartCurve
from rankserve_training.evaluation.examples import ExampleUser
from rankserve_training.evaluation.measures import Difference, Measure
from rankserve_training.evaluation.rating_accuracy import Accuracy, ActivityBin


@dataclass(frozen=True)
class Counts:
    """Of the data.

    Attributes:
        users: known users.
        items: in the catalogue.
        train_ratings: that were trained on.
        test_ratings: that were tested on.
    """

    users: int
    items: int
    train_ratings: int
    test_ratings: int


@dataclass(frozen=True)
class EvaluatedModel:
    """The measures of one model.

    Attributes:
        name: such as `movielens/1` or `item mean`; unlike all others in a result.
        kind: the model that the evaluation is about, what it has to beat, or another model.
        measures: those that are defined for it, each key once.
    """

    name: str
    kind: Literal["model", "baseline", "compared"]
    measures: tuple[Measure, ...]

    def measure(self, key: str) -> Measure | None:
        """The measure of this key; None where it is not defined."""
        return next((measure for measure in self.measures if measure.key == key), None)


@dataclass(frozen=True)
class Epoch:
    """The errors after one pass over the training rows.

    Attributes:
        number: from 1.
        train_rmse: in rating units; None where it was not measured.
        validation_rmse: on rows that were not trained on, likewise.
    """

    number: int
    train_rmse: float | None
    validation_rmse: float | None


@dataclass(frozen=True)
class ColdItemAccuracy:
    """The accuracy of one model on items that were hidden from its training."""

    name: str
    accuracy: Accuracy


@dataclass(frozen=True)
class EvaluationResult:
    """All that was measured. Parts that were not are empty or None, and are left out of the report.

    Attributes:
        model: the name of the model.
        version: of the model.
        dataset: the name of the data set.
        protocol: which rows were tested, in words.
        scale: of the ratings.
        counts: of the data.
        models: the model itself first, then baselines and other models.
        differences: the model less others.
        learning_curve: by epoch.
        calibration: of the model.
        user_activity: accuracy of the model by the training ratings of the user.
        item_activity: accuracy of the model by the training ratings of the item.
        cold_start: a curve for the model and for each baseline.
        cold_items: accuracy on hidden items, of the model and of each baseline.
        examples: users with what is recommended to them.
    """

    model: str
    version: str
    dataset: str
    protocol: str
    scale: RatingScale
    counts: Counts
    models: tuple[EvaluatedModel, ...]
    differences: tuple[Difference, ...] = ()
    learning_curve: tuple[Epoch, ...] = ()
    calibration: Calibration | None = None
    user_activity: tuple[ActivityBin, ...] = ()
    item_activity: tuple[ActivityBin, ...] = ()
    cold_start: tuple[ColdStartCurve, ...] = ()
    cold_items: tuple[ColdItemAccuracy, ...] = ()
    examples: tuple[ExampleUser, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The attributes as dicts, lists, strings and numbers, under the names that they have here.

        A number that JSON does not have (NaN, infinite) is None.
        """
        plain: dict[str, Any] = _plain(self)
        return plain


def _plain(value: object) -> Any:
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, np.generic):
        return _plain(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value
