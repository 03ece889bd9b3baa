"""How `rankserve rank` prints its answer."""

import math
from collections.abc import Sized
from typing import Any

from rich.console import Console

from rankserve_client.cli import output
from rankserve_client.cli.common_options import is_quiet
from rankserve_client.cli.user_options import User
from rankserve_client.ranking import Ranking

_MOST_IDS_IN_A_NOTE = 20


def to_json(user_id: int, ranking: Ranking) -> dict[str, Any]:
    """What `--json` prints."""
    items: list[dict[str, Any]] = [
        {"rank": place, "item_id": item_id, "title": title, "score": output.shortest(score)}
        for place, ((item_id, score), title) in enumerate(zip(ranking, ranking.titles or (), strict=True), start=1)
    ]
    if ranking.choice_scores is not None:
        for item, choice_score in zip(items, ranking.choice_scores, strict=True):
            item["choice_score"] = output.shortest(choice_score)
    return {
        "user_id": user_id,
        "user_known": ranking.user_known,
        "user_basis": ranking.user_basis,
        "model": {"name": ranking.model_name, "version": ranking.model_version},
        "rank_by": "rating" if ranking.choice_scores is None else "choice",
        "items": items,
        "unknown_item_ids": list(ranking.unknown_item_ids),
        "described_item_ids": list(ranking.described_item_ids),
    }


def print_table(user: User, ranking: Ranking, highest_rating: float | None) -> None:
    """Prints the ranking, the model that answered and notes on what it did not know.

    Args:
        highest_rating: the top of the model's scale; None, where it is not known, prints no stars.
    """
    console = output.console()
    choices = _relative_choices(ranking)
    names = ("rank", "item", "title", *(("choice",) if choices else ()), "predicted", "")
    table = output.table(*names, numeric=("rank", "item", "choice", "predicted"))
    for place, ((item_id, score), title) in enumerate(zip(ranking, ranking.titles or (), strict=True)):
        table.add_row(
            str(place + 1),
            str(item_id),
            output.cell(title),
            *choices[place : place + 1],
            f"{score:.2f}",
            output.cell(_stars(score, highest_rating, console), style="yellow"),
        )
    console.print(table if len(ranking) else "no items")
    if is_quiet():
        return
    console.print()
    console.print(output.cell(f"{ranking.model_name} version {ranking.model_version}", style="dim"), soft_wrap=True)
    for note in _notes(user, ranking):
        console.print(output.cell(note, style="yellow"), soft_wrap=True)


def _relative_choices(ranking: Ranking) -> list[str]:
    """How likely each item is chosen beside the likeliest, in percent; nothing where not ranked by choice."""
    scores = ranking.choice_scores or ()
    best = max(scores, default=0.0)
    return [f"{math.exp(score - best):.1%}" for score in scores]


def _notes(user: User, ranking: Ranking) -> list[str]:
    notes = _user_notes(user, ranking)
    if ranking.choice_scores:
        notes.append("ranked by choice: how likely each item is chosen, relative to the likeliest")
    if unknown := ranking.unknown_item_ids:
        ids = ", ".join(map(str, unknown[:_MOST_IDS_IN_A_NOTE]))
        more = f" and {len(unknown) - _MOST_IDS_IN_A_NOTE} more" if len(unknown) > _MOST_IDS_IN_A_NOTE else ""
        notes.append(f"items unknown to the model, scored as new ones: {ids}{more}")
    return notes


def _user_notes(user: User, ranking: Ranking) -> list[str]:
    """What the user was scored by, where that is not just what the model knows, and what had no effect."""
    known, basis = ranking.user_known, ranking.user_basis
    given = {"history": _counted(user.history, "rating"), "features": _counted(user.features, "feature")}
    used = " and ".join(text for name, text in given.items() if name in basis)
    notes = []
    if used:
        notes.append(f"{_who(user, known)}: scored {'with' if known else 'from'} {used} of the request")
    elif not known:
        notes.append(f"{_who(user, known)}: scored as a new user")
    if user.history and "history" not in basis:
        notes.append("the ratings of the request had no effect: the model knows none of their items")
    if user.features and "features" not in basis:
        why = "it is for unknown users that they count" if known else "the model knows none of their values"
        notes.append(f"the features of the request had no effect: {why}")
    return notes


def _who(user: User, known: bool) -> str:
    return f"user {user.user_id} is {'known' if known else 'unknown'} to the model"


def _counted(things: Sized, name: str) -> str:
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"


def _stars(score: float, highest_rating: float | None, console: Console) -> str:
    """A rating as up to five stars, to the nearest half."""
    if highest_rating is None or highest_rating <= 0:
        return ""
    halves = min(10, max(0, round(10 * score / highest_rating)))
    star, half = ("*", "") if console.options.ascii_only else ("★", "½")
    return star * (halves // 2) + half * (halves % 2)
