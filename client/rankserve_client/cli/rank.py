"""`rankserve rank`."""

from typing import Any

import click
from rich.console import Console

from rankserve_client.cli import output
from rankserve_client.cli.connection import connect, server_options
from rankserve_client.client import RankingClient
from rankserve_client.errors import RankServeError
from rankserve_client.ranking import Ranking

_CATALOGUE_TOP_K = 10
_MOST_IDS_IN_A_NOTE = 20

_EPILOG = """\b
Examples:
  rankserve rank --user 42 204 141 131
  rankserve rank --user 42 --top-k 20 --exclude-seen
  rankserve rank --user 42 204 141 131 --json | jq '.items[0].title'

\b
--json prints one object:
  user_id, user_known
  model             {name, version} that answered
  items             [{rank, item_id, title, score}], score on the scale of the ratings
  unknown_item_ids  candidates that the model does not know"""


@click.command(epilog=_EPILOG)
@click.option("--user", "user_id", type=int, required=True, metavar="ID", help="The user to rank for.")
@click.argument("candidates", type=int, nargs=-1, metavar="[CANDIDATE]...")
@click.option(
    "--top-k",
    type=click.IntRange(min=1),
    metavar="K",
    help=f"Print only the best K. Default: all candidates; {_CATALOGUE_TOP_K} of the whole catalogue.",
)
@click.option("--model", metavar="NAME", help="Default: the server's default model.")
@click.option("--version", type=click.IntRange(min=1), metavar="N", help="Default: the model's current version.")
@click.option("--alias", metavar="NAME", help="A name that the operator has given to a version.")
@click.option("--exclude-seen", is_flag=True, help="Leave out items that the user rated in the training data.")
@click.option("--exclude", type=int, multiple=True, metavar="ID", help="Leave out this item. Can be repeated.")
@click.option("--as-sent", is_flag=True, help="Keep the order of the candidates instead of the best first.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; its keys are below.")
@server_options
def rank(
    user_id: int,
    candidates: tuple[int, ...],
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
    """Rank items for a user by predicted rating.

    The items are the CANDIDATE ids, or the whole catalogue of the model where there are none.
    """
    if version is not None and alias is not None:
        raise click.UsageError("--version and --alias exclude each other.")
    with connect(servers, timeout) as client:
        try:
            ranking = client.rank(
                user_id,
                candidates or None,
                top_k=top_k or (0 if candidates else _CATALOGUE_TOP_K),
                model=model,
                version=version,
                alias=alias,
                exclude_seen=exclude_seen,
                exclude=exclude,
                order="as_sent" if as_sent else "score",
                titles=True,
            )
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        if as_json:
            output.print_json(to_json(user_id, ranking))
        else:
            _print_table(user_id, ranking, _highest_rating(client, ranking))


def to_json(user_id: int, ranking: Ranking) -> dict[str, Any]:
    """What `--json` prints."""
    titles = ranking.titles or ()
    return {
        "user_id": user_id,
        "user_known": ranking.user_known,
        "model": {"name": ranking.model_name, "version": ranking.model_version},
        "items": [
            {"rank": place, "item_id": item_id, "title": title, "score": output.shortest(score)}
            for place, ((item_id, score), title) in enumerate(zip(ranking, titles, strict=True), start=1)
        ],
        "unknown_item_ids": list(ranking.unknown_item_ids),
    }


def _print_table(user_id: int, ranking: Ranking, highest_rating: float | None) -> None:
    console = output.console()
    table = output.table("rank", "item", "title", "predicted", "", numeric=("rank", "item", "predicted"))
    for place, ((item_id, score), title) in enumerate(zip(ranking, ranking.titles or (), strict=True), start=1):
        stars = _stars(score, highest_rating, console)
        table.add_row(str(place), str(item_id), output.cell(title), f"{score:.2f}", output.cell(stars, style="yellow"))
    console.print(table if len(ranking) else "no items")
    console.print()
    console.print(output.cell(f"{ranking.model_name} version {ranking.model_version}", style="dim"), soft_wrap=True)
    for note in _notes(user_id, ranking):
        console.print(output.cell(note, style="yellow"), soft_wrap=True)


def _notes(user_id: int, ranking: Ranking) -> list[str]:
    notes = []
    if not ranking.user_known:
        notes.append(f"user {user_id} is unknown to the model: scored as a new user")
    if unknown := ranking.unknown_item_ids:
        ids = ", ".join(map(str, unknown[:_MOST_IDS_IN_A_NOTE]))
        more = f" and {len(unknown) - _MOST_IDS_IN_A_NOTE} more" if len(unknown) > _MOST_IDS_IN_A_NOTE else ""
        notes.append(f"items unknown to the model, scored as new ones: {ids}{more}")
    return notes


def _highest_rating(client: RankingClient, ranking: Ranking) -> float | None:
    """The top of the model's scale; None, so no stars, where the server cannot tell (any more)."""
    try:
        return client.model(ranking.model_name, version=ranking.model_version).rating_max
    except RankServeError:
        return None


def _stars(score: float, highest_rating: float | None, console: Console) -> str:
    """A rating as up to five stars, to the nearest half."""
    if highest_rating is None or highest_rating <= 0:
        return ""
    halves = min(10, max(0, round(10 * score / highest_rating)))
    star, half = ("*", "") if console.options.ascii_only else ("★", "½")
    return star * (halves // 2) + half * (halves % 2)
