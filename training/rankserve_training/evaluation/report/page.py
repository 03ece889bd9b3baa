"""The report as one HTML page."""

from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from rankserve_training.evaluation.report.examples_section import examples_section
from rankserve_training.evaluation.report.measures_section import differences_section, measures_section
from rankserve_training.evaluation.report.picture_sections import (
    activity_section,
    calibration_section,
    cold_items_section,
    cold_start_section,
    learning_curve_section,
)
from rankserve_training.evaluation.result import EvaluationResult


def write_report(result: EvaluationResult, file: Path) -> None:
    """Writes the report, in UTF-8; see `render_report`.

    Raises:
        OSError: where the file cannot be written.
    """
    file.write_text(render_report(result), encoding="utf-8")


def render_report(result: EvaluationResult) -> str:
    """The report as an HTML page that loads nothing: style and pictures are in it.

    Parts that were not measured are left out.
    """
    template = Template(files(__package__).joinpath("page.html").read_text(encoding="utf-8"))
    sections = (
        measures_section(result),
        differences_section(result),
        _in_a_grid(
            learning_curve_section(result),
            calibration_section(result),
            activity_section(result),
            cold_start_section(result),
        ),
        cold_items_section(result),
        examples_section(result),
    )
    return template.substitute(
        title=escape(f"Evaluation of {result.model}/{result.version}"),
        facts=_facts(result),
        sections="\n".join(section for section in sections if section),
    )


def _facts(result: EvaluationResult) -> str:
    counts = result.counts
    facts = (
        ("Model", f"{result.model}, version {result.version}"),
        ("Data", result.dataset),
        ("Protocol", result.protocol),
        ("Ratings", f"{counts.train_ratings:,} to train on, {counts.test_ratings:,} to test on"),
        ("Size", f"{counts.users:,} users, {counts.items:,} items"),
        ("Scale", f"{result.scale.minimum:g} to {result.scale.maximum:g}"),
    )
    entries = "\n".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts)
    return f"<dl>\n{entries}\n</dl>"


def _in_a_grid(*pictures: str) -> str:
    shown = "\n".join(picture for picture in pictures if picture)
    return f'<div class="grid">\n{shown}\n</div>' if shown else ""
