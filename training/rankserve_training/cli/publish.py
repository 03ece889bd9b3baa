"""`rankserve publish`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rankserve_training.cli.failures import one_line_failures
from rankserve_training.cli.models_place import ModelsPlace

if TYPE_CHECKING:
    from rankserve_training.model.own_model import OwnModel
    from rankserve_training.own_catalog import Numbering, OwnCatalog, Unknown
    from rankserve_training.own_packaging import OwnRankingModel

_FILE = click.Path(path_type=Path)

_EPILOG = """\b
Examples:
  rankserve publish model.keras --name shop --items items.csv --users users.csv
  rankserve publish model.keras --name shop --items items.csv --ratings ratings.csv
  rankserve publish model.keras --name shop --items u.item --users u.user --ids direct

\b
The model has two inputs, the user's and the item's: int32 or int64, of shape (n,) or
(n, 1). It is told by its name which one is the user's (user..., item...), or by the
order of a list. It has one output, the score of each pair: float32, (n, 1) or (n,).
Ids go into Embedding layers. It is a Functional model of Keras' own layers, without
Lambda layers or code of its own. Items and users are described by files as
'rankserve train' takes them; a file of users may hold ids alone (userId)."""


@click.command(epilog=_EPILOG)
@click.argument("model_file", metavar="MODEL.keras", type=_FILE)
@click.option("--name", required=True, help="The model's name.")
@click.option("--items", required=True, type=_FILE, help="The items that it was trained with: ids, titles, genres.")
@click.option("--users", type=_FILE, help="The users that it was trained with.  [default: those of the ratings]")
@click.option("--ratings", type=_FILE, help="What users have seen, for --exclude-seen of 'rankserve rank'.")
@click.option(
    "--models-dir",
    default="models",
    show_default=True,
    type=ModelsPlace(),
    metavar="DIR|URL",
    help="Where to publish: a directory, or a store such as s3://bucket/models.",
)
@click.option(
    "--ids",
    type=click.Choice(["sorted", "lines", "direct"]),
    help="Which rows the known ids have: in ascending order, in the order of their file, or the row of the id's own "
    "number.  [default: ascending, in files that ascend]",
)
@click.option(
    "--first-row",
    default="1",
    show_default=True,
    type=click.Choice(["0", "1"]),
    help="The row of the first known id; nothing for --ids direct.",
)
@click.option(
    "--unknown",
    type=click.Choice(["row-0", "mean"]),
    help="What unknown ids get: row 0 of each table, or the average of its known rows.  [default: row-0; mean with "
    "--first-row 0 or --ids direct]",
)
@click.option(
    "--scale",
    nargs=2,
    type=float,
    metavar="LOW HIGH",
    help="The scale of the scores.  [default: that of the ratings, else what scores there are]",
)
@click.option("--sign-key", type=_FILE, help="Sign the version with this Ed25519 key (PEM); see 'rankserve serve'.")
def publish(
    model_file: Path,
    name: str,
    items: Path,
    users: Path | None,
    ratings: Path | None,
    models_dir: Path | str,
    ids: "Numbering | None",
    first_row: str,
    unknown: "Unknown | None",
    scale: tuple[float, float] | None,
    sign_key: Path | None,
) -> None:
    """Publish your own trained Keras 3 model as the next version of its name.

    Nothing in the file is run. The model is compared with what is published, which is read again before it gets its
    place. Interrupted or refused, it publishes nothing.
    """
    # Keras is imported only now, so that `--help` and a wrong option are answered at once.
    from rankserve_training.artifact.manifest import ScaleEntry
    from rankserve_training.artifact.signing import read_signing_key
    from rankserve_training.artifact.storage.publishing import check_anywhere

    if scale is not None and not float("-inf") < scale[0] < scale[1] < float("inf"):
        raise click.BadParameter(f"it should rise, {scale[0]:g} {scale[1]:g} does not", param_hint="--scale")
    with one_line_failures():
        check_anywhere(models_dir, name)
        key = None if sign_key is None else read_signing_key(sign_key)
        from rankserve_training.cli.report import is_quiet, working
        from rankserve_training.data.tfds_quiet import import_tensorflow_quietly
        from rankserve_training.model.own_model import read_own_model
        from rankserve_training.own_catalog import RowNumbering, read_own_catalog
        from rankserve_training.own_packaging import prepare_own_model, publish_own_model

        catalog = read_own_catalog(items, users, ratings, RowNumbering(ids, int(first_row), unknown))
        import_tensorflow_quietly()
        with working("Reading the model, and comparing it with what is published"):
            own = read_own_model(model_file)
            model = prepare_own_model(own, catalog)
            published = publish_own_model(
                model,
                catalog,
                models_dir,
                name,
                scale=None if scale is None else ScaleEntry(*scale),
                dataset_name="" if ratings is None else ratings.name,
                sign_key=key,
            )
    if not is_quiet():
        for line in _understood(own, catalog, model):
            click.echo(line)
    manifest = published.manifest
    click.echo(f"Published {manifest.name}/{manifest.version} in {published.directory}")


def _understood(own: "OwnModel", catalog: "OwnCatalog", model: "OwnRankingModel") -> Iterator[str]:
    """How the model and the files were read."""
    for side, tables in own.tables.items():
        count = len(catalog.users if side == "user" else catalog.catalog)
        layers = ", ".join(table.name for table in tables)
        yield f"{side}s: {count:,}, input {own.inputs[side]!r}, tables {layers}; {_unknown(catalog, side)}"
    yield _served(model)
    if catalog.left_out:
        yield f"{catalog.left_out:,} ratings of unknown users or items are left out of what users have seen."


def _unknown(catalog: "OwnCatalog", side: str) -> str:
    row_0 = catalog.places[side].unknown == 0
    return f"unknown ones get {'row 0' if row_0 else 'the average row'}"


def _served(model: "OwnRankingModel") -> str:
    from rankserve_training.model import embedding_mlp

    if model.architecture == embedding_mlp.ARCHITECTURE:
        return "It has the form of the tutorial's model, and is served folded into tables."
    return "It is served by its own layers, compiled."
