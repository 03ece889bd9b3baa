"""What Rank means, against a plain reference."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rankserve.v1 import ranking_pb2
from rankserve_server.errors import InvalidRequestError, UnsupportedError
from rankserve_server.limits import Limits
from rankserve_server.loaded_model import LoadedModel
from rankserve_server.ranking import Plan, best_places
from rankserve_server.service.conversion import query_of, response_of
from rankserve_server.service.encoding import ResponseEncoder
from server.reference import Rejected, World, ranked
from server.small_model import USER_IDS, small_model, world_of

Request = ranking_pb2.RankRequest

SIZES = (1, 40, 1_500)
MODELS = {size: small_model(size) for size in SIZES}
WORLDS = {size: world_of(size) for size in SIZES}
INT64 = st.integers(-(2**63), 2**63 - 1)

users = st.one_of(st.sampled_from([*USER_IDS, 0, 3, -1]), INT64)
items = st.one_of(st.integers(1, 119), st.integers(1, 119), st.integers(1, 4_600), INT64)


@st.composite
def requests(draw: st.DrawFn) -> ranking_pb2.RankRequest:
    candidates = draw(st.lists(items, max_size=30))
    if draw(st.booleans()):  # long ones take another way through the selection
        random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        candidates += random.integers(-5, 4_600, draw(st.integers(400, 1_200))).tolist()
    return Request(
        user_id=draw(users),
        candidate_ids=candidates,
        top_k=draw(st.one_of(st.integers(1, 12), st.integers(1, 2_000), st.just(0) if candidates else st.just(10_000))),
        exclude_seen=draw(st.booleans()),
        exclude_ids=draw(st.one_of(st.just([]), st.lists(items, max_size=20), st.just(candidates[::2]))),
        order=draw(st.sampled_from(ranking_pb2.Order.values())),
        include_titles=draw(st.booleans()),
        unknown_user=draw(st.sampled_from(ranking_pb2.UnknownUser.values())),
        unknown_items=draw(st.sampled_from(ranking_pb2.UnknownItems.values())),
    )


@settings(max_examples=600, deadline=None)
@given(request=requests(), size=st.sampled_from(SIZES))
@example(request=Request(user_id=9, top_k=5, exclude_seen=True), size=40)
@example(request=Request(user_id=9, candidate_ids=[1, 4], exclude_seen=True, include_titles=True), size=40)
@example(request=Request(user_id=5, candidate_ids=[7, 7, 1, 7], top_k=2), size=40)
def test_answers_as_the_protocol_says(request: ranking_pb2.RankRequest, size: int) -> None:
    expected = ranked(request, WORLDS[size])
    if isinstance(expected, Rejected):
        with pytest.raises(InvalidRequestError) as caught:
            answer(request, MODELS[size])
        assert [violation.field for violation in caught.value.violations] == [expected.field]
    else:
        expected.model_name, expected.model_version = "small", 3
        assert answer(request, MODELS[size]) == expected


def answer(request: ranking_pb2.RankRequest, model: LoadedModel) -> ranking_pb2.RankResponse:
    """As the service does it, without the scheduler."""
    plan = Plan(query_of(request, Limits()), model)
    scores = score(plan, model)
    assert len(scores) == plan.count
    ranking = plan.finish(scores)
    response = response_of(ranking, model)
    assert ranking_pb2.RankResponse.FromString(ResponseEncoder(model).encode(ranking)) == response
    return response


def score(plan: Plan, model: LoadedModel) -> npt.NDArray[np.float32]:
    if plan.count == 0:
        return np.zeros(0, np.float32)
    if plan.item_rows is None:
        return model.engine.score_catalog(plan.user_row, 0, model.engine.item_count)
    return model.engine.score(np.full(plan.count, plan.user_row, np.int32), plan.item_rows)


class TestExamples:
    """The same by hand, where the reference itself could be wrong.

    Scores are 1 + (37 * user row + 11 * item row) % 256 / 64.
    """

    @staticmethod
    def ranks(**fields: Any) -> list[int]:
        return list(answer(Request(**fields), MODELS[40]).item_ids)

    def test_best_first(self) -> None:
        # Rows 1, 2, 3 of user row 1 give 48, 59, 70 of 64.
        response = answer(Request(user_id=2, candidate_ids=[4, 1, 7]), MODELS[40])
        assert list(response.item_ids) == [7, 4, 1]
        assert list(response.scores) == [1 + 70 / 64, 1 + 59 / 64, 1 + 48 / 64]
        assert response.user_known
        assert not response.unknown_item_ids
        assert not response.titles

    def test_equal_scores_keep_the_order_of_the_request(self) -> None:
        assert self.ranks(user_id=2, candidate_ids=[-5, 0, 6, -7]) == [-5, 0, 6, -7]
        assert self.ranks(user_id=2, candidate_ids=[6, -7, 1, 0, -5], top_k=3) == [1, 6, -7]

    def test_repeated_ids_are_kept_and_unknown_ones_reported_once(self) -> None:
        response = answer(Request(user_id=2, candidate_ids=[5, 1, 5, 1, 2]), MODELS[40])
        assert list(response.item_ids) == [1, 1, 5, 5, 2]
        assert list(response.unknown_item_ids) == [5, 2]

    def test_as_sent_with_top_k_gives_the_best_in_the_order_of_the_request(self) -> None:
        fields = {"user_id": 2, "candidate_ids": [1, 7, 4], "order": ranking_pb2.ORDER_AS_SENT}
        assert self.ranks(**fields) == [1, 7, 4]
        assert self.ranks(**fields, top_k=2) == [7, 4]

    def test_excluded_unknown_items_are_not_reported(self) -> None:
        response = answer(Request(user_id=2, candidate_ids=[1, 2, 3], exclude_ids=[2]), MODELS[40])
        assert list(response.unknown_item_ids) == [3]

    def test_everything_excluded_is_an_empty_answer(self) -> None:
        for request in (
            Request(user_id=9, top_k=3, exclude_seen=True),
            Request(user_id=2, candidate_ids=[1, 4], exclude_ids=[4, 1]),
            Request(user_id=2, candidate_ids=[2, 3], unknown_items=ranking_pb2.UNKNOWN_ITEMS_OMIT),
        ):
            response = answer(request, MODELS[40])
            assert (list(response.item_ids), list(response.scores)) == ([], [])
            assert response.user_known

    def test_the_extremes_of_64_bits_are_ids_like_any_other(self) -> None:
        ends = [2**63 - 1, -(2**63)]
        response = answer(Request(user_id=ends[0], candidate_ids=ends, exclude_ids=ends[1:]), MODELS[40])
        assert list(response.item_ids) == list(response.unknown_item_ids) == ends[:1]
        assert not response.user_known


class TestRefusals:
    def test_unknown_items_are_named_but_not_all_of_them(self) -> None:
        request = Request(
            user_id=2, candidate_ids=[1, *range(-1, -9, -1)], unknown_items=ranking_pb2.UNKNOWN_ITEMS_REJECT
        )
        with pytest.raises(InvalidRequestError) as caught:
            answer(request, MODELS[40])
        assert str(caught.value) == "candidate_ids: 8 not known to the model: -1, -2, -3, -4, -5 and 3 more"

    def test_an_unknown_user_is_named(self) -> None:
        request = Request(user_id=77, candidate_ids=[1], unknown_user=ranking_pb2.UNKNOWN_USER_REJECT)
        with pytest.raises(InvalidRequestError, match=r"^user_id: user 77 is not known to the model$"):
            answer(request, MODELS[40])

    def test_history_is_more_than_this_model_can_use(self) -> None:
        request = Request(user_id=2, candidate_ids=[1], history=ranking_pb2.History(item_ids=[1], ratings=[5.0]))
        with pytest.raises(UnsupportedError, match=r"^small/3 cannot use `history`: its preset is 'tutorial'$"):
            answer(request, MODELS[40])


@settings(max_examples=300, deadline=None)
@given(
    count=st.one_of(st.integers(0, 20), st.integers(500, 530), st.integers(1_000, 3_000)),
    levels=st.sampled_from([1, 2, 10, 10_000]),
    top_k=st.one_of(st.integers(0, 20), st.integers(0, 3_100)),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_best_places_are_those_of_a_stable_sort(count: int, levels: int, top_k: int, seed: int) -> None:
    scores = (np.random.default_rng(seed).integers(-levels, levels + 1, count) / 8).astype(np.float32)
    expected = sorted(range(count), key=lambda place: (-scores[place], place))
    assert best_places(scores, top_k).tolist() == expected[: top_k or count]


def test_the_reference_knows_the_same_model() -> None:
    for size in SIZES:
        model, world = MODELS[size], WORLDS[size]
        assert isinstance(world, World)
        assert model.catalog.ids.tolist() == list(world.titles)
        assert model.catalog.titles == list(world.titles.values())
        assert model.users.index.ids.tolist() == list(world.seen)
