"""What the comments of ranking.proto promise of a version of two towers, in slow and plain Python."""

from dataclasses import dataclass

from rankserve.v1 import ranking_pb2
from server.two_towers import GENDERS, Towers

TOLERANCE = 2e-5


@dataclass(frozen=True)
class _Scored:
    """A candidate, its place in the request, its rating and choice."""

    item: int
    place: int
    rating: float
    choice: float


def assert_answers(request: ranking_pb2.RankRequest, response: ranking_pb2.RankResponse, towers: Towers) -> None:
    """That this is the answer, but for neighbours whose scores differ by less than float32 arithmetic does."""
    candidates = _candidates(request, towers)
    by_choice = _is_by_choice(request)
    ranks = [scored.choice if by_choice else scored.rating for scored in candidates]
    count = min(request.top_k or len(ranks), len(ranks))
    assert len(response.item_ids) == len(response.scores) == count
    assert len(response.choice_scores) == (count if by_choice else 0)
    for place, item in enumerate(response.item_ids):
        own = next(scored for scored in candidates if scored.item == item)
        assert abs(response.scores[place] - own.rating) <= TOLERANCE
        if by_choice:
            assert abs(response.choice_scores[place] - own.choice) <= TOLERANCE
    _assert_order(request, response, candidates)
    if count:
        worst = sorted(ranks, reverse=True)[count - 1]
        assert min(response.choice_scores or response.scores) >= worst - 2 * TOLERANCE
    _assert_unknown(request, response, towers)


def _assert_order(
    request: ranking_pb2.RankRequest, response: ranking_pb2.RankResponse, candidates: list[_Scored]
) -> None:
    # Of an item that is there several times, the first one comes first.
    places_left = {
        scored.item: [other.place for other in candidates if other.item == scored.item] for scored in candidates
    }
    places = [places_left[item].pop(0) for item in response.item_ids]
    if request.order == ranking_pb2.ORDER_AS_SENT:
        assert places == sorted(places)
        return
    keys = [(-score, place) for score, place in zip(response.choice_scores or response.scores, places, strict=True)]
    assert keys == sorted(keys)


def _assert_unknown(request: ranking_pb2.RankRequest, response: ranking_pb2.RankResponse, towers: Towers) -> None:
    left = [item for item in dict.fromkeys(request.candidate_ids) if item not in _excluded(request, towers)]
    unknown = [item for item in left if item not in towers.item_ids]
    described = {item.item_id for item in request.new_items}
    omitted = request.unknown_items == ranking_pb2.UNKNOWN_ITEMS_OMIT
    assert list(response.unknown_item_ids) == unknown
    assert list(response.described_item_ids) == [item for item in unknown if item in described and not omitted]
    assert response.user_known == (request.user_id in towers.seen)
    assert response.user_basis == user_basis(request, towers)


def user_basis(request: ranking_pb2.RankRequest, towers: Towers) -> int:
    """By what the user is scored."""
    has_history = any(item in towers.item_ids for item in request.history.item_ids)
    features = request.user_features
    has_features = features.get("gender") in GENDERS or features.get("age", "").isdigit()
    if request.user_id in towers.seen:
        return ranking_pb2.USER_BASIS_KNOWN_AND_HISTORY if has_history else ranking_pb2.USER_BASIS_KNOWN
    if has_history:
        both, one = ranking_pb2.USER_BASIS_HISTORY_AND_FEATURES, ranking_pb2.USER_BASIS_HISTORY
        return both if has_features else one
    return ranking_pb2.USER_BASIS_FEATURES if has_features else ranking_pb2.USER_BASIS_AVERAGE


def _is_by_choice(request: ranking_pb2.RankRequest) -> bool:
    if request.rank_by == ranking_pb2.RANK_BY_UNSPECIFIED:
        return not request.candidate_ids
    return request.rank_by == ranking_pb2.RANK_BY_CHOICE


def _excluded(request: ranking_pb2.RankRequest, towers: Towers) -> set[int]:
    excluded = set(request.exclude_ids)
    if request.exclude_seen:
        excluded |= towers.seen.get(request.user_id, set()) | set(request.history.item_ids)
    return excluded


def _candidates(request: ranking_pb2.RankRequest, towers: Towers) -> list[_Scored]:
    history = dict(zip(request.history.item_ids, request.history.ratings, strict=True))
    user = towers.user(request.user_id, history, request.user_features)
    described = {item.item_id: (item.genres, item.year) for item in request.new_items}
    excluded = _excluded(request, towers)
    omitted = request.unknown_items == ranking_pb2.UNKNOWN_ITEMS_OMIT
    candidates = []
    for place, id_ in enumerate(request.candidate_ids or towers.item_ids):
        if id_ in excluded or (omitted and id_ not in towers.item_ids):
            continue
        item = towers.item(id_, described.get(id_))
        candidates.append(_Scored(id_, place, towers.rating(user, item), towers.choice(user, item)))
    return candidates
