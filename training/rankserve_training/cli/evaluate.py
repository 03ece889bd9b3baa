"""`rankserve evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rankserve_training.cli.failures import one_line_failures
from rankserve_training.cli.models_place import ModelsPlace

if TYPE_CHECKING:
    from rankserve_training.artifact import Manifest
    from rankserve_training.data import Dataset

_FILE = click.Path(path_type=Path)
# Not checked for being readable: it is written.
_OUTPUT = click.Path(path_type=Path, readable=False)
_DATASET, _SEED, _FOLDS = "movielens/100k", 42, 5
# Those of `evaluation.trials`, named here so that `--help` does not import it.
_PROTOCOLS = ("split", "folds", "time", "catalogue", "new-users", "new-items")

_EPILOG = """\b
Examples:
  rankserve evaluate --model models/movielens --html report.html
  rankserve evaluate --model models/shop/3 --ratings newer.csv
  rankserve evaluate --preset two-tower --protocol folds
  rankserve evaluate --preset two-tower --protocol new-users
  rankserve evaluate --log requests.jsonl --ratings outcomes.csv

\b
Protocols, each of which trains and publishes nothing:
  split      a random fifth is tested, as the tutorial splits
  folds      random folds, each of which is tested once
  time       the last fifth by time is tested
  catalogue  a random quarter is tested
  new-users  users hidden from training, tested with 0 to 20 ratings revealed
  new-items  items hidden from training

