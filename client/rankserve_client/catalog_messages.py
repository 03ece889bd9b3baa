"""Between what the clients ask of a catalogue and the messages on the wire, in both directions."""

from collections.abc import Iterable, Mapping

from rankserve.v1 import catalog_pb2
from rankserve_client.catalog import Baseline, FoundItems, Item, UserInfo
from rankserve_client.messages import fill, taken, to_selector
from rankserve_client.query import INT32_MAX, INT64_MAX, check_integer, check_selector, pairs_of, tuple_of


def to_items_request(
    item_ids: Iterable[int], model: str | None, version: int | None, alias: str | None
) -> catalog_pb2.GetItemsRequest:
    """The message that asks for items by their ids.

    Raises:
        TypeError: An argument is not of its type.
        ValueError: An argument is out of its range, or `item_ids` is empty.
    """
    check_selector(model, version, alias)
    request = catalog_pb2.GetItemsRequest(model=to_selector(model, version, alias))
    fill("item_ids", request.item_ids, _some_of(item_ids))
    return request


def to_search_request(
    text: str, limit: int | None, model: str | None, version: int | None, alias: str | None
) -> catalog_pb2.SearchItemsRequest:
    """The message that asks for items by words; it raises what `to_items_request` does."""
    check_selector(model, version, alias)
    if not isinstance(text, str):
        raise TypeError(f"`text` must be a string. Received: `text` = {text!r}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"`text` must be text that UTF-8 can hold. Received: `text` = {text!r}") from None
    return catalog_pb2.SearchItemsRequest(model=to_selector(model, version, alias), text=text, limit=_limit(limit))


def to_user_request(
    user_id: int, limit: int | None, model: str | None, version: int | None, alias: str | None
) -> catalog_pb2.GetUserRequest:
    """The message that asks what is known of a user; it raises what `to_items_request` does."""
    check_selector(model, version, alias)
    _check_user(user_id)
    return catalog_pb2.GetUserRequest(model=to_selector(model, version, alias), user_id=user_id, limit=_limit(limit))


def to_baseline_request(
    user_id: int,
    item_ids: Iterable[int],
    history: Mapping[int, float] | Iterable[tuple[int, float]] | None,
    model: str | None,
    version: int | None,
    alias: str | None,
) -> catalog_pb2.GetBaselineRequest:
    """The message that asks what means predict; it raises what `to_items_request` does."""
    check_selector(model, version, alias)
    _check_user(user_id)
    request = catalog_pb2.GetBaselineRequest(model=to_selector(model, version, alias), user_id=user_id)
    fill("item_ids", request.item_ids, _some_of(item_ids))
    pairs = () if history is None else pairs_of("history", history, "an item and a rating")
    fill("history", request.history.item_ids, [item for item, _ in pairs])
    fill("history", request.history.ratings, [rating for _, rating in pairs])
    return request


def to_found_items(response: catalog_pb2.GetItemsResponse | catalog_pb2.SearchItemsResponse) -> FoundItems:
    """The items in a response."""
    unknown = response.unknown_item_ids if isinstance(response, catalog_pb2.GetItemsResponse) else ()
    return FoundItems(_to_items(response.items), taken(unknown), response.model_name, response.model_version)


def to_user_info(response: catalog_pb2.GetUserResponse) -> UserInfo:
    """What a response says of a user."""
    return UserInfo(
        known=response.known,
        seen_count=response.seen_count,
        seen_items=_to_items(response.seen_items),
        model_name=response.model_name,
        model_version=response.model_version,
    )


def to_baseline(response: catalog_pb2.GetBaselineResponse) -> Baseline:
    """The predictions in a response."""
    return Baseline(taken(response.scores), response.model_name, response.model_version)


def _to_items(items: Iterable[catalog_pb2.Item]) -> tuple[Item, ...]:
    return tuple(Item(item.item_id, item.title, tuple(item.genres), item.rating_count) for item in items)


def _some_of(item_ids: Iterable[int]) -> tuple[int, ...]:
    ids = tuple_of("item_ids", item_ids)
    if not ids:
        raise ValueError("`item_ids` is empty, so there is nothing to ask for")
    return ids


def _limit(limit: int | None) -> int:
    if limit is None:
        return 0
    check_integer("limit", limit, 1, INT32_MAX)
    return limit


def _check_user(user_id: int) -> None:
    check_integer("user_id", user_id, -INT64_MAX - 1, INT64_MAX)
