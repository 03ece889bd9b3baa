import asyncio
import math
import threading
import time
from collections.abc import Iterator

import grpc
import pytest

from client.any_client import AnyClient
from client.conftest import Connect
from client.scripted_server import RefusedError, ScriptedServer, echo
from client.test_client_messages import full_model
from rankserve.v1 import models_pb2, ranking_pb2
from rankserve_client import (
    AsyncRankingClient,
    Cancelled,
    DeadlineExceeded,
    InvalidRequest,
    MessageTooLarge,
    NewItem,
    Overloaded,
    Ranking,
    RankingClient,
    RankQuery,
    ServerError,
    Unreachable,
)


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Lets `stuck` answers go, at the latest when the test is over."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def stuck(server: ScriptedServer, release: threading.Event) -> ScriptedServer:
    """The server, but its answers wait."""

    def wait(request: ranking_pb2.RankRequest) -> ranking_pb2.RankResponse:
        release.wait(10)
        return echo(request)

    server.answer = wait
    return server


async def test_ranks(client: AnyClient, server: ScriptedServer) -> None:
    ranking = await client.rank(7, [204, 131], titles=True)
    assert ranking == Ranking((204, 131), (2.0, 1.0), ("item 204", "item 131"), (), True, "scripted", 7)
    assert server.requests == [ranking_pb2.RankRequest(user_id=7, candidate_ids=[204, 131], include_titles=True)]


async def test_rank_passes_every_argument_on(client: AnyClient, server: ScriptedServer) -> None:
    await client.rank(
        7,
        [204, 131],
        top_k=1,
        model="m",
        alias="stable",
        history=[(5, 4.0)],
        exclude_seen=True,
        exclude=[131],
        order="as_sent",
        titles=True,
        unknown_user="reject",
        unknown_items="reject",
        rank_by="rating",
        user_features={"age": "24"},
        new_items=[NewItem(131, ["Comedy"])],
    )
    (request,) = server.requests
    assert {descriptor.name for descriptor, _ in request.ListFields()} == {
        field.name for field in ranking_pb2.RankRequest.DESCRIPTOR.fields
    }
    assert request.model == ranking_pb2.ModelSelector(name="m", alias="stable")
    assert request.unknown_items == ranking_pb2.UNKNOWN_ITEMS_REJECT


async def test_batches_and_streams_carry_what_is_known(client: AnyClient, server: ScriptedServer) -> None:
    server.answer = lambda request: ranking_pb2.RankResponse(
        item_ids=request.candidate_ids,
        scores=[3.5],
        choice_scores=[-0.25],
        unknown_item_ids=request.candidate_ids,
        described_item_ids=[item.item_id for item in request.new_items],
        user_basis=ranking_pb2.USER_BASIS_HISTORY_AND_FEATURES,
    )
    query = RankQuery(
        0, [7], rank_by="choice", history={5: 4.0}, user_features={"age": "24"}, new_items=[NewItem(7, year=1996)]
    )
    expected = Ranking((7,), (3.5,), None, (7,), False, "", 0, (-0.25,), "history+features", (7,))
    assert await client.rank_batch([query]) == [expected]
    assert await client.rank_stream([query]) == [expected]


async def test_a_bad_argument_never_leaves(client: AnyClient, server: ScriptedServer) -> None:
    with pytest.raises(ValueError, match="`candidates` is empty"):
        await client.rank(7, [])
    with pytest.raises(TypeError, match="`candidates`"):
        await client.rank(7, ["204"])
    with pytest.raises(ValueError, match="`timeout`"):
        await client.rank(7, [204], timeout=-1)
    assert server.requests == []


async def test_ranks_a_batch(client: AnyClient, server: ScriptedServer) -> None:
    results = await client.rank_batch(query for query in (RankQuery(1, [204], titles=True), RankQuery(2, [131, 204])))
    first, second = results
    assert isinstance(first, Ranking)
    assert isinstance(second, Ranking)
    assert (first.model_version, first.titles) == (1, ("item 204",))
    assert (second.model_version, second.titles, second.item_ids) == (2, None, (131, 204))
    assert len(server.requests) == 1


