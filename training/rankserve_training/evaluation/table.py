"""The measures as a table on the terminal."""

from rich.table import Table
from rich.text import Text

from rankserve_training.evaluation.measures import MEASURES, NOT_DEFINED, best, interval_text, value_text
from rankserve_training.evaluation.result import EvaluationResult


def measures_table(result: EvaluationResult) -> Table:
    """A row a measure, a column a model; the best of a row is bold, intervals stand under the values."""
    title = f"{result.model}/{result.version} on {result.counts.test_ratings:,} ratings of {result.dataset}"
    table = Table(title=Text(title), caption=Text(result.protocol), title_justify="left", caption_justify="left")
    table.add_column("")
    for model in result.models:
        table.add_column(Text(model.name), justify="right")
    for info in MEASURES:
        row = [model.measure(info.key) for model in result.models]
        found = [measure for measure in row if measure is not None]
        if not found:
            continue
        leading = best(found)
        cells = [Text(NOT_DEFINED if measure is None else value_text(measure)) for measure in row]
        for measure, cell in zip(row, cells, strict=True):
            if measure is None:
                continue
            if measure in leading:
                cell.stylize("bold")
            if interval := interval_text(measure):
                cell.append(f"\n{interval}", style="dim")
        arrow = "↓" if info.better == "lower" else "↑"
        table.add_row(Text(f"{info.title} {arrow}"), *cells)
    return table


def cold_start_table(result: EvaluationResult) -> Table:
    """RMSE of hidden users by how many of their ratings are revealed, and of hidden items; a row a model."""
    table = Table(title=Text("RMSE of strangers"), title_justify="left")
    table.add_column("")
    if result.cold_start:
        for point in result.cold_start[0].points:
            table.add_column(f"{point.revealed} revealed", justify="right")
        for curve in result.cold_start:
            table.add_row(Text(curve.name), *(f"{point.accuracy.rmse:.4f}" for point in curve.points))
        return table
    table.add_column("hidden items", justify="right")
    for found in result.cold_items:
        table.add_row(Text(found.name), f"{found.accuracy.rmse:.4f}")
    return table
