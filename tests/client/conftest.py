from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from client.any_client import AnyClient, Kind
from client.scripted_server import ScriptedServer

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
