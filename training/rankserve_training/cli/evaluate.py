"""`rankserve evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rankserve_training.cli.failures import one_line_failures

if TYPE_CHECKING:
    from rankserve_training.artifact import Manifest
    from rankserve_training.data import Dataset

_FILE = click.Path(path_type=Path)
# Not checked for being readable: it is written.
_OUTPUT = click.Path(path_type=Path, readable=False)

_EPILOG = """\b
Examples:
  rankserve evaluate --model models/movielens
  rankserve evaluate --model models/shop/3 --ratings newer.csv

\b
--json writes one object: name, version, protocol, rows, metrics"""


@click.command(epilog=_EPILOG)
@click.option(
    "--model", required=True, type=_FILE, help="MODELS_DIR/NAME (its newest version) or MODELS_DIR/NAME/VERSION."
)
@click.option("--ratings", type=_FILE, help="Ratings to test on.  [default: those held out of a known data set]")
@click.option("--json", "json_file", type=_OUTPUT, help="Also write the result to this file; its keys are below.")
def evaluate(model: Path, ratings: Path | None, json_file: Path | None) -> None:
    """Measure how far a version's predictions are from ratings that it was not trained on.

    Given the ratings that the version was trained on, it tests those that were held out; given others, all of them.
    """
    from rankserve_training.artifact import read_artifact, resolve_version
    from rankserve_training.cli.report import check_writable, print_figures, write_json

    check_writable(json_file)
    with one_line_failures():
        artifact = read_artifact(resolve_version(model))
        manifest = artifact.manifest
        data = _load(manifest, ratings)
        from rankserve_training.evaluate import evaluate_version

        evaluation = evaluate_version(artifact, data)
    click.echo(f"{manifest.name}/{manifest.version}, trained on {manifest.dataset.name}")
    print_figures(evaluation.metrics, f"{evaluation.rows:,} {evaluation.protocol}", manifest.rating_scale)
    result = {
        "name": manifest.name,
        "version": manifest.version,
        "protocol": evaluation.protocol,
        "rows": evaluation.rows,
        "metrics": evaluation.metrics,
    }
    write_json(json_file, result)


def _load(manifest: "Manifest", ratings: Path | None) -> "Dataset":
    from rankserve_training.cli.report import progress_console
    from rankserve_training.data import DATASETS, DataError, RatingScale, load

    if ratings is not None:
        scale = RatingScale(manifest.rating_scale.minimum, manifest.rating_scale.maximum)
        return load(ratings=ratings, scale=scale)
    if manifest.dataset.name not in DATASETS:
        raise DataError(
            f"{manifest.name}/{manifest.version} was trained on {manifest.dataset.name}, a file; give it, or other "
            "ratings to test on, with --ratings"
        )
    return load(manifest.dataset.name, announce=progress_console().print)