async def test_a_refused_query_of_a_batch_does_not_touch_its_neighbours(
    client: AnyClient, server: ScriptedServer
) -> None:
    def refuse_user_2(request: ranking_pb2.RankRequest) -> ranking_pb2.RankResponse:
        if request.user_id == 2:
            raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, "too many candidates")
        return echo(request)

    server.answer = refuse_user_2
    first, second, third = await client.rank_batch([RankQuery(user, [204]) for user in (1, 2, 3)])
    assert isinstance(first, Ranking)
    assert isinstance(second, InvalidRequest)
    assert (second.message, second.target) == ("too many candidates", server.target)
    assert isinstance(third, Ranking)


async def test_an_empty_batch_is_no_call(client: AnyClient, server: ScriptedServer) -> None:
    assert await client.rank_batch([]) == []
    assert server.requests == []


async def test_a_wrong_number_of_answers_is_the_servers_fault(client: AnyClient, server: ScriptedServer) -> None:
    server.forgotten_answers = 1
    with pytest.raises(ServerError, match="gave 1 answers to 2 queries"):
        await client.rank_batch([RankQuery(1, [204]), RankQuery(2, [204])])


async def test_describes_models(client: AnyClient, server: ScriptedServer) -> None:
    server.models = [full_model(), models_pb2.Model(name="other", version=1)]
    assert [info.name for info in await client.models()] == ["movielens", "other"]
    assert (await client.model("movielens", version=3)).metrics["test_rmse"] == 0.9375
    assert (await client.model()).version == 3
    assert [request.model for request in server.requests[1:]] == [
        ranking_pb2.ModelSelector(name="movielens", version=3),
        ranking_pb2.ModelSelector(),
    ]
    with pytest.raises(ValueError, match="`version` or `alias`"):
        await client.model("movielens", version=3, alias="stable")


async def test_metadata_goes_with_every_call(connect: Connect, server: ScriptedServer) -> None:
    server.models = [full_model()]
    client = connect(server.target, metadata={"authorization": "Bearer abc", "trace-bin": b"\x01"})
    await client.rank(7, [204])
    await client.rank_batch([RankQuery(7, [204])])
    await client.rank_stream([RankQuery(7, [204])])
    await client.models()
    await client.model()
    assert len(server.metadata) == 5
    for metadata in server.metadata:
        assert metadata["authorization"] == "Bearer abc"
        assert metadata["trace-bin"] == b"\x01"
        assert str(metadata["user-agent"]).startswith("rankserve-client/")


async def test_the_user_goes_with_each_rank_where_that_is_asked_for(connect: Connect, server: ScriptedServer) -> None:
    asked, plain = connect(server.target, send_user=True), connect(server.target)
    await asked.rank(-7, [1])
    await asked.rank_batch([RankQuery(8, [1])])
    await plain.rank(9, [1])
    assert [metadata.get("x-rankserve-user") for metadata in server.metadata] == ["-7", None, None]


async def test_a_call_takes_no_longer_than_its_deadline(connect: Connect, stuck: ScriptedServer) -> None:
    client = connect(stuck.target, timeout=0.1)
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded, match=rf"no answer from {stuck.target} within 0\.1 s"):
        await client.rank(7, [204])
    with pytest.raises(DeadlineExceeded, match=r"within 0\.2 s"):
        await client.rank(7, [204], timeout=0.2)
    assert time.monotonic() - started < 2
    assert stuck.ended.wait(2), "the server is to learn of it"


async def test_a_deadline_can_be_longer_than_the_clients_or_none(
    connect: Connect, stuck: ScriptedServer, release: threading.Event
) -> None:
    client = connect(stuck.target, timeout=0.05)
    threading.Timer(0.2, release.set).start()
    longer, none = await asyncio.gather(
        client.rank(7, [204], timeout=5), client.rank_batch([RankQuery(7, [204])], timeout=math.inf)
    )
    assert longer.item_ids == (204,)
    assert len(none) == 1


async def test_no_server_is_no_answer_at_once(connect: Connect) -> None:
    client = connect("127.0.0.1:1")
    started = time.monotonic()
    with pytest.raises(Unreachable, match=r"no server answers at 127\.0\.0\.1:1") as caught:
        await client.rank(7, [204])
    assert time.monotonic() - started < 2
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE
    assert isinstance(caught.value.__cause__, grpc.RpcError)


