"""`rankserve score`."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from rankserve_server.storage.models_place import ModelsPlace
from rankserve_server.terminal import progress_bar

if TYPE_CHECKING:
    from rankserve_server.scoring.scoring_plan import Order
    from rankserve_server.scoring.scoring_run import Engine, Outcome

_FILE = click.Path(path_type=Path)
# Not checked for being readable: it is written.
_OUTPUT = click.Path(path_type=Path, readable=False)
_USERS_PER_FILE = 5_000
_COUNT = click.IntRange(1, 2**31 - 1)
_MAX_TABLE_MIB = 2_048

_EPILOG = """\b
Examples:
  rankserve score --model models/movielens --output scores --top-k 100
  rankserve score --model models/movielens/3 --output scores --top-k 20 \\
      --users active.txt --items in-stock.txt --exclude-seen

\b
Columns of DIR/part-*.parquet, a row for each user and item, users in their
order and the items of one best first:
  user_id       int64
  rank          int32, from 1
  item_id       int64
  score         float32, the predicted rating
  choice_score  float32, only where ranked by choice

\b
--json writes one object: model, version, output, users, unknown_users, items,
unknown_items, repeated_ids, rows, files, files_written, users_scored, seconds,
pairs_per_second"""


@click.command(epilog=_EPILOG)
@click.option(
    "--model",
    type=ModelsPlace(),
    required=True,
    help="MODELS_DIR/NAME (its newest version) or MODELS_DIR/NAME/VERSION; in a store, a URL (the extra is `storage`).",
)
@click.option("--output", type=_FILE, required=True, metavar="DIR", help="Where the files go; it is made.")
@click.option("--top-k", type=_COUNT, required=True, help="How many items of each user, the best first.")
@click.option("--users", type=_FILE, metavar="FILE", help="Ids, one a line.  [default: all users of the version]")
@click.option("--items", type=_FILE, metavar="FILE", help="Ids, one a line.  [default: the whole catalogue]")
@click.option(
    "--rank-by",
    type=click.Choice(["rating", "choice"]),
    help="By predicted rating, or by how likely the user is to choose an item.  [default: as 'rankserve rank']",
)
@click.option("--exclude-seen", is_flag=True, help="Leave out what a user has rated in the training data.")
@click.option(
    "--users-per-file",
    default=_USERS_PER_FILE,
    show_default=True,
    type=_COUNT,
    help="How many users a file has. What a kill loses is at most one file of each process.",
)
@click.option(
    "--processes",
    type=click.IntRange(1, 1_024),
    help="How many score at the same time; each holds the model.  [default: the processors]",
)
@click.option(
    "--engine",
    default="local",
    show_default=True,
    type=click.Choice(["local", "ray"]),
    help="This machine's processes, or Ray Data's actors (the extra is `ray`): with RAY_ADDRESS those of a cluster, "
    "whose machines all see the same files.",
)
@click.option("--overwrite", is_flag=True, help="Remove the scores that DIR holds, instead of going on with them.")
@click.option(
    "--trusted-key",
    "trusted_keys",
    type=_FILE,
    multiple=True,
    metavar="FILE",
    help="Score only with a version that the holder of this key (PEM, public) has signed. Can be repeated.",
)
@click.option(
    "--max-table-mib",
    default=_MAX_TABLE_MIB,
    show_default=True,
    type=click.IntRange(0, 2**31 - 1),
    help="As of 'rankserve serve', whose scores these then are to the last bit.",
)
@click.option("--json", "json_file", type=_OUTPUT, help="Also write what was done to this file; its keys are below.")
def score(
    model: Path | str,
    output: Path,
    top_k: int,
    users: Path | None,
    items: Path | None,
    rank_by: "Order | None",
    exclude_seen: bool,
    users_per_file: int,
    processes: int | None,
    engine: Literal["local", "ray"],
    overwrite: bool,
    trusted_keys: tuple[Path, ...],
    max_table_mib: int,
    json_file: Path | None,
) -> None:
    """Score all users of a version, or those of a file, and write the best items of each to Parquet files.

    The scores and their order are those of 'rankserve rank', to the last bit. Files appear whole, and `_SUCCESS` behind
    the last one. A run that was stopped, however that was, goes on when the same command is given again.
    """
    from rankserve_server.scoring.errors import ScoringError
    from rankserve_server.scoring.scoring_run import Request, ScoringRun
    from rankserve_training.artifact.output_files import why_unwritable

    if json_file is not None and (reason := why_unwritable(json_file)):
        raise click.BadParameter(f"{json_file} cannot be written: {reason}", param_hint="--json")
    request = Request(
        model=model,
        output=output,
        top_k=top_k,
        users=users,
        items=items,
        rank_by=rank_by or "default",
        exclude_seen=exclude_seen,
        users_per_file=users_per_file,
        max_table_mib=max_table_mib,
        trusted_keys=trusted_keys,
        overwrite=overwrite,
    )
    try:
        run = ScoringRun(request)
        with progress_bar(f"Scoring users with {run.plan.model}/{run.plan.version}") as progress:
            outcome = run.write(_engine(engine, processes or len(os.sched_getaffinity(0))), progress)
    except ScoringError as error:
        raise click.ClickException(str(error)) from error
    if json_file is not None:
        json_file.write_text(json.dumps(outcome.to_json(), indent=2) + "\n", encoding="utf-8")
    _print(outcome)


def _engine(name: Literal["local", "ray"], processes: int) -> "Engine":
    if name == "ray":
        from rankserve_server.scoring.on_ray import write_on_ray

        return lambda job, parts: write_on_ray(job, parts, processes)
    from rankserve_server.scoring.processes import write_in_processes

    return lambda job, parts: write_in_processes(job, parts, processes)


def _print(outcome: "Outcome") -> None:
    notes = [
        (outcome.repeated_ids, "Repeated ids, left out"),
        (outcome.unknown_users, "Users unknown to the model, scored as new ones"),
        (outcome.unknown_items, "Items unknown to the model, scored as new ones"),
    ]
    for count, what in notes:
        if count:
            click.echo(f"{what}: {count:,}", err=True)
    click.echo(
        f"{outcome.model}/{outcome.version}: the best of {outcome.items:,} items for {outcome.users:,} users in "
        f"{outcome.output}: {outcome.rows:,} rows in {outcome.files:,} files"
    )
    if outcome.files_written < outcome.files:
        click.echo(f"{outcome.files - outcome.files_written:,} of the files were there already")
    if outcome.users_scored:
        click.echo(f"{outcome.seconds:.1f} s, {outcome.pairs_per_second:,} pairs of user and item a second")
