"""A whole evaluation of made-up numbers, with names that have to be escaped."""

from rankserve_training.evaluation.calibration import Calibration, ReliabilityBin
from rankserve_training.evaluation.cold_start import ColdStartCurve, ColdStartPoint
from rankserve_training.evaluation.examples import ExampleUser, RatedTitle, RecommendedTitle
from rankserve_training.evaluation.measures import Difference, Measure
from rankserve_training.evaluation.rating_accuracy import Accuracy, ActivityBin
from rankserve_training.evaluation.result import ColdItemAccuracy, Counts, Epoch, EvaluatedModel, EvaluationResult
from training.evaluation.cases import STARS

HOSTILE = "<script>alert('1')</script> & \"$x\""


def accuracy(error: float) -> Accuracy:
    return Accuracy(1000, error, error * 0.8)


def model(name: str, error: float) -> EvaluatedModel:
    measures = [
        Measure("rmse", error, error - 0.01, error + 0.01, 20_000),
        Measure("mae", error * 0.8, error * 0.8 - 0.01, error * 0.8 + 0.01, 20_000),
        Measure("ece", 0.03, None, None, 20_000),
        Measure("ndcg_at_10", 1.7 - error, 1.68 - error, 1.72 - error, 900),
    ]
    return EvaluatedModel(name, "model" if name.startswith("movielens") else "baseline", tuple(measures))


def curve(name: str, errors: tuple[float, ...]) -> ColdStartCurve:
    revealed = (0, 1, 5, 10, 20)
    return ColdStartCurve(
        name, tuple(ColdStartPoint(count, accuracy(error)) for count, error in zip(revealed, errors, strict=True))
    )


BARE = EvaluationResult(
    model="movielens",
    version="3",
    dataset="movielens/100k",
    protocol="random split, 20 % held out",
    scale=STARS,
    counts=Counts(943, 1682, 80_000, 20_000),
    models=(),
)

SAMPLE = EvaluationResult(
    model="movielens",
    version="3",
    dataset=f"movielens/100k {HOSTILE}",
    protocol="random split, 20 % held out",
    scale=STARS,
    counts=Counts(943, 1682, 80_000, 20_000),
    models=(
        model("movielens/3", 0.9143),
        model("mean", 1.1212),
        model("biases", 0.9421),
        model("item mean", 1.0233),
        EvaluatedModel("popularity", "baseline", (Measure("recall_at_10", 0.1, 0.09, 0.11, 940),)),
        EvaluatedModel(HOSTILE, "compared", (Measure("rmse", 0.93, None, None, 20_000),)),
    ),
    differences=(
        Difference("rmse", "biases", -0.0278, -0.031, -0.0241),
        Difference("ndcg_at_10", HOSTILE, 0.001, -0.002, 0.004),
    ),
    learning_curve=tuple(Epoch(number, 1.1 * 0.97**number, 0.9 + 0.2 * 0.8**number) for number in range(1, 21)),
    calibration=Calibration(
        tuple(
            ReliabilityBin(1.4 + step * 0.25, 1.5 + step * 0.24, 40 + 90 * step * (13 - step), 0.2 / (1 + step))
            for step in range(14)
        ),
        0.034,
    ),
    user_activity=(
        ActivityBin(1, 9, accuracy(1.02)),
        ActivityBin(10, 29, accuracy(0.97)),
        ActivityBin(30, 99, accuracy(0.94)),
        ActivityBin(100, 299, accuracy(0.91)),
        ActivityBin(300, None, accuracy(0.9)),
    ),
    item_activity=(
        ActivityBin(0, 0, accuracy(1.21)),
        ActivityBin(1, 9, accuracy(1.08)),
        ActivityBin(30, 99, accuracy(0.95)),
        ActivityBin(300, None, accuracy(0.88)),
    ),
    cold_start=(
        curve("_model $1$", (1.01, 0.99, 0.965, 0.95, 0.93)),
        curve("item mean", (1.02, 1.02, 1.02, 1.02, 1.02)),
        curve("biases", (1.02, 1.015, 1.0, 0.985, 0.97)),
    ),
    cold_items=(ColdItemAccuracy("model", accuracy(1.03)), ColdItemAccuracy("mean", accuracy(1.12))),
    examples=(
        ExampleUser(
            "42",
            (RatedTitle(HOSTILE, 5.0), RatedTitle("Casablanca (1942)", 4.5)),
            1_234,
            (RecommendedTitle("Vertigo (1958)", 4.61, 5.0), RecommendedTitle(HOSTILE, 4.55, None)),
            17,
        ),
    ),
)
