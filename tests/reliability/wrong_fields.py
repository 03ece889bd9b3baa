"""Which requests have to be refused and for which fields: the comments of ranking.proto in plain Python.

For a server with default limits and `server.two_towers`, whose answers `server.tower_answers` knows.
"""

import math
import re

from google.rpc import code_pb2, status_pb2

from integration.statuses import violations_of
from rankserve.v1 import ranking_pb2
from rankserve_server.limits import Limits
from server.tower_answers import assert_answers
from server.two_towers import Towers

_LIMITS = Limits()
_FEATURES = {"age", "gender"}
_LOWEST, _HIGHEST = 1.0, 5.0


def assert_right(
    request: ranking_pb2.RankRequest,
    answer: "ranking_pb2.RankResponse | status_pb2.Status | ranking_pb2.RequestError",
    towers: Towers,
) -> str:
    """That a request is answered rightly, or refused with the right code and fields; returns which it was."""
    wrong = wrong_fields(request, towers)
    if isinstance(answer, ranking_pb2.RankResponse):
        assert not wrong, f"answered in spite of {wrong}: {request}"
        assert is_served(request.model), request
        assert_answers(request, answer, towers)
        return "answered"
    if not wrong or (not is_served(request.model) and not own_violations(request)):
        assert not is_served(request.model), f"{answer} to {request}"
        assert answer.code == code_pb2.NOT_FOUND
        assert answer.details
        return "not found"
    assert answer.code == code_pb2.INVALID_ARGUMENT, answer
    assert {_without_place(field) for field, _ in violations_of(answer)} == wrong, f"{answer} to {request}"
    assert all(text for _, text in violations_of(answer))
    return "refused"


def wrong_fields(request: ranking_pb2.RankRequest, towers: Towers) -> set[str]:
    """The fields that a refusal names; without places, such as `history.ratings`. Empty where it is to be answered."""
    return own_violations(request) or _violations_of_the_model(request, towers)


def is_served(selector: ranking_pb2.ModelSelector) -> bool:
    choice = selector.WhichOneof("choice")
    return selector.name in ("", "towers") and (choice is None or (choice == "version" and selector.version == 1))


def own_violations(request: ranking_pb2.RankRequest) -> set[str]:
    """Whatever the model."""
    enums = {
        "order": (request.order, ranking_pb2.Order),
        "unknown_user": (request.unknown_user, ranking_pb2.UnknownUser),
        "unknown_items": (request.unknown_items, ranking_pb2.UnknownItems),
        "rank_by": (request.rank_by, ranking_pb2.RankBy),
    }
    wrong = {field for field, (value, names) in enums.items() if value not in names.values()}
    if len(request.candidate_ids) > _LIMITS.max_candidates:
        wrong.add("candidate_ids")
    if not (0 if request.candidate_ids else 1) <= request.top_k <= _LIMITS.max_top_k:
        wrong.add("top_k")
    if len(request.exclude_ids) > _LIMITS.max_candidates:
        wrong.add("exclude_ids")
    if request.model.WhichOneof("choice") == "version" and request.model.version < 1:
        wrong.add("model.version")
    return wrong | _history_violations(request.history) | _new_item_violations(request)


def _history_violations(history: ranking_pb2.History) -> set[str]:
    if len(history.item_ids) > _LIMITS.max_history:
        return {"history.item_ids"}
    wrong = set()
    if len(set(history.item_ids)) < len(history.item_ids):
        wrong.add("history.item_ids")
    if len(history.item_ids) != len(history.ratings) or not all(map(math.isfinite, history.ratings)):
        wrong.add("history.ratings")
    return wrong


def _new_item_violations(request: ranking_pb2.RankRequest) -> set[str]:
    ids = [item.item_id for item in request.new_items]
    if len(ids) > _LIMITS.max_candidates:
        return {"new_items"}
    wrong = {"new_items"} if len(set(ids)) < len(ids) else set()
    return wrong | ({"new_items.year"} if any(item.year < 0 for item in request.new_items) else set())


def _violations_of_the_model(request: ranking_pb2.RankRequest, towers: Towers) -> set[str]:
    if request.unknown_user == ranking_pb2.UNKNOWN_USER_REJECT and request.user_id not in towers.seen:
        return {"user_id"}
    wrong = set()
    if not all(_LOWEST <= rating <= _HIGHEST for rating in request.history.ratings):
        wrong.add("history.ratings")
    if set(request.user_features) - _FEATURES:
        wrong.add("user_features")
    if not wrong and request.unknown_items == ranking_pb2.UNKNOWN_ITEMS_REJECT:
        excluded = set(request.exclude_ids)
        if request.exclude_seen:
            excluded |= towers.seen.get(request.user_id, set()) | set(request.history.item_ids)
        if set(request.candidate_ids) - excluded - set(towers.item_ids):
            wrong.add("candidate_ids")
    return wrong


def _without_place(field: str) -> str:
    return re.sub(r"\[\d+\]", "", field)
