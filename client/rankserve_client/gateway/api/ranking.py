"""`/api/v1/rank`: the product as JSON."""

from typing import Any

from msgspec import UNSET

from rankserve_client.errors import RankServeError
from rankserve_client.gateway.api.ids import number_of, numbers_of, shown_ids
from rankserve_client.gateway.api.messages import (
    BatchAnswer,
    BatchRequest,
    BatchResult,
    History,
    RankAnswer,
    RankRequest,
    Selector,
)
from rankserve_client.gateway.calls import Call
from rankserve_client.gateway.operations import OWN, Operation, Parameter
from rankserve_client.gateway.problems import invalid, problem_of
from rankserve_client.query import NewItem, RankQuery
from rankserve_client.ranking import Ranking
from rankserve_client.results import RankResult

STRING_IDS = Parameter(
    "string_ids",
    "Whether ids are answered as strings, for callers that would round large numbers.",
    {"type": "boolean", "default": False},
)
_EXAMPLE = {"user_id": 42, "candidate_ids": [204, 141, 131], "include_titles": True}


async def rank(call: Call) -> RankAnswer:
    """Ranks the candidates of one request."""
    strings = call.flag(STRING_IDS.name)
    arguments = arguments_of(call.decoded(RankRequest))
    return _answer(await call.connection.client.rank(**arguments), strings)


async def rank_batch(call: Call) -> BatchAnswer:
    """Ranks several requests."""
    strings = call.flag(STRING_IDS.name)
    requests = call.decoded(BatchRequest).requests
    queries = [RankQuery(**arguments_of(request, f"requests[{place}].")) for place, request in enumerate(requests)]
    results = await call.connection.client.rank_batch(queries)
    return BatchAnswer([_batch_result(result, strings) for result in results])


def arguments_of(request: RankRequest, where: str = "") -> dict[str, Any]:
    """What a request asks for, as arguments of the client; `where` goes before the names of its fields.

    Raises:
        BadRequestError: where a field is out of its range.
    """
    candidates = request.candidate_ids
    if candidates is not None and not candidates:
        text = "is empty, so there is nothing to rank; leave it out to rank the whole catalogue"
        raise invalid(f"{where}candidate_ids", text)
    new_items = [
        NewItem(number_of(f"{where}new_items[{place}].item_id", item.item_id), item.genres, item.year)
        for place, item in enumerate(request.new_items)
    ]
    return {
        "user_id": number_of(f"{where}user_id", request.user_id),
        "candidates": None if candidates is None else numbers_of(f"{where}candidate_ids", candidates),
        "top_k": request.top_k,
        **selector_arguments(request.model, where),
        "history": pairs_of(request.history, where),
        "exclude_seen": request.exclude_seen,
        "exclude": numbers_of(f"{where}exclude_ids", request.exclude_ids),
        "order": request.order,
        "titles": request.include_titles,
        "unknown_user": request.unknown_user,
        "unknown_items": request.unknown_items,
        "rank_by": request.rank_by,
        "user_features": request.user_features or None,
        "new_items": new_items,
    }


def selector_arguments(selector: Selector, where: str = "") -> dict[str, Any]:
    """Which model is meant, likewise.

    Raises:
        BadRequestError: where a version and an alias are named.
    """
    if selector.version is not None and selector.alias is not None:
        text = f"should have a version or an alias, not both, got {selector.version} and {selector.alias!r}"
        raise invalid(f"{where}model", text)
    return {"model": selector.name, "version": selector.version, "alias": selector.alias}


def pairs_of(history: History | None, where: str = "") -> list[tuple[int, float]] | None:
    """The ratings of a history.

    Raises:
        BadRequestError: where its columns do not fit together.
    """
    if history is None:
        return None
    if len(history.item_ids) != len(history.ratings):
        text = f"should have one rating for each item, got {len(history.ratings)} for {len(history.item_ids)} items"
        raise invalid(f"{where}history.ratings", text)
    return list(zip(numbers_of(f"{where}history.item_ids", history.item_ids), history.ratings, strict=True))


def _batch_result(result: RankResult, strings: bool) -> BatchResult:
    if isinstance(result, RankServeError):
        return BatchResult(error=problem_of(result))
    return BatchResult(ranking=_answer(result, strings))


def _answer(ranking: Ranking, strings: bool) -> RankAnswer:
    return RankAnswer(
        item_ids=shown_ids(ranking.item_ids, strings),
        scores=list(ranking.scores),
        user_known=ranking.user_known,
        user_basis=ranking.user_basis,
        model_name=ranking.model_name,
        model_version=ranking.model_version,
        unknown_item_ids=shown_ids(ranking.unknown_item_ids, strings),
        described_item_ids=shown_ids(ranking.described_item_ids, strings),
        titles=UNSET if ranking.titles is None else list(ranking.titles),
        choice_scores=UNSET if ranking.choice_scores is None else list(ranking.choice_scores),
    )


OPERATIONS = (
    Operation(
        "POST",
        "/api/v1/rank",
        "rank",
        "Order candidate items for a user.",
        rank,
        OWN,
        RankAnswer,
        RankRequest,
        (STRING_IDS,),
        _EXAMPLE,
    ),
    Operation(
        "POST",
        "/api/v1/rank:batch",
        "rankBatch",
        "Order candidate items for several users in one call.",
        rank_batch,
        OWN,
        BatchAnswer,
        BatchRequest,
        (STRING_IDS,),
        {"requests": [_EXAMPLE, {"user_id": 7, "top_k": 3}]},
    ),
)
