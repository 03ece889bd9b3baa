"""Real answers of a real server against Keras' own predictions and the data set."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from rankserve.v1 import ranking_pb2
from rankserve.v1.ranking_pb2_grpc import RankingServiceStub
from server.reference import World, ranked

Request = ranking_pb2.RankRequest
Scores = npt.NDArray[np.float32]
TOLERANCE = 1e-5
CATALOGUE = 1_682


@pytest.fixture(scope="session")
def world(keras_scores: Scores, models_dir: Path) -> World:
    """What the published model knows, read without any code of ours."""

    def score(user: int, item: int) -> float:
        known_user, known_item = 1 <= user <= 943, 1 <= item <= CATALOGUE
        return float(keras_scores[user if known_user else 0, item if known_item else 0])

    version = models_dir / "movielens" / "1"
    with np.load(version / "catalog.npz") as catalog, np.load(version / "users.npz") as users:
        blob, ends = catalog["titles.utf8"].tobytes(), catalog["titles.offsets"].tolist()
        titles = [blob[start:end].decode() for start, end in pairwise(ends)]
        seen = np.split(users["seen.rows"], users["seen.offsets"][1:-1])
        return World(
            titles=dict(zip(catalog["ids"].tolist(), titles, strict=True)),
            seen={user: set(rows.tolist()) for user, rows in zip(users["ids"].tolist(), seen, strict=True)},
            score=score,
        )


def assert_ranked(response: ranking_pb2.RankResponse, request: ranking_pb2.RankRequest, world: World) -> None:
    """As the reference, but for neighbours whose scores differ by less than float32 arithmetic does."""
    expected = ranked(request, world)
    assert isinstance(expected, ranking_pb2.RankResponse)
    np.testing.assert_allclose(response.scores, expected.scores, rtol=0, atol=2 * TOLERANCE)
    own = [world.score(request.user_id, item) for item in response.item_ids]
    np.testing.assert_allclose(response.scores, own, rtol=0, atol=TOLERANCE)
    if request.order != ranking_pb2.ORDER_AS_SENT:
        assert list(response.scores) == sorted(response.scores, reverse=True)
    if not request.top_k:
        assert sorted(response.item_ids) == sorted(expected.item_ids)
    assert response.unknown_item_ids == expected.unknown_item_ids
    assert response.user_known == expected.user_known
    assert (response.model_name, response.model_version) == ("movielens", 1)
    if request.include_titles:
        assert list(response.titles) == [world.titles.get(item, "") for item in response.item_ids]


def test_the_reference_knows_movielens(world: World) -> None:
    assert len(world.titles) == CATALOGUE
    assert len(world.seen) == 943
    assert sum(map(len, world.seen.values())) == 100_000
    assert (world.titles[1], world.titles[204]) == ("Toy Story (1995)", "Back to the Future (1985)")
    assert not {204, 141, 131}.isdisjoint(world.seen[42])


def test_the_tutorials_question(stub: RankingServiceStub, world: World) -> None:
    request = Request(user_id=42, candidate_ids=[204, 141, 131], include_titles=True)
    response = stub.Rank(request, timeout=10)
    assert_ranked(response, request, world)
    titles = {"Back to the Future (1985)", "20,000 Leagues Under the Sea (1954)", "Breakfast at Tiffany's (1961)"}
    assert set(response.titles) == titles


def test_every_item_for_every_user(stub: RankingServiceStub, keras_scores: Scores) -> None:
    """All 943 x 1,682 pairs, in batches, best first and each item once."""
    for start in range(1, 944, 50):
        users = range(start, min(start + 50, 944))
        batch = ranking_pb2.BatchRankRequest(requests=[Request(user_id=user, top_k=CATALOGUE) for user in users])
        for user, response in zip(users, stub.BatchRank(batch, timeout=30).responses, strict=True):
            items = np.array(response.item_ids)
            assert sorted(response.item_ids) == list(range(1, CATALOGUE + 1))
            np.testing.assert_allclose(response.scores, keras_scores[user, items], rtol=0, atol=TOLERANCE)
            assert (np.diff(response.scores) <= 0).all()


@pytest.mark.parametrize(
    "order", [ranking_pb2.ORDER_UNSPECIFIED, ranking_pb2.ORDER_BY_SCORE, ranking_pb2.ORDER_AS_SENT]
)
@pytest.mark.parametrize("omit", [ranking_pb2.UNKNOWN_ITEMS_UNSPECIFIED, ranking_pb2.UNKNOWN_ITEMS_OMIT])
def test_requests_of_all_kinds(
    stub: RankingServiceStub,
    world: World,
    order: ranking_pb2.Order.ValueType,
    omit: ranking_pb2.UnknownItems.ValueType,
) -> None:
    random = np.random.default_rng(order + 10 * omit)
    for count in (1, 2, 7, 100, 500, 2_000, 10_000):
        request = Request(
            user_id=int(random.integers(1, 1_100)),
            candidate_ids=random.integers(-20, 1_900, count).tolist(),
            top_k=int(random.choice([0, 1, 10, 5_000])),
            exclude_seen=bool(random.integers(2)),
            exclude_ids=random.integers(1, 1_700, int(random.integers(100))).tolist(),
            order=order,
            include_titles=True,
            unknown_items=omit,
        )
        assert_ranked(stub.Rank(request, timeout=10), request, world)


@pytest.mark.parametrize("user", [1, 405, 943, 944, 0, -1, 2**63 - 1])
def test_the_best_of_the_catalogue(stub: RankingServiceStub, world: World, user: int) -> None:
    for exclude_seen in (False, True):
        request = Request(
            user_id=user, top_k=20, exclude_seen=exclude_seen, exclude_ids=range(1, 50), include_titles=True
        )
        response = stub.Rank(request, timeout=10)
        assert_ranked(response, request, world)
        assert len(response.item_ids) == 20
        assert not set(response.item_ids) & set(range(1, 50))
        if exclude_seen:
            assert not set(response.item_ids) & set(world.seen.get(user, ()))


def test_strangers_all_get_the_same_scores(stub: RankingServiceStub) -> None:
    """Equal scores keep the order of the request, or ascending ids."""
    unknown = [5_000, 3_000, 4_000, -1]
    response = stub.Rank(Request(user_id=10_000, candidate_ids=unknown), timeout=10)
    assert list(response.item_ids) == unknown == list(response.unknown_item_ids)
    assert len(set(response.scores)) == 1
    assert not response.user_known
