"""`rankserve rank`."""

from pathlib import Path
from typing import Literal

import click

from rankserve_client.cli import output
from rankserve_client.cli.completing import model_names, model_versions
from rankserve_client.cli.connection import connect, server_options
from rankserve_client.cli.rank_output import print_table, to_json
from rankserve_client.cli.user_options import parse_features, parse_ratings, user_of
from rankserve_client.client import RankingClient
from rankserve_client.errors import RankServeError
from rankserve_client.ranking import Ranking

_CATALOGUE_TOP_K = 10

_EPILOG = """\b
Examples:
  rankserve rank --user 42 204 141 131
  rankserve rank --user 42 --top-k 20 --exclude-seen
  rankserve rank --history 50=5 --history 181=4.5 --feature age=24
  rankserve rank --history-file ratings.csv --rank-by choice 204 141 131
  rankserve rank --user 42 204 141 131 --json | jq '.items[0].title'

\b
--json prints one object:
  user_id, user_known
  user_basis          what the user was scored by: known, known+history, history,
                      features, history+features or average
  model               {name, version} that answered
  rank_by             rating or choice
  items               [{rank, item_id, title, score}], score on the scale of the ratings;
                      where ranked by choice with choice_score: the difference of two
                      is the logarithm of how many times likelier one is chosen
  unknown_item_ids    candidates that the model does not know
  described_item_ids  those of them that were scored by a description"""


@click.command(epilog=_EPILOG)
@click.option(
    "--user",
    "user_id",
    type=int,
    metavar="ID",
    help="The user to rank for. Needed unless ratings or features are given: then a user unknown to the model.",
)
@click.argument("candidates", type=int, nargs=-1, metavar="[CANDIDATE]...")
@click.option(
    "--history",
    "ratings",
    callback=parse_ratings,
    multiple=True,
    metavar="ITEM=RATING",
    help="What this user has rated, beside the training data. Can be repeated.",
)
@click.option(
    "--history-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The same from a CSV file: item,rating in each line, with or without that as its header.",
)
@click.option(
    "--feature",
    "features",
    callback=parse_features,
    multiple=True,
    metavar="NAME=VALUE",
    help="What is known of a user that the model does not know, such as age=24. Can be repeated.",
)
@click.option(
    "--rank-by",
    type=click.Choice(["rating", "choice"]),
    help="By predicted rating, or by how likely the user is to choose an item. Default: the server's, which is the "
    "rating of candidates and, where the model can, the choice from the whole catalogue.",
)
@click.option(
    "--top-k",
    type=click.IntRange(min=1),
    metavar="K",
    help=f"Print only the best K. Default: all candidates; {_CATALOGUE_TOP_K} of the whole catalogue.",
)
@click.option("--model", metavar="NAME", shell_complete=model_names, help="Default: the server's default model.")
@click.option(
    "--version",
    type=click.IntRange(min=1),
    metavar="N",
    shell_complete=model_versions,
    help="Default: the model's current version.",
)
@click.option("--alias", metavar="NAME", help="A name that the operator has given to a version.")
@click.option("--exclude-seen", is_flag=True, help="Leave out items that the user has rated.")
@click.option("--exclude", type=int, multiple=True, metavar="ID", help="Leave out this item. Can be repeated.")
@click.option("--as-sent", is_flag=True, help="Keep the order of the candidates instead of the best first.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; its keys are below.")
@server_options
def rank(
    user_id: int | None,
    candidates: tuple[int, ...],
    ratings: tuple[tuple[int, float], ...],
    history_file: Path | None,
    features: tuple[tuple[str, str], ...],
    rank_by: Literal["rating", "choice"] | None,
    top_k: int | None,
    model: str | None,
    version: int | None,
    alias: str | None,
    exclude_seen: bool,
    exclude: tuple[int, ...],
    as_sent: bool,
    as_json: bool,
    servers: tuple[str, ...],
    timeout: float,
) -> None:
    """Rank items for a user by predicted rating or by likely choice.

    The items are the CANDIDATE ids, or the whole catalogue of the model where there are none.
    """
    if version is not None and alias is not None:
        raise click.UsageError("--version and --alias exclude each other.")
    user = user_of(user_id, ratings, history_file, features)
    with connect(servers, timeout) as client:
        try:
            ranking = client.rank(
                user.user_id,
                candidates or None,
                top_k=top_k or (0 if candidates else _CATALOGUE_TOP_K),
                model=model,
                version=version,
                alias=alias,
                history=user.history,
                exclude_seen=exclude_seen,
                exclude=exclude,
                order="as_sent" if as_sent else "score",
                titles=True,
                rank_by=rank_by or "default",
                user_features=user.features,
            )
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        if as_json:
            output.print_json(to_json(user.user_id, ranking))
        else:
            print_table(user, ranking, _highest_rating(client, ranking))


def _highest_rating(client: RankingClient, ranking: Ranking) -> float | None:
    """The top of the model's scale; None, so no stars, where the server cannot tell (any more)."""
    try:
        return client.model(ranking.model_name, version=ranking.model_version).rating_max
    except RankServeError:
        return None
