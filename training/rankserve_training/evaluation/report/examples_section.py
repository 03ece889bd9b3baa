"""Example users in the report."""

from html import escape

from rankserve_training.evaluation.examples import ExampleUser
from rankserve_training.evaluation.report.html_table import Markup, html_table
from rankserve_training.evaluation.result import EvaluationResult


def examples_section(result: EvaluationResult) -> str:
    """What some users rated and what is recommended to them; "" where there are none."""
    if not result.examples:
        return ""
    shown = "\n".join(_example(example) for example in result.examples)
    return f"<section>\n<h2>Examples</h2>\n{shown}\n</section>"


def _example(example: ExampleUser) -> str:
    history = html_table(
        f"Rated highest among {example.history_count:,} training ratings of user {example.user}",
        ["Title", "Given"],
        [[entry.title, f"{entry.rating:g}"] for entry in example.history],
        "titles",
    )
    recommended = html_table(
        f"Recommended to user {example.user}; ratings held out: {example.held_out_count:,}",
        ["Title", "Predicted", "Held out"],
        [[entry.title, f"{entry.predicted:.2f}", _hit(entry.held_out)] for entry in example.recommended],
        "titles",
    )
    return (
        f'<section class="example">\n<h3>User {escape(example.user)}</h3>\n'
        f'<div class="grid">\n{history}\n{recommended}\n</div>\n</section>'
    )


def _hit(held_out: float | None) -> str:
    return "" if held_out is None else Markup(f'<span class="hit">✓ gave {held_out:g}</span>')
