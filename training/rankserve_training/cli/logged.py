"""`rankserve evaluate --log`: reads, joins and prints."""

from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rankserve_training.cli.report import write_json
from rankserve_training.data.ratings_file import read_ratings
from rankserve_training.evaluation.logged import LoggedVersion, evaluate_log
from rankserve_training.evaluation.measures import INFO, NOT_DEFINED, interval_text, value_text
from rankserve_training.evaluation.request_log import read_request_log


def evaluate_logged(log_file: Path, outcomes_file: Path, json_file: Path | None) -> None:
    """Measures the rankings of a request log by what was rated since.

    Raises:
        DataError: where a file cannot be used, or the two have nothing in common.
    """
    outcomes = read_ratings(outcomes_file).ratings
    log = read_request_log(log_file)
    if log.bad_lines:
        click.echo(f"{log.bad_lines:,} lines of {log_file} are no rankings; they are left out", err=True)
    versions = evaluate_log(log, outcomes, outcomes_file)
    Console(highlight=False).print(_table(versions))
    result = {
        "log": str(log_file),
        "rankings": log.rankings,
        "bad_lines": log.bad_lines,
        "versions": [
            {**asdict(version), "measures": {measure.key: asdict(measure) for measure in version.measures}}
            for version in versions
        ],
    }
    write_json(json_file, result)


def _table(versions: list[LoggedVersion]) -> Table:
    """A column for each version."""
    table = Table(title="Rankings, by what their users have rated", title_justify="left")
    table.add_column("")
    for version in versions:
        table.add_column(Text(f"{version.name}/{version.version}"), justify="right")
    table.add_row("rankings", *(f"{version.rankings:,}" for version in versions))
    table.add_row("of these with rated items", *(f"{version.joined:,}" for version in versions))
    table.add_row("rated items", *(f"{version.rows:,}" for version in versions))
    keys = dict.fromkeys(measure.key for version in versions for measure in version.measures)
    for key in keys:
        info = INFO[key]
        cells = [_cell(version, key) for version in versions]
        table.add_row(Text(f"{info.title} {'↓' if info.better == 'lower' else '↑'}"), *cells)
    return table


def _cell(version: LoggedVersion, key: str) -> Text:
    measure = next((measure for measure in version.measures if measure.key == key), None)
    if measure is None:
        return Text(NOT_DEFINED)
    cell = Text(value_text(measure))
    if interval := interval_text(measure):
        cell.append(f"\n{interval}", style="dim")
    return cell
