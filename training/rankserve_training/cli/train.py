"""`rankserve train`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rankserve_training.cli.failures import one_line_failures
from rankserve_training.cli.models_place import ModelsPlace
from rankserve_training.cli.processes import ProcessOptions, begin, process_options, run_elsewhere

if TYPE_CHECKING:
    from rankserve_training.artifact.storage.publishing import PublishedVersion

_FILE = click.Path(path_type=Path)
# Not checked for being readable: it is written.
_OUTPUT = click.Path(path_type=Path, readable=False)
_DATASET, _NAME = "movielens/100k", "movielens"
_SEED = click.IntRange(0, 2**31 - 1)

_EPILOG = """\b
Examples:
  rankserve train --preset tutorial
  rankserve train --name shop --ratings ratings.csv --items items.csv

\b
Rating files are tab-separated as GroupLens' u.data, comma-separated with a header
as its ratings.csv, or RecBole's .inter; ids are positive integers, gaps are allowed.

\b
--json writes one object: name, version, directory, dataset {name, fingerprint,
  rating_count}, preset, seed, split_seed, epochs, seconds, train_rows, test_rows, metrics"""


@click.command(epilog=_EPILOG)
@click.option(
    "--dataset",
    metavar="NAME",
    help="A known data set: movielens/100k, 1m, 20m, 25m or latest-small.  [default: movielens/100k]",
)
@click.option("--preset", default="two-tower", show_default=True, metavar="NAME", help="The recipe; or tutorial.")
@click.option(
    "--models-dir",
    default="models",
    show_default=True,
    type=ModelsPlace(),
    metavar="DIR|URL",
    help="Where to publish: a directory, or a store such as s3://bucket/models.",
)
@click.option("--name", help="The model's name.  [default: movielens; needed with --ratings]")
@click.option(
    "--epochs", type=click.IntRange(1, 10_000), help="Passes over the ratings.  [default: the preset's choice]"
)
@click.option("--seed", default=42, show_default=True, type=_SEED, help="Of the initial weights.")
@click.option("--split-seed", default=42, show_default=True, type=_SEED, help="Of the choice of test rows.")
@click.option("--ratings", type=_FILE, help="Ratings of your own, instead of --dataset.")
@click.option("--test-ratings", type=_FILE, help="Ratings to test on.  [default: a fifth of the ratings]")
@click.option("--items", type=_FILE, help="Titles and genres of your items.")
@click.option("--users", type=_FILE, help="Features of your users.")
@click.option(
    "--checkpoints",
    type=_FILE,
    help="Keep the state after each epoch in this directory, and go on from it if it is there.",
)
@process_options
@click.option("--tensorboard", type=_FILE, help="Write logs for TensorBoard to this directory.")
@click.option("--sign-key", type=_FILE, help="Sign the version with this Ed25519 key (PEM); see 'rankserve serve'.")
@click.option("--html", "html_file", type=_OUTPUT, help="Also write a report with pictures to this file.")
@click.option("--json", "json_file", type=_OUTPUT, help="Also write the result to this file; its keys are below.")
@click.pass_context
def train(
    context: click.Context,
    dataset: str | None,
    preset: str,
    models_dir: Path | str,
    name: str | None,
    epochs: int | None,
    seed: int,
    split_seed: int,
    ratings: Path | None,
    test_ratings: Path | None,
    items: Path | None,
    users: Path | None,
    checkpoints: Path | None,
    processes: int | None,
    coordinator: str | None,
    process_id: int | None,
    join_timeout: int,
    shard_tables: bool,
    tensorboard: Path | None,
    sign_key: Path | None,
    html_file: Path | None,
    json_file: Path | None,
) -> None:
    """Train a model on ratings and publish it as the next version of its name.

    A fifth of the ratings is held out; the model is measured on it beside two baselines. Interrupted, it publishes
    nothing.
    """
    together = ProcessOptions(processes, coordinator, process_id, join_timeout, shard_tables)
    together.check()
    if run_elsewhere(together, context):
        return
    # Keras and TensorFlow are imported only now, so that `--help` and a wrong option are answered at once.
    from rankserve_training.artifact.signing import read_signing_key
    from rankserve_training.artifact.storage.publishing import check_anywhere
    from rankserve_training.cli.report import (
        check_writable,
        print_figures,
        print_ranking_figures,
        progress_console,
        working,
        write_json,
    )
    from rankserve_training.data import load
    from rankserve_training.presets import preset_named
    from rankserve_training.towers.recipe import TwoTowerRecipe

    check_writable(json_file)
    check_writable(html_file, "--html")
    if ratings is not None and dataset is not None:
        raise click.UsageError("--dataset and --ratings exclude each other")
    if ratings is not None and name is None:
        raise click.UsageError("--ratings needs --name: what is the model to be called?")
    dataset, name = dataset or _DATASET, name or _NAME
    with one_line_failures():
        check_anywhere(models_dir, name)
        key = None if sign_key is None else read_signing_key(sign_key)
        recipe = preset_named(preset)
        if checkpoints is not None and not isinstance(recipe, TwoTowerRecipe):
            raise click.UsageError(f"the preset {preset} is trained in seconds and keeps no --checkpoints")
        if (together.several or shard_tables) and not isinstance(recipe, TwoTowerRecipe):
            raise click.UsageError(f"the preset {preset} is trained in seconds, by one process on one device")
        others = begin(together)
        console = progress_console()
        data = load(
            dataset, ratings=ratings, test_ratings=test_ratings, items=items, users=users, announce=console.print
        )
        from rankserve_training.evaluation.subjects import evaluate_trained
        from rankserve_training.evaluation.summary import ranking_metrics
        from rankserve_training.packaging import publish_model
        from rankserve_training.train import TrainingSettings, described, train_prepared

        settings = TrainingSettings(preset, epochs, seed, split_seed, checkpoints, tensorboard)
        console.print(f"Training preset {preset} on {len(data.ratings):,} ratings of {data.name} ({data.source}).")
        description, rows = described(data, settings)
        # Ids and times take twice the memory that the rows do, and training takes the most of all.
        del data
        trained = train_prepared(description, rows, settings, console, others)
        with working("Measuring on the held-out ratings"):
            result = evaluate_trained(trained, name)
        trained = replace(trained, metrics=trained.metrics | ranking_metrics(result))
        with working("Publishing"):
            published = publish_model(trained, models_dir, name, key)
    manifest = published.manifest
    print_figures(manifest.metrics, f"{manifest.split.test_count:,} held-out ratings", manifest.rating_scale)
    print_ranking_figures(result)
    if html_file is not None:
        from rankserve_training.evaluation.report import write_report

        write_report(replace(result, version=str(manifest.version)), html_file)
    click.echo(f"Published {manifest.name}/{manifest.version} in {published.directory}")
    write_json(json_file, _as_json(published))


def _as_json(published: "PublishedVersion") -> dict[str, Any]:
    manifest = published.manifest
    return {
        "name": manifest.name,
        "version": manifest.version,
        "directory": str(published.directory),
        "dataset": {
            "name": manifest.dataset.name,
            "fingerprint": manifest.dataset.fingerprint,
            "rating_count": manifest.dataset.rating_count,
        },
        "preset": manifest.training.preset,
        "seed": manifest.training.seed,
        "split_seed": manifest.split.seed,
        "epochs": manifest.training.epochs,
        "seconds": manifest.training.seconds,
        "train_rows": manifest.split.train_count,
        "test_rows": manifest.split.test_count,
        "metrics": manifest.metrics,
    }
