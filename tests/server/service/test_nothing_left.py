"""After rough clients nothing of their calls is left in the server: counted, object by object."""

import asyncio
import gc
import logging
import time
from collections import Counter
from contextlib import ExitStack

import pytest

from integration.client_processes import ClientProcess
from rankserve.v1 import ranking_pb2
from rankserve_server.service.status import overloaded_status
from server.service.conftest import LocalServer, Serve

# What calls consist of: our objects, and those of grpcio that keep something of its core.
PACKAGES = ("rankserve_server.", "grpc._cython.")
SETTLE_SECONDS = 20.0


@pytest.mark.parametrize("seconds", [1.0, pytest.param(15.0, marks=pytest.mark.soak)])
async def test_nothing_is_left_of_the_calls(serve: Serve, caplog: pytest.LogCaptureFixture, seconds: float) -> None:
    # It tells of streams whose clients have gone, and pytest would keep what it tells.
    caplog.set_level(logging.CRITICAL, "grpc._cython.cygrpc")
    async with serve() as server:
        await answer(server)
        gc.unfreeze()  # what the server has set aside counts too
        before = living()
        meanwhile = asyncio.create_task(asyncio.to_thread(be_rough, server.address, seconds))
        await asyncio.sleep(seconds / 2)
        assert living() - before, "calls cannot be counted while there are some"
        assert await meanwhile > 100
        assert not await left_over(server, before)


def be_rough(address: str, seconds: float) -> int:
    """Clients that stay and clients that are killed; returns how many calls one of the first has made."""
    with ExitStack() as clients:
        for seed, name in enumerate(["rough_client", "rude_client"]):
            clients.enter_context(ClientProcess(name, address, 10 * seconds, seed))
        rough = clients.enter_context(ClientProcess("rough_client", address, seconds, 2))
        rude = clients.enter_context(ClientProcess("rude_client", address, seconds, 3))
        assert rough.result()
        return int(rude.result())


def living() -> "Counter[str]":
    """How many objects of each type there are, but for errors: those of its own calls grpc.aio keeps for a while."""
    overloaded_status.cache_clear()  # kept on purpose, and not many
    gc.collect()
    things = (type(thing) for thing in gc.get_objects() if not isinstance(thing, BaseException))
    names = (f"{kind.__module__}.{kind.__qualname__}" for kind in things)
    return Counter(name for name in names if name.startswith(PACKAGES))


async def left_over(server: LocalServer, before: "Counter[str]") -> "Counter[str]":
    """What there is that was not there before, once it is nothing, or after some time."""
    until = time.monotonic() + SETTLE_SECONDS
    while True:
        await answer(server)  # the server may hold on to the last job until the next one comes
        left = living() - before
        if not left or time.monotonic() > until:
            return left
        await asyncio.sleep(0.5)


async def answer(server: LocalServer) -> None:
    response = await server.ranking.Rank(ranking_pb2.RankRequest(user_id=2, candidate_ids=[1]))
    assert list(response.item_ids) == [1]