\b
--json writes one object: name, version, protocol, rows, metrics, evaluation;
with --preset only what is in evaluation; with --log: log, rankings, bad_lines,
versions [{name, version, rankings, joined, rows, measures {key: {value, low, high, count}}}]"""


@click.command(epilog=_EPILOG)
@click.option(
    "--model",
    type=ModelsPlace(),
    metavar="DIR|URL",
    help="MODELS_DIR/NAME (its newest version) or MODELS_DIR/NAME/VERSION; also in a store.",
)
@click.option("--preset", metavar="NAME", help="Instead of a model: a recipe, which is trained by the --protocol.")
@click.option(
    "--log",
    "log_file",
    type=_FILE,
    help="Instead of both: a request log of `rankserve serve`, whose rankings are tested by the --ratings since.",
)
@click.option("--protocol", type=click.Choice(_PROTOCOLS), help="With --preset.  [default: split]")
@click.option("--folds", type=click.IntRange(2, 100), help="For the protocol folds.  [default: 5]")
@click.option("--dataset", metavar="NAME", help="With --preset: a known data set.  [default: movielens/100k]")
@click.option(
    "--ratings",
    type=_FILE,
    help="Ratings to test on; with --preset, to train on too.  [default: a known data set's]",
)
@click.option("--items", type=_FILE, help="With --preset: titles and genres of your items.")
@click.option("--users", type=_FILE, help="With --preset: features of your users.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="With --preset: of weights and rows.  [default: 42]")
@click.option("--compare", is_flag=True, help="With --preset: beside Surprise's SVD and SVD++, where it is installed.")
@click.option("--html", "html_file", type=_OUTPUT, help="Also write a report with pictures to this file.")
@click.option("--json", "json_file", type=_OUTPUT, help="Also write the result to this file; its keys are below.")
def evaluate(
    model: Path | str | None,
    preset: str | None,
    log_file: Path | None,
    protocol: str | None,
    folds: int | None,
    dataset: str | None,
    ratings: Path | None,
    items: Path | None,
    users: Path | None,
    seed: int | None,
    compare: bool,
    html_file: Path | None,
    json_file: Path | None,
) -> None:
    """Measure how good predictions and rankings are on ratings that were not trained on.

    Given a model and the ratings that it was trained on, it tests those that were held out; given others, all of them.
    Given a preset, it trains by one of the protocols below and tests what that holds out. Given a request log, it tests
    the rankings that a server has given.
    """
    from rankserve_training.cli.report import check_writable

    check_writable(json_file)
    check_writable(html_file, "--html")
    only_with_preset = {
        "--protocol": protocol,
        "--folds": folds,
        "--dataset": dataset,
        "--items": items,
        "--users": users,
        "--seed": seed,
        "--compare": compare or None,
    }
    if model is not None and preset is not None:
        raise click.UsageError("--model and --preset exclude each other")
    if log_file is not None and (model is not None or preset is not None):
        raise click.UsageError("--log says which models have ranked: it excludes --model and --preset")
    if preset is None:
        if model is None and log_file is None:
            raise click.UsageError(
                "give --model, to test it, --preset, to train and test by it, or --log, to test what was ranked"
            )
        for option, value in only_with_preset.items():
            if value is not None:
                raise click.UsageError(f"{option} goes with --preset, not with --{'model' if model else 'log'}")
        if log_file is not None:
            _evaluate_log(log_file, ratings, html_file, json_file)
        elif model is not None:
            _evaluate_model(model, ratings, html_file, json_file)
        return
    if folds is not None and protocol != "folds":
        raise click.UsageError("--folds goes with --protocol folds")
    if dataset is not None and ratings is not None:
        raise click.UsageError("--dataset and --ratings exclude each other")
    with one_line_failures():
        from rankserve_training.cli.report import progress_console, show_result, write_json
        from rankserve_training.data import load
        from rankserve_training.presets import preset_named

        preset_named(preset)
        console = progress_console()
        data = load(dataset or _DATASET, ratings=ratings, items=items, users=users, announce=console.print)
        from rankserve_training.evaluation.trials import Trial
        from rankserve_training.train import TrainingSettings

        seed = _SEED if seed is None else seed
        trial = Trial(data, TrainingSettings(preset, None, seed, seed), console, compare)
        result = trial.run(protocol or _PROTOCOLS[0], folds or _FOLDS)
    show_result(result, html_file)
    write_json(json_file, result.to_json())


def _evaluate_log(log_file: Path, ratings: Path | None, html_file: Path | None, json_file: Path | None) -> None:
    if ratings is None:
        raise click.UsageError("--log needs --ratings: what was rated since")
    if html_file is not None:
        raise click.UsageError("--html is for --model and --preset, not for --log")
    with one_line_failures():
        from rankserve_training.cli.logged import evaluate_logged

        evaluate_logged(log_file, ratings, json_file)


def _evaluate_model(model: Path | str, ratings: Path | None, html_file: Path | None, json_file: Path | None) -> None:
    from rankserve_training.artifact import read_artifact
    from rankserve_training.artifact.storage.fetching import version_at
    from rankserve_training.cli.report import print_figures, show_result, working, write_json

    with one_line_failures():
        artifact = read_artifact(version_at(model))
        manifest = artifact.manifest
        data = _load(manifest, ratings)
        from rankserve_training.evaluate import evaluate_version

        with working("Measuring"):
            evaluation = evaluate_version(artifact, data)
    origin = "elsewhere" if manifest.split.method == "none" else f"on {manifest.dataset.name}"
    click.echo(f"{manifest.name}/{manifest.version}, trained {origin}")
    print_figures(evaluation.metrics, f"{evaluation.rows:,} {evaluation.protocol}", manifest.rating_scale)
    if evaluation.result is not None:
        show_result(evaluation.result, html_file)
    elif html_file is not None:
        raise click.UsageError("--html needs the ratings that the model was trained on, for the baselines")
    result = {
        "name": manifest.name,
        "version": manifest.version,
        "protocol": evaluation.protocol,
        "rows": evaluation.rows,
        "metrics": evaluation.metrics,
        "evaluation": None if evaluation.result is None else evaluation.result.to_json(),
    }
    write_json(json_file, result)


def _load(manifest: "Manifest", ratings: Path | None) -> "Dataset":
    from rankserve_training.cli.report import progress_console
    from rankserve_training.data import DATASETS, DataError, RatingScale, load

    if ratings is not None:
        scale = RatingScale(manifest.rating_scale.minimum, manifest.rating_scale.maximum)
        return load(ratings=ratings, scale=scale)
    if manifest.split.method == "none":
        raise DataError(
            f"{manifest.name}/{manifest.version} was trained elsewhere; give ratings to test it on, which it was not "
            "trained on, with --ratings"
        )
    if manifest.dataset.name not in DATASETS:
        raise DataError(
            f"{manifest.name}/{manifest.version} was trained on {manifest.dataset.name}, a file; give it, or other "
            "ratings to test on, with --ratings"
        )
    return load(manifest.dataset.name, announce=progress_console().print)