async def test_a_message_over_the_limit_is_not_an_overload(connect: Connect, server: ScriptedServer) -> None:
    client = connect(server.target, max_message_bytes=1000)
    with pytest.raises(MessageTooLarge):
        await client.rank(7, range(2000))
    with pytest.raises(MessageTooLarge):
        await client.rank(7, range(300), titles=True)
    server.answer = lambda _: _raise(RefusedError(grpc.StatusCode.RESOURCE_EXHAUSTED, "the queue is full"))
    with pytest.raises(Overloaded):
        await client.rank(7, [204])


def _raise(error: Exception) -> ranking_pb2.RankResponse:
    raise error


async def test_a_closed_client_says_so(client: AnyClient) -> None:
    await client.rank(7, [204])
    await client.close()
    await client.close()
    for call in (client.rank(7, [204]), client.rank_batch([RankQuery(7, [204])]), client.models(), client.model()):
        with pytest.raises(RuntimeError, match="the client is closed"):
            await call
    with pytest.raises(RuntimeError, match="the client is closed"):
        await client.rank_stream([RankQuery(7, [204])])


async def test_closing_ends_a_call_under_way(client: AnyClient, stuck: ScriptedServer) -> None:
    call = asyncio.create_task(client.rank(7, [204]))
    assert await asyncio.to_thread(stuck.called.wait, 5)
    await client.close()
    with pytest.raises(Cancelled):
        await call


def test_a_context_manager_closes(server: ScriptedServer) -> None:
    with RankingClient(server.target) as client:
        assert client.rank(7, [204]).item_ids == (204,)
        assert client.target == server.target
    with pytest.raises(RuntimeError, match="the client is closed"), client:
        pass


async def test_an_async_context_manager_closes(server: ScriptedServer) -> None:
    async with AsyncRankingClient(server.target) as client:
        assert (await client.rank(7, [204])).item_ids == (204,)
        assert client.target == server.target
    with pytest.raises(RuntimeError, match="the client is closed"):
        async with client:
            pass


def test_an_injected_channel_stays_open(server: ScriptedServer) -> None:
    with grpc.insecure_channel(server.target) as channel:
        for _ in range(2):
            with RankingClient(channel=channel) as client:
                assert client.rank(7, [204]).item_ids == (204,)
    with RankingClient(channel=channel) as client:
        with pytest.raises(RuntimeError, match="the client is closed"):
            client.rank(7, [204])
        with pytest.raises(RuntimeError, match="the client is closed"):
            list(client.rank_stream([RankQuery(7, [204])]))


async def test_an_injected_async_channel_stays_open(server: ScriptedServer) -> None:
    async with grpc.aio.insecure_channel(server.target) as channel:
        for _ in range(2):
            async with AsyncRankingClient(channel=channel) as client:
                assert (await client.rank(7, [204])).item_ids == (204,)
    async with AsyncRankingClient(channel=channel) as client:
        with pytest.raises(RuntimeError, match="the client is closed"):
            await client.rank(7, [204])
        with pytest.raises(RuntimeError, match="the client is closed"):
            _ = [result async for result in client.rank_stream([RankQuery(7, [204])])]


def test_threads_share_a_client(server: ScriptedServer) -> None:
    answers: list[Ranking] = []
    with RankingClient(server.target) as client:
        threads = [
            threading.Thread(target=lambda user=user: answers.append(client.rank(user, [user]))) for user in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(answer.item_ids for answer in answers) == [(user,) for user in range(20)]
    assert all(answer.item_ids == (answer.model_version,) for answer in answers)


async def test_cancelling_a_task_cancels_its_call(stuck: ScriptedServer) -> None:
    async with AsyncRankingClient(stuck.target) as client:
        call = asyncio.create_task(client.rank(7, [204]))
        assert await asyncio.to_thread(stuck.called.wait, 5)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await asyncio.to_thread(stuck.ended.wait, 2), "the server is to learn of it"


def test_an_async_client_can_be_made_before_its_loop(server: ScriptedServer) -> None:
    client = AsyncRankingClient(server.target)

    async def use() -> Ranking:
        async with client:
            return await client.rank(7, [204])

    assert asyncio.run(use()).item_ids == (204,)
