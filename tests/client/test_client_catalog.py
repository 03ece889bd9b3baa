"""What both clients ask about items and users, and that they leave out no method of the services."""

from typing import Any

import grpc
import pytest

from client.any_client import AnyClient
from client.conftest import Connect
from client.scripted_server import RefusedError, ScriptedServer
from client.test_client_messages import full_model
from rankserve.v1 import catalog_pb2, models_pb2, ranking_pb2
from rankserve_client import (
    Baseline,
    FoundItems,
    Item,
    ModelNotFound,
    NotSupported,
    Promote,
    RankQuery,
    RankServeError,
    UserInfo,
)

ITEM = Item(204, "Back to the Future (1985)", ("Comedy", "Sci-Fi"), 350)
SELECTOR = ranking_pb2.ModelSelector(name="m", version=3)
# Methods with the arguments that they cannot do without.
CALLS: dict[str, tuple[Any, ...]] = {"items": ([1],), "search_items": (), "user": (7,), "baseline": (7, [1])}


async def test_items(client: AnyClient, server: ScriptedServer) -> None:
    found = await client.call("items", iter([204, 9999]), model="m", version=3)
    assert found == FoundItems((ITEM,), (9999,), "scripted", 4)
    assert (len(found), found[0], found[:1], list(found)) == (1, ITEM, (ITEM,), [ITEM])
    assert server.requests == [catalog_pb2.GetItemsRequest(model=SELECTOR, item_ids=[204, 9999])]


async def test_search_items(client: AnyClient, server: ScriptedServer) -> None:
    found = await client.call("search_items", "future", limit=5, model="m", version=3)
    assert found == FoundItems((ITEM,), (), "scripted", 4)
    await client.call("search_items")
    assert server.requests == [
        catalog_pb2.SearchItemsRequest(model=SELECTOR, text="future", limit=5),
        catalog_pb2.SearchItemsRequest(),
    ]


async def test_user(connect: Connect, server: ScriptedServer) -> None:
    client = connect(server.target, send_user=True)
    assert await client.call("user", -7, limit=5, alias="stable") == UserInfo(True, 7, (ITEM,), "scripted", 4)
    await client.call("user", 7, request_id="mine")
    stable = ranking_pb2.ModelSelector(alias="stable")
    assert server.requests == [
        catalog_pb2.GetUserRequest(model=stable, user_id=-7, limit=5),
        catalog_pb2.GetUserRequest(user_id=7),
    ]
    assert [metadata.get("x-rankserve-user") for metadata in server.metadata] == ["-7", "7"]
    assert [metadata.get("x-request-id") for metadata in server.metadata] == [None, "mine"]


@pytest.mark.parametrize("history", [{5: 4.0, 6: 1.5}, [(5, 4.0), (6, 1.5)]])
async def test_baseline(client: AnyClient, server: ScriptedServer, history: Any) -> None:
    answer = await client.call("baseline", 7, [1, 2], history=history, model="m", version=3)
    assert answer == Baseline((3.5, 4.25), "scripted", 4)
    told = ranking_pb2.History(item_ids=[5, 6], ratings=[4.0, 1.5])
    assert server.requests == [catalog_pb2.GetBaselineRequest(model=SELECTOR, user_id=7, item_ids=[1, 2], history=told)]


@pytest.mark.parametrize("name", CALLS)
async def test_failures_are_those_of_every_call(client: AnyClient, server: ScriptedServer, name: str) -> None:
    for code, kind in ((grpc.StatusCode.NOT_FOUND, ModelNotFound), (grpc.StatusCode.UNIMPLEMENTED, NotSupported)):
        server.refusal = RefusedError(code, "the script says why")
        with pytest.raises(kind, match="the script says why"):
            await client.call(name, *CALLS[name])
    server.stop()
    with pytest.raises(RankServeError):
        await client.call(name, *CALLS[name], timeout=0.05)
    await client.close()
    with pytest.raises(RuntimeError, match="the client is closed"):
        await client.call(name, *CALLS[name])


@pytest.mark.parametrize(
    ("name", "arguments", "options", "message"),
    [
        ("items", ([],), {}, "`item_ids` is empty"),
        ("items", ([2**63],), {}, "`item_ids` has a value that is not allowed"),
        ("items", (7,), {}, "`item_ids` must be an iterable"),
        ("search_items", (7,), {}, "`text` must be a string"),
        ("search_items", ("\ud800",), {}, "`text` must be text that UTF-8 can hold"),
        ("search_items", (), {"limit": 0}, "`limit` must be an integer from 1"),
        ("user", ("7",), {}, "`user_id` must be an integer"),
        ("user", (7,), {"limit": 2**31}, "`limit` must be an integer from 1"),
        ("baseline", (2**63, [1]), {}, "`user_id` must be an integer from"),
        ("baseline", (7, [1]), {"history": [5]}, "`history` must hold pairs of an item and a rating"),
        *((name, arguments, {"version": 1, "alias": "a"}, "not both") for name, arguments in CALLS.items()),
    ],
)
async def test_what_cannot_be_asked_is_said_before_it_is_asked(
    client: AnyClient,
    server: ScriptedServer,
    name: str,
    arguments: tuple[Any, ...],
    options: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        await client.call(name, *arguments, **options)
    assert not server.requests


async def test_no_method_of_the_services_is_left_out(client: AnyClient, server: ScriptedServer) -> None:
    server.models = [full_model()]
    await client.rank(7, [1])
    await client.rank_batch([RankQuery(7, [1])])
    await client.rank_stream([RankQuery(7, [1])])
    for name, arguments in {**CALLS, "models": (), "model": (), "reload": (), "change_serving": (Promote(1),)}.items():
        await client.call(name, *arguments)
    services = [ranking_pb2.DESCRIPTOR.services_by_name["RankingService"]]
    services.append(models_pb2.DESCRIPTOR.services_by_name["ModelService"])
    described = {method.input_type.full_name for service in services for method in service.methods}
    assert {request.DESCRIPTOR.full_name for request in server.requests if request is not None} == described
