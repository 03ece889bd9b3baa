"""The measures that are reported: what they are called, and in which direction they are better."""

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class MeasureInfo:
    """About a measure.

    Attributes:
        key: as in `Measure.key` and in JSON.
        title: for people.
        better: which values are better.
        counted: what the measure is a mean over.
        explanation: one sentence.
        decimals: how many are shown.
    """

    key: str
    title: str
    better: Literal["lower", "higher"]
    counted: Literal["ratings", "users"]
    explanation: str
    decimals: int = 4


@dataclass(frozen=True)
class Measure:
    """What was measured.

    Attributes:
        key: of one of `MEASURES`.
        value: the measure.
        low: the lower end of its 95 % interval; None where there is none.
        high: the upper end, likewise.
        count: how many ratings or users it is a mean over.
    """

    key: str
    value: float
    low: float | None
    high: float | None
    count: int


@dataclass(frozen=True)
class Difference:
    """A measure of the model under evaluation less that of another, on the same rows or users.

    Attributes:
        key: of one of `MEASURES`.
        against: the name of the other model.
        value: the difference.
        low: the lower end of its 95 % interval.
        high: the upper end.
    """

    key: str
    against: str
    value: float
    low: float
    high: float

    @property
    def verdict(self) -> Literal["better", "worse", "undecided"]:
        """Of the model; undecided where the interval holds 0."""
        if self.low <= 0 <= self.high:
            return "undecided"
        return "better" if (self.value < 0) == (INFO[self.key].better == "lower") else "worse"


MEASURES = (
    MeasureInfo("rmse", "RMSE", "lower", "ratings", "Root of the mean squared error of predicted ratings."),
    MeasureInfo("mae", "MAE", "lower", "ratings", "Mean absolute error of predicted ratings."),
    MeasureInfo("nll", "NLL", "lower", "ratings", "Mean negative log-likelihood of the given ratings, in nats."),
    MeasureInfo("ece", "ECE", "lower", "ratings", "Expected calibration error: predicted less given, bin by bin."),
    MeasureInfo("ndcg_at_5", "nDCG@5", "higher", "users", "Order of a user's held-out items; gain 2^rating - 1."),
    MeasureInfo("ndcg_at_10", "nDCG@10", "higher", "users", "Order of a user's held-out items; gain 2^rating - 1."),
    MeasureInfo("mrr", "MRR", "higher", "users", "One over the place of the first of a user's well rated items."),
    MeasureInfo(
        "pairwise_accuracy", "Pairwise accuracy", "higher", "users", "Pairs of held-out items in the right order."
    ),
    MeasureInfo(
        "catalogue_ndcg_at_10",
        "Catalogue nDCG@10",
        "higher",
        "users",
        "Held-out items, and how early they stand, among ten recommendations of the whole catalogue.",
    ),
    MeasureInfo("recall_at_10", "Recall@10", "higher", "users", "Of the held-out items, the share recommended."),
    MeasureInfo("precision_at_10", "Precision@10", "higher", "users", "Of ten recommendations, the share held out."),
    MeasureInfo("coverage", "Coverage", "higher", "users", "Of the catalogue, the share recommended to anybody."),
)
INFO = {info.key: info for info in MEASURES}
# Stands where a model has no such value.
NOT_DEFINED = "n/a"


def value_text(measure: Measure) -> str:
    """Such as `0.9214`."""
    return f"{measure.value:.{INFO[measure.key].decimals}f}"


def interval_text(measure: Measure) -> str:
    """Such as `0.915 to 0.928`, one decimal fewer than the value; "" where there is none."""
    if measure.low is None or measure.high is None:
        return ""
    decimals = INFO[measure.key].decimals - 1
    return f"{measure.low:.{decimals}f} to {measure.high:.{decimals}f}"


def difference_text(difference: Difference) -> str:
    """Such as `-0.0213 (-0.024 to -0.019)`."""
    decimals = INFO[difference.key].decimals
    ends = " to ".join(f"{end:+.{decimals - 1}f}" for end in (difference.low, difference.high))
    return f"{difference.value:+.{decimals}f} ({ends})"


def best(measures: list[Measure]) -> list[Measure]:
    """Those of measures of the same key that nobody surpasses, as far as the shown decimals tell."""
    if not measures:
        return []
    info = INFO[measures[0].key]
    pick = min if info.better == "lower" else max
    limit = pick(measure.value for measure in measures)
    return [measure for measure in measures if math.isclose(measure.value, limit, abs_tol=0.5 * 10**-info.decimals)]
