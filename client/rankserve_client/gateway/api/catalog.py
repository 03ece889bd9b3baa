"""Items, users and the baseline: what a page shows around a ranking."""

from collections.abc import Iterable

from rankserve.v1 import catalog_pb2, ranking_pb2
from rankserve_client.gateway.api.ids import number_of, numbers_of, shown_ids
from rankserve_client.gateway.api.messages import BaselineAnswer, BaselineRequest, ItemEntry, ItemsAnswer, UserAnswer
from rankserve_client.gateway.api.models import SELECTION, selection_of
from rankserve_client.gateway.api.ranking import STRING_IDS, pairs_of, selector_arguments
from rankserve_client.gateway.calls import Call, integer
from rankserve_client.gateway.operations import MODEL, OWN, Operation, Parameter
from rankserve_client.gateway.problems import invalid
from rankserve_client.messages import to_selector

_MOST = 2**31 - 1
_IDS = Parameter("ids", "Ids of items, separated by commas.")
_SEARCH = Parameter("search", "Words that a title has to hold; without them and without ids, all items.")
_LIMIT = Parameter("limit", "How many items to answer, at most.", {"type": "integer", "minimum": 1})
_USER = Parameter("user_id", "The user.", {"type": "integer"}, where="path")


async def items(call: Call) -> ItemsAnswer:
    """Items by their ids or by words of their titles."""
    strings, ids, text = call.flag(STRING_IDS.name), call.text(_IDS.name), call.text(_SEARCH.name)
    connection, selector = call.connection, _selector_in(call)
    if ids is not None:
        if text is not None:
            raise invalid("ids", "should not be given together with words to search for")
        numbers = [integer(f"ids[{place}]", id_.strip()) for place, id_ in enumerate(ids.split(","))]
        request = catalog_pb2.GetItemsRequest(model=selector, item_ids=numbers)
        answer = await connection.call(connection.catalog.GetItems, request)
        unknown = shown_ids(answer.unknown_item_ids, strings)
        return ItemsAnswer(_entries(answer.items, strings), unknown, answer.model_name, answer.model_version)
    limit = call.number(_LIMIT.name, 1, _MOST) or 0
    search = catalog_pb2.SearchItemsRequest(model=selector, text=text or "", limit=limit)
    found = await connection.call(connection.catalog.SearchItems, search)
    return ItemsAnswer(_entries(found.items, strings), [], found.model_name, found.model_version)


async def user(call: Call) -> UserAnswer:
    """What a model knows of a user."""
    strings, user_id = call.flag(STRING_IDS.name), integer("user_id", call.path("user_id"))
    limit = call.number(_LIMIT.name, 1, _MOST) or 0
    request = catalog_pb2.GetUserRequest(model=_selector_in(call), user_id=user_id, limit=limit)
    connection = call.connection
    answer = await connection.call(connection.catalog.GetUser, request)
    return UserAnswer(
        user_id=shown_ids([user_id], strings)[0],
        known=answer.known,
        seen_count=answer.seen_count,
        seen_items=_entries(answer.seen_items, strings),
        model_name=answer.model_name,
        model_version=answer.model_version,
    )


async def baseline(call: Call) -> BaselineAnswer:
    """What means alone would predict."""
    asked = call.decoded(BaselineRequest)
    request = catalog_pb2.GetBaselineRequest(
        model=to_selector(**selector_arguments(asked.model)),
        user_id=number_of("user_id", asked.user_id),
        item_ids=numbers_of("item_ids", asked.item_ids),
    )
    for item_id, rating in pairs_of(asked.history) or ():
        request.history.item_ids.append(item_id)
        request.history.ratings.append(rating)
    connection = call.connection
    answer = await connection.call(connection.catalog.GetBaseline, request)
    return BaselineAnswer(list(answer.scores), answer.model_name, answer.model_version)


def _selector_in(call: Call) -> ranking_pb2.ModelSelector | None:
    version, alias = selection_of(call)
    return to_selector(call.path("model"), version, alias)


def _entries(found: Iterable[catalog_pb2.Item], strings: bool) -> list[ItemEntry]:
    return [
        ItemEntry(shown_ids([item.item_id], strings)[0], item.title, list(item.genres), item.rating_count)
        for item in found
    ]


OPERATIONS = (
    Operation(
        "GET",
        "/api/v1/models/{model}/items",
        "findItems",
        "Items of a catalogue, by ids or by words of their titles.",
        items,
        OWN,
        ItemsAnswer,
        parameters=(MODEL, _IDS, _SEARCH, _LIMIT, *SELECTION, STRING_IDS),
    ),
    Operation(
        "GET",
        "/api/v1/models/{model}/users/{user_id}",
        "getUser",
        "What a model knows of a user.",
        user,
        OWN,
        UserAnswer,
        parameters=(MODEL, _USER, _LIMIT, *SELECTION, STRING_IDS),
    ),
    Operation(
        "POST",
        "/api/v1/baseline",
        "baseline",
        "What the means of users and items alone would predict.",
        baseline,
        OWN,
        BaselineAnswer,
        BaselineRequest,
        example={"user_id": 42, "item_ids": [204, 141, 131]},
    ),
)
