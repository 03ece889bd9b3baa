"""Scores of pairs of users and items, as the protocols of other servers ask for them: those of `Rank`, bit for bit."""

from dataclasses import dataclass
from typing import TypedDict

from rankserve_client.errors import RankServeError
from rankserve_client.gateway.calls import Call, integer
from rankserve_client.gateway.problems import invalid
from rankserve_client.gateway.tensors import ITEM
from rankserve_client.model_info import ModelInfo
from rankserve_client.query import RankQuery
from rankserve_client.ranking import Ranking


@dataclass(frozen=True)
class Scored:
    """Scores in the order of the pairs, and the version that has given all of them."""

    scores: list[float]
    model_name: str
    model_version: int


class Selection(TypedDict):
    """Which version is asked for, as arguments of the client."""

    model: str
    version: int | None
    alias: str | None


def selection_of(model: str, version: str | None) -> Selection:
    """What a path asks for; aliases begin with a letter."""
    if version and not version[0].isalpha():
        return {"model": model, "version": integer("version", version, low=1), "alias": None}
    return {"model": model, "version": None, "alias": version or None}


async def model_of(call: Call, selection: Selection) -> ModelInfo:
    """The version that is asked for.

    Raises:
        RankServeError: where there is none.
    """
    client = call.connection.client
    return await client.model(selection["model"], version=selection["version"], alias=selection["alias"])


async def score_pairs(call: Call, users: list[int], items: list[int], selection: Selection) -> Scored:
    """Scores each pair. One version answers all: where there is a canary, the first user decides.

    Args:
        call: who asks.
        users: of each pair.
        items: likewise.
        selection: see `selection_of`.

    Raises:
        BadRequestError: where there are none.
        RankServeError: where they cannot be scored.
    """
    if not items:
        raise invalid(ITEM, "should have one candidate or more, got none")
    places: dict[int, list[int]] = {}
    for place, user in enumerate(users):
        places.setdefault(user, []).append(place)
    (first, first_places), *others = places.items()
    ranking = await call.connection.client.rank(
        first, [items[place] for place in first_places], order="as_sent", **selection
    )
    if not others:
        return Scored(list(ranking.scores), ranking.model_name, ranking.model_version)
    scores = [0.0] * len(items)
    _put(scores, first_places, ranking)
    answered_by: Selection = {"model": ranking.model_name, "version": ranking.model_version, "alias": None}
    queries = [
        RankQuery(user, [items[place] for place in of_user], order="as_sent", **answered_by) for user, of_user in others
    ]
    for (_, of_user), result in zip(others, await call.connection.client.rank_batch(queries), strict=True):
        if isinstance(result, RankServeError):
            raise result
        _put(scores, of_user, result)
    return Scored(scores, ranking.model_name, ranking.model_version)


def _put(scores: list[float], places: list[int], ranking: Ranking) -> None:
    for place, score in zip(places, ranking.scores, strict=True):
        scores[place] = score
