import math
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from client.any_client import AnyClient, Kind
from client.scripted_server import ScriptedServer
from client.test_client_messages import full_model
from rankserve.v1 import ranking_pb2

Connect = Callable[..., AnyClient]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        yield server


@pytest.fixture(params=["blocking", "asyncio"])
def kind(request: pytest.FixtureRequest) -> Kind:
    kind: Kind = request.param
    return kind


@pytest.fixture
async def connect(kind: Kind) -> AsyncIterator[Connect]:
    """Makes clients of the kind under test and closes them afterwards."""
    clients: list[AnyClient] = []

    def make(*arguments: Any, **options: Any) -> AnyClient:
        clients.append(AnyClient(kind, *arguments, **options))
        return clients[-1]

    yield make
    for client in clients:
        await client.close()


@pytest.fixture
async def client(connect: Connect, server: ScriptedServer) -> AnyClient:
    return connect(server.target)


@pytest.fixture
def movies(server: ScriptedServer) -> ScriptedServer:
    """Answers with two movies, one of them unknown, for an unknown user."""
    server.answer = lambda _: ranking_pb2.RankResponse(
        item_ids=[204, 999999],
        scores=[3.7, 3.125],
        titles=["Back to the Future (1985) [colour] é " + "x" * 100, ""],
        unknown_item_ids=[999999],
        user_known=False,
        model_name="movielens",
        model_version=3,
    )
    server.models = [full_model()]
    return server


@pytest.fixture
def chosen(movies: ScriptedServer) -> ScriptedServer:
    """Answers with two movies ranked by choice, for a user with a history."""
    movies.answer = lambda _: ranking_pb2.RankResponse(
        item_ids=[204, 131],
        scores=[3.5, 4.5],
        titles=["Back to the Future (1985)", "Breakfast at Tiffany's (1961)"],
        model_name="movielens",
        model_version=3,
        choice_scores=[-1.0, -1.0 - math.log(4)],
        user_basis=ranking_pb2.USER_BASIS_HISTORY,
    )
    return movies
