"""What the commands print: progress on stderr, results on stdout or as JSON in a file."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from rankserve_training.artifact.manifest import ScaleEntry
from rankserve_training.artifact.output_files import why_unwritable
from rankserve_training.moving import moves

if TYPE_CHECKING:
    from rankserve_training.evaluation.result import EvaluationResult

_QUIET = "rankserve.quiet"
_TABLE_WIDTH = 120
_RANKINGS = (
    ("Held-out items put into order", "ndcg_at_10", "biases"),
    ("The whole catalogue ranked", "catalogue_ndcg_at_10", "popularity"),
)
_MODELS = (("this model", "test_rmse"), ("biases only", "bias_only_rmse"), ("global mean", "global_mean_rmse"))


def is_quiet() -> bool:
    """Whether `--quiet` was given, which the command `rankserve` keeps for all that it runs."""
    context = click.get_current_context(silent=True)
    return bool(context and context.meta.get(_QUIET))


def progress_console() -> Console:
    """Where progress is shown: the terminal, also where the results go to a file; with `--quiet` nowhere."""
    return Console(stderr=True, highlight=False, quiet=is_quiet())


@contextmanager
def working(what: str) -> Iterator[None]:
    """Shows on a terminal that something takes its time, while this is open."""
    console = progress_console()
    if not moves(console):
        yield
        return
    with console.status(what):
        yield


def print_figures(metrics: Mapping[str, float], rows: str, scale: ScaleEntry) -> None:
    """Prints the RMSE of the model beside that of the baselines, on the scale of the ratings and on that of labels."""
    table = Table(title=f"RMSE on {rows}", title_justify="left")
    table.add_column("")
    table.add_column(f"ratings ({scale.minimum:g} to {scale.maximum:g})", justify="right")
    table.add_column("labels (0 to 1)", justify="right")
    for name, key in _MODELS:
        if key in metrics:
            table.add_row(name, f"{metrics[key]:.4f}", f"{metrics[key] / scale.span:.4f}")
    Console(highlight=False).print(table)


def print_ranking_figures(result: "EvaluationResult") -> None:
    """Prints a line for each kind of ranking, beside the baseline that is hard to beat there."""
    for words, key, baseline in _RANKINGS:
        measure = result.models[0].measure(key)
        if measure is None:
            continue
        other = next(model for model in result.models if model.name == baseline).measure(key)
        beside = "" if other is None else f" ({baseline} {other.value:.4f})"
        click.echo(f"{words}: nDCG@10 {measure.value:.4f}{beside}")


def show_result(result: "EvaluationResult", html_file: Path | None) -> None:
    """Prints what an evaluation found, and writes the report, if asked for."""
    from rankserve_training.evaluation.report import write_report
    from rankserve_training.evaluation.table import cold_start_table, measures_table

    # Where nothing says how wide the output is, narrower columns would be cut.
    console = Console(highlight=False, width=None if Console().is_terminal else _TABLE_WIDTH)
    console.print(measures_table(result))
    if result.cold_start or result.cold_items:
        console.print(cold_start_table(result))
    if html_file is not None:
        write_report(result, html_file)
        progress_console().print(f"Report written to {html_file}", soft_wrap=True)


def check_writable(file: Path | None, option: str = "--json") -> None:
    """Refuses a file that could not be written, before the work is done.

    Raises:
        click.BadParameter: saying why.
    """
    if file is not None and (reason := why_unwritable(file)):
        raise click.BadParameter(f"{file} cannot be written: {reason}", param_hint=option)


def write_json(json_file: Path | None, result: Mapping[str, Any]) -> None:
    """Writes one JSON object, if asked for."""
    if json_file is not None:
        json_file.write_text(json.dumps(result, indent=2, allow_nan=False) + "\n")
