"""The measures as tables of the report."""

from html import escape

from rankserve_training.evaluation.measures import (
    INFO,
    MEASURES,
    NOT_DEFINED,
    Measure,
    best,
    difference_text,
    interval_text,
    value_text,
)
from rankserve_training.evaluation.report.html_table import Markup, html_table
from rankserve_training.evaluation.result import EvaluationResult


def measures_section(result: EvaluationResult) -> str:
    """A row a measure, a column a model; "" where nothing was measured."""
    used = [info for info in MEASURES if any(model.measure(info.key) for model in result.models)]
    if not used:
        return ""
    rows = []
    for info in used:
        measures = [model.measure(info.key) for model in result.models]
        found = [measure for measure in measures if measure is not None]
        leading = best(found)
        cells = [_cell(measure, measure in leading) for measure in measures]
        name = Markup(f'{escape(info.title)} <span class="note">{info.better} is better</span>')
        rows.append([name, *cells, f"{found[0].count:,} {info.counted}"])
    headers = ["Measure", *(model.name for model in result.models), "Over"]
    table = html_table("Measures with 95 % intervals; the best is bold", headers, rows)
    meanings = "\n".join(f"<dt>{escape(info.title)}</dt><dd>{escape(info.explanation)}</dd>" for info in used)
    explained = f"<details>\n<summary>What the measures mean</summary>\n<dl>\n{meanings}\n</dl>\n</details>"
    return f"<section>\n<h2>Measures</h2>\n{table}\n{explained}\n</section>"


def differences_section(result: EvaluationResult) -> str:
    """The model less others; "" where they were not compared."""
    if not result.differences:
        return ""
    rows = [
        [INFO[difference.key].title, difference.against, difference_text(difference), difference.verdict]
        for difference in result.differences
    ]
    table = html_table(
        "The model less others on the same rows, with 95 % intervals",
        ["Measure", "Against", "Difference", "The model is"],
        rows,
    )
    return f"<section>\n<h2>Differences</h2>\n{table}\n</section>"


def _cell(measure: Measure | None, is_best: bool) -> Markup:
    if measure is None:
        return Markup(NOT_DEFINED)
    value = f"<strong>{value_text(measure)}</strong>" if is_best else value_text(measure)
    interval = interval_text(measure)
    return Markup(value + (f'<span class="note">{interval}</span>' if interval else ""))
