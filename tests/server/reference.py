"""What the comments of ranking.proto promise, in slow and plain Python."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from rankserve.v1 import ranking_pb2


@dataclass(frozen=True)
class World:
    """What a model knows.

    Attributes:
        titles: by item id; the whole catalogue.
        seen: rated items by user id; every known user.
        score: of a user id and an item id, known or not.
    """

    titles: Mapping[int, str]
    seen: Mapping[int, Collection[int]]
    score: Callable[[int, int], float]


@dataclass(frozen=True)
class Rejected:
    """The request has to be refused because of this field."""

    field: str


def ranked(request: ranking_pb2.RankRequest, world: World) -> ranking_pb2.RankResponse | Rejected:
    """The answer to a request whose fields are all in range; without the model's name and version."""
    user = request.user_id
    if user not in world.seen and request.unknown_user == ranking_pb2.UNKNOWN_USER_REJECT:
        return Rejected("user_id")
    candidates = list(request.candidate_ids) or sorted(world.titles)
    excluded = set(request.exclude_ids)
    if request.exclude_seen:
        excluded |= set(world.seen.get(user, ()))
    candidates = [item for item in candidates if item not in excluded]
    unknown = [item for item in dict.fromkeys(candidates) if item not in world.titles]
    if unknown and request.unknown_items == ranking_pb2.UNKNOWN_ITEMS_REJECT:
        return Rejected("candidate_ids")
    if request.unknown_items == ranking_pb2.UNKNOWN_ITEMS_OMIT:
        candidates = [item for item in candidates if item in world.titles]
    scores = [world.score(user, item) for item in candidates]
    places = sorted(range(len(candidates)), key=lambda place: (-scores[place], place))
    if request.top_k:
        places = places[: request.top_k]
    if request.order == ranking_pb2.ORDER_AS_SENT:
        places.sort()
    return ranking_pb2.RankResponse(
        item_ids=[candidates[place] for place in places],
        scores=[scores[place] for place in places],
        unknown_item_ids=unknown,
        user_known=user in world.seen,
        user_basis=ranking_pb2.USER_BASIS_KNOWN if user in world.seen else ranking_pb2.USER_BASIS_AVERAGE,
        titles=[world.titles.get(candidates[place], "") for place in places] if request.include_titles else [],
    )
