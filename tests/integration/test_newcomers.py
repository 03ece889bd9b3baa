"""A real server with a version of two towers: choices, histories, features and new items, on both transports."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from google.rpc import code_pb2

from conftest import StartServer
from integration.server_process import ServerProcess
from integration.statuses import status_of, violations_of
from rankserve.v1 import models_pb2, models_pb2_grpc, ranking_pb2, ranking_pb2_grpc
from server.tower_answers import assert_answers
from server.two_towers import ITEMS, USERS, Published

Request = ranking_pb2.RankRequest
History = ranking_pb2.History
NewItem = ranking_pb2.NewItem
Stub = ranking_pb2_grpc.RankingServiceStub
CALLERS = 16

HISTORY = History(item_ids=[5, 50, 3, 450], ratings=[5, 1, 3, 4.5])
REQUESTS = [
    Request(user_id=3, candidate_ids=[5, 10, 1]),
    Request(user_id=3, top_k=20),
    Request(user_id=1, top_k=ITEMS, history=HISTORY, exclude_seen=True),
    Request(user_id=9, candidate_ids=range(1, 60), history=HISTORY, rank_by=ranking_pb2.RANK_BY_CHOICE),
    Request(user_id=1, candidate_ids=range(1, 60), user_features={"age": "24", "gender": "M"}),
    Request(user_id=6, candidate_ids=[7, 5, 8], new_items=[NewItem(item_id=7, genres=["War"], year=1990)]),
    Request(
        user_id=1,
        candidate_ids=range(300),
        history=HISTORY,
        user_features={"gender": "F"},
        new_items=[NewItem(item_id=id_, genres=["Drama"]) for id_ in range(1, 300, 2)],
        order=ranking_pb2.ORDER_AS_SENT,
    ),
]


def mixed_requests(seed: int) -> Iterator[ranking_pb2.RankRequest]:
    """Of every kind, with histories of every length."""
    random = np.random.default_rng(seed)
    while True:
        rated = random.permutation(5 * ITEMS + 500)[: int(np.exp(random.uniform(0, np.log(900))))] + 1
        history = History(item_ids=rated.tolist(), ratings=random.uniform(1, 5, len(rated)).tolist())
        user = int(random.integers(-5, 4 * USERS))
        count = int(np.exp(random.uniform(0, np.log(9_000))))
        candidates = random.integers(-9, 6 * ITEMS, count).tolist()
        yield Request(user_id=user, candidate_ids=candidates)
        yield Request(user_id=user, candidate_ids=candidates, history=history)
        yield Request(user_id=user, top_k=int(random.integers(1, 200)), history=history, exclude_seen=True)
        yield Request(
            user_id=user,
            candidate_ids=candidates[:500],
            user_features={"age": str(user)},
            new_items=[NewItem(item_id=id_, genres=["War"], year=1990) for id_ in dict.fromkeys(candidates[:400])],
        )


def encoded(response: ranking_pb2.RankResponse) -> bytes:
    return response.SerializeToString(deterministic=True)


def test_answers_are_those_of_the_definition(towers_server: ServerProcess, towers: Published) -> None:
    with grpc.insecure_channel(towers_server.address) as channel:
        for request in (*REQUESTS, *itertools.islice(mixed_requests(1), 8)):
            assert_answers(request, Stub(channel).Rank(request, timeout=10), towers.towers)


_by_transport: dict[str, list[bytes]] = {}


def test_the_same_bits_in_any_company_and_from_each_call(towers_server: ServerProcess) -> None:
    """And on either transport: whichever comes second compares."""
    with grpc.insecure_channel(towers_server.address) as channel:
        stub = Stub(channel)
        alone = [encoded(stub.Rank(request, timeout=10)) for request in REQUESTS]
        batch = stub.BatchRank(ranking_pb2.BatchRankRequest(requests=REQUESTS[::-1]), timeout=10)
        assert [encoded(response) for response in batch.responses] == alone[::-1]
        assert [encoded(response) for response in stub.RankStream(iter(REQUESTS), timeout=10)] == alone

    def call(seed: int) -> None:
        company = mixed_requests(seed)
        # A connection of its own, so that the calls do not come one after the other.
        with grpc.insecure_channel(towers_server.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            stub = Stub(channel)
            for number in range(8):
                place = (seed + number) % len(REQUESTS)
                stub.Rank(next(company), timeout=30)
                assert encoded(stub.Rank(REQUESTS[place], timeout=30)) == alone[place]

    with ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(call, range(CALLERS)))
    _by_transport[towers_server.address] = alone
    assert len({tuple(answers) for answers in _by_transport.values()}) == 1


def test_refusals_say_what_is_wrong(towers_server: ServerProcess) -> None:
    refused = {
        "history.ratings[1]": Request(candidate_ids=[5], history=History(item_ids=[5, 10], ratings=[1, 6])),
        "history.item_ids": Request(candidate_ids=[5], history=History(item_ids=[5, 5], ratings=[1, 2])),
        "user_features": Request(candidate_ids=[5], user_features={"shoe": "43"}),
        "new_items": Request(candidate_ids=[5], new_items=[NewItem(item_id=1)] * 2),
    }
    with grpc.insecure_channel(towers_server.address) as channel:
        for field, request in refused.items():
            with pytest.raises(grpc.RpcError) as caught:
                Stub(channel).Rank(request, timeout=10)
            status = status_of(caught.value)
            assert status.code == code_pb2.INVALID_ARGUMENT
            assert [name for name, _ in violations_of(status)] == [field]


def test_the_model_says_what_it_can_use(towers_server: ServerProcess) -> None:
    with grpc.insecure_channel(towers_server.address) as channel:
        stub = models_pb2_grpc.ModelServiceStub(channel)
        model = stub.GetModel(models_pb2.GetModelRequest(), timeout=10).model
    expected = models_pb2.Abilities(
        history=True, user_features=["age", "gender"], new_items=True, choice=True, baseline=True
    )
    assert model.abilities == expected


@pytest.mark.usefixtures("compiles_anew")
@pytest.mark.parametrize("transport", ["aio", pytest.param("direct", marks=pytest.mark.reliability)])
def test_nothing_compiles_under_mixed_traffic(
    start_server: StartServer, towers: Published, monkeypatch: pytest.MonkeyPatch, transport: str
) -> None:
    monkeypatch.setenv("JAX_LOG_COMPILES", "1")
    # Not forked: JAX has to read that as it is imported.
    server = start_server("--transport", transport, models=towers.models_dir, forked=False).wait_until_ready()
    loading = server.errors
    assert loading.count("Finished XLA compilation") > 10, "compilations would not have been seen"

    def call(seed: int) -> None:
        requests = mixed_requests(seed)
        with grpc.insecure_channel(server.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            stub = Stub(channel)
            for _ in range(3):
                for request in itertools.islice(requests, 8):
                    stub.Rank(request, timeout=30)
                batch = ranking_pb2.BatchRankRequest(requests=itertools.islice(requests, 8))
                stub.BatchRank(batch, timeout=30)
                list(stub.RankStream(itertools.islice(requests, 8), timeout=30))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(call, range(8)))
    assert server.stop().errors == loading


def test_longer_histories_are_accepted_where_the_server_is_told_so(
    start_server: StartServer, towers: Published
) -> None:
    history = History(item_ids=range(1, 2_001), ratings=[3.0] * 2_000)
    request = Request(user_id=1, candidate_ids=[5, 10], history=history)
    server = start_server("--max-history", "2000", models=towers.models_dir).wait_until_ready()
    with grpc.insecure_channel(server.address) as channel:
        assert_answers(request, Stub(channel).Rank(request, timeout=10), towers.towers)
        history.item_ids.append(9_999)
        history.ratings.append(3.0)
        request.history.CopyFrom(history)
        with pytest.raises(grpc.RpcError) as caught:
            Stub(channel).Rank(request, timeout=10)
    assert violations_of(status_of(caught.value)) == [("history.item_ids", "at most 2000 are accepted, got 2001")]
