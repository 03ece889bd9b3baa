"""The pictures of the report, each with its numbers as a table."""

from collections.abc import Iterable
from html import escape

from rankserve_training.evaluation.measures import NOT_DEFINED
from rankserve_training.evaluation.rating_accuracy import Accuracy, ActivityBin
from rankserve_training.evaluation.report.html_table import Markup, html_table
from rankserve_training.evaluation.report.pictures import (
    activity_figure,
    calibration_figure,
    cold_start_figure,
    inline_svg,
    learning_curve_figure,
)
from rankserve_training.evaluation.result import EvaluationResult


def learning_curve_section(result: EvaluationResult) -> str:
    """The error by epoch; "" where it was not measured. So the other functions."""
    epochs = result.learning_curve
    if not epochs:
        return ""
    last = epochs[-1]
    description = (
        f"Line chart of the RMSE by epoch, up to epoch {last.number}. At the end: training {_number(last.train_rmse)}, "
        f"validation {_number(last.validation_rmse)}."
    )
    rows = [[f"{epoch.number}", _number(epoch.train_rmse), _number(epoch.validation_rmse)] for epoch in epochs]
    return _section(
        "Learning curve",
        inline_svg(learning_curve_figure(epochs), "learning", description),
        "The error after each pass over the training ratings.",
        html_table("RMSE by epoch", ["Epoch", "Training", "Validation"], rows),
    )


def calibration_section(result: EvaluationResult) -> str:
    """The reliability diagram."""
    found = result.calibration
    if found is None:
        return ""
    description = (
        f"Reliability diagram: mean given against mean predicted rating in {len(found.bins)} bins, and the number of "
        f"ratings in each. Expected calibration error {found.expected_error:.3f}."
    )
    rows = [
        [f"{part.predicted:.2f}", f"{part.given:.2f}", _number(part.standard_error), f"{part.rows:,}"]
        for part in found.bins
    ]
    return _section(
        "Calibration",
        inline_svg(calibration_figure(found, result.scale), "calibration", description),
        "On the dashed line predictions are right on average; the expected calibration error, the mean distance from "
        f"it, is {found.expected_error:.3f}.",
        html_table("Given by predicted rating", ["Predicted", "Given", "Standard error", "Ratings"], rows),
    )


def activity_section(result: EvaluationResult) -> str:
    """The error by what is known of the user and of the item."""
    users, items = result.user_activity, result.item_activity
    if not users and not items:
        return ""
    description = "Line chart of the RMSE by number of training ratings. " + " ".join(
        f"{name}: {', '.join(f'{part.accuracy.rmse:.3f} with {part.label}' for part in bins)}."
        for name, bins in (("Of the user", users), ("Of the item", items))
        if bins
    )
    rows = [*_activity_rows("user", users), *_activity_rows("item", items)]
    return _section(
        "Error by activity",
        inline_svg(activity_figure(users, items), "activity", description),
        "The error by the number of training ratings that the tested user, or the tested item, has.",
        html_table("Error by training ratings", ["Of the", "Training ratings", "RMSE", "MAE", "Tested"], rows),
    )


def cold_start_section(result: EvaluationResult) -> str:
    """The error on new users by what is revealed of them."""
    curves = [curve for curve in result.cold_start if curve.points]
    if not curves:
        return ""
    description = "Line chart of the RMSE by number of ratings revealed of new users. " + " ".join(
        f"{curve.name}: {', '.join(f'{point.accuracy.rmse:.3f} with {point.revealed}' for point in curve.points)}."
        for curve in curves
    )
    rows = [
        [curve.name, f"{point.revealed}", *_accuracy_cells(point.accuracy)]
        for curve in curves
        for point in curve.points
    ]
    return _section(
        "New users",
        inline_svg(cold_start_figure(curves), "newcomers", description),
        "The error on users whom training has not seen, always on the same ratings.",
        html_table("Error on new users", ["Model", "Revealed", "RMSE", "MAE", "Tested"], rows),
    )


def cold_items_section(result: EvaluationResult) -> str:
    """The error on new items; a table only."""
    if not result.cold_items:
        return ""
    rows = [[entry.name, *_accuracy_cells(entry.accuracy)] for entry in result.cold_items]
    table = html_table("Error on items that training has not seen", ["Model", "RMSE", "MAE", "Tested"], rows)
    return f"<section>\n<h2>New items</h2>\n{table}\n</section>"


def _section(title: str, picture: Markup, caption: str, numbers: Markup) -> str:
    return (
        f"<section>\n<h2>{escape(title)}</h2>\n<figure>\n{picture}\n<figcaption>{escape(caption)}</figcaption>\n"
        f"</figure>\n<details>\n<summary>The numbers</summary>\n{numbers}\n</details>\n</section>"
    )


def _activity_rows(name: str, bins: Iterable[ActivityBin]) -> list[list[str]]:
    return [[name, part.label, *_accuracy_cells(part.accuracy)] for part in bins]


def _accuracy_cells(accuracy: Accuracy) -> list[str]:
    return [f"{accuracy.rmse:.4f}", f"{accuracy.mae:.4f}", f"{accuracy.rows:,}"]


def _number(value: float | None) -> str:
    return NOT_DEFINED if value is None else f"{value:.4f}"
