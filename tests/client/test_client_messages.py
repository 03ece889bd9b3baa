from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankserve.v1 import models_pb2, ranking_pb2
from rankserve_client import Abilities, DatasetInfo, NewItem, Ranking, RankQuery, ShadowReport
from rankserve_client.messages import to_model_info, to_ranking, to_request, to_selector
from rankserve_client.ranking import UserBasis

INT64 = st.integers(-(2**63), 2**63 - 1)
FLOAT32 = st.floats(width=32, allow_nan=False)


def test_every_field_of_a_query_goes_out() -> None:
    request = to_request(
        RankQuery(
            42,
            [204, 141, 204],
            top_k=2,
            model="movielens",
            version=3,
            history={5: 4.0, 6: 1.5},
            exclude_seen=True,
            exclude=[141],
            order="as_sent",
            titles=True,
            unknown_user="reject",
            unknown_items="omit",
            rank_by="choice",
            user_features={"gender": "F", "age": "24"},
            new_items=[NewItem(141, ["Comedy", "Drama"], 1996), NewItem(204)],
        )
    )
    assert request == ranking_pb2.RankRequest(
        user_id=42,
        candidate_ids=[204, 141, 204],
        top_k=2,
        model=ranking_pb2.ModelSelector(name="movielens", version=3),
        history=ranking_pb2.History(item_ids=[5, 6], ratings=[4.0, 1.5]),
        exclude_seen=True,
        exclude_ids=[141],
        order=ranking_pb2.ORDER_AS_SENT,
        include_titles=True,
        unknown_user=ranking_pb2.UNKNOWN_USER_REJECT,
        unknown_items=ranking_pb2.UNKNOWN_ITEMS_OMIT,
        rank_by=ranking_pb2.RANK_BY_CHOICE,
        user_features={"age": "24", "gender": "F"},
        new_items=[
            ranking_pb2.NewItem(item_id=141, genres=["Comedy", "Drama"], year=1996),
            ranking_pb2.NewItem(item_id=204),
        ],
    )
    set_fields = {descriptor.name for descriptor, _ in request.ListFields()}
    assert set_fields == {field.name for field in ranking_pb2.RankRequest.DESCRIPTOR.fields}, "a field is not tested"


def test_defaults_take_no_bytes() -> None:
    assert to_request(RankQuery(0, [1])) == ranking_pb2.RankRequest(candidate_ids=[1])
    nothing_known = RankQuery(0, top_k=1, history={}, user_features={}, new_items=[])
    assert to_request(nothing_known) == ranking_pb2.RankRequest(top_k=1)
    assert to_request(RankQuery(0, [1], rank_by="rating")).rank_by == ranking_pb2.RANK_BY_RATING
    assert to_request(RankQuery(0, [1], unknown_items="reject")).unknown_items == ranking_pb2.UNKNOWN_ITEMS_REJECT


def test_models_are_selected_by_name_version_or_alias() -> None:
    assert to_selector(None, None, None) is None
    assert to_selector("m", None, None) == ranking_pb2.ModelSelector(name="m")
    assert to_selector(None, 2, None) == ranking_pb2.ModelSelector(version=2)
    assert to_selector("m", None, "stable") == ranking_pb2.ModelSelector(name="m", alias="stable")


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"candidates": [1, "2"]}, "candidates"),
        ({"candidates": [1, 2.5]}, "candidates"),
        ({"candidates": [1, None]}, "candidates"),
        ({"candidates": [[1, 2]]}, "candidates"),
        ({"candidates": [1, 2**63]}, "candidates"),
        ({"candidates": [1], "exclude": ["2"]}, "exclude"),
        ({"candidates": [1], "history": {"5": 4.0}}, "history"),
        ({"candidates": [1], "history": {5: "good"}}, "history"),
        ({"candidates": [1], "history": {5: None}}, "history"),
    ],
)
def test_a_bad_id_is_refused_with_the_argument_it_is_in(options: dict[str, Any], name: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"`{name}`"):
        to_request(RankQuery(42, **options))


@given(
    user=INT64, candidates=st.lists(INT64, min_size=1), exclude=st.lists(INT64), history=st.dictionaries(INT64, FLOAT32)
)
def test_ids_and_ratings_survive_the_wire(
    user: int, candidates: list[int], exclude: list[int], history: dict[int, float]
) -> None:
    request = to_request(RankQuery(user, candidates, exclude=exclude, history=history))
    received = ranking_pb2.RankRequest.FromString(request.SerializeToString())
    assert received.user_id == user
    assert list(received.candidate_ids) == candidates
    assert list(received.exclude_ids) == exclude
    assert dict(zip(received.history.item_ids, received.history.ratings, strict=True)) == history


@given(
    items=st.lists(st.tuples(INT64, FLOAT32, st.text())),
    unknown=st.lists(INT64),
    known=st.booleans(),
    name=st.text(),
    version=INT64,
)
def test_every_field_of_a_response_comes_in(
    items: list[tuple[int, float, str]], unknown: list[int], known: bool, name: str, version: int
) -> None:
    response = ranking_pb2.RankResponse(
        item_ids=[item for item, _, _ in items],
        scores=[score for _, score, _ in items],
        titles=[title for _, _, title in items],
        unknown_item_ids=unknown,
        user_known=known,
        model_name=name,
        model_version=version,
    )
    ranking = to_ranking(ranking_pb2.RankResponse.FromString(response.SerializeToString()), titles=True)
    assert list(ranking) == [(item, score) for item, score, _ in items]
    assert ranking.titles == tuple(title for _, _, title in items)
    assert ranking.unknown_item_ids == tuple(unknown)
    assert (ranking.user_known, ranking.model_name, ranking.model_version) == (known, name, version)


@pytest.mark.parametrize("choices", [[], [0.0, -1.5]])
def test_what_the_user_and_items_were_scored_by_comes_in(choices: list[float]) -> None:
    response = ranking_pb2.RankResponse(
        item_ids=[7, 8],
        scores=[3.5, 3.0],
        unknown_item_ids=[7, 8, 9],
        described_item_ids=[7, 9],
        choice_scores=choices,
        user_basis=ranking_pb2.USER_BASIS_HISTORY,
    )
    ranking = to_ranking(response, titles=False)
    assert list(ranking) == [(7, 3.5), (8, 3.0)], "the score is the rating, whatever it was ranked by"
    assert ranking.choice_scores == (tuple(choices) or None)
    assert (ranking.unknown_item_ids, ranking.described_item_ids) == ((7, 8, 9), (7, 9))
    assert (ranking.user_known, ranking.user_basis) == (False, "history")


def test_every_user_basis_has_a_name() -> None:
    bases = [number for number in ranking_pb2.UserBasis.values() if number != ranking_pb2.USER_BASIS_UNSPECIFIED]
    names = [to_ranking(ranking_pb2.RankResponse(user_basis=number), titles=False).user_basis for number in bases]
    assert names == list(get_args(UserBasis))


@pytest.mark.parametrize("number", [0, 99])
def test_a_basis_that_is_not_known_follows_from_the_user(number: int) -> None:
    """0 is what an older server sends, 99 what a newer one might."""
    basis = b"" if number == 0 else bytes([10 << 3, number])
    known = ranking_pb2.RankResponse.FromString(b"\x20\x01" + basis)
    assert known.user_known
    assert to_ranking(known, titles=False).user_basis == "known"
    assert to_ranking(ranking_pb2.RankResponse.FromString(basis), titles=False).user_basis == "average"


def test_titles_are_none_only_where_they_were_not_asked_for() -> None:
    nothing_left = ranking_pb2.RankResponse()
    assert to_ranking(nothing_left, titles=True).titles == ()
    assert to_ranking(nothing_left, titles=False).titles is None


def test_a_ranking_is_a_sequence_of_pairs() -> None:
    ranking = Ranking((204, 131, 204), (3.5, 3.0, 2.5))
    assert len(ranking) == 3
    assert ranking[0] == (204, 3.5)
    assert ranking[-1] == (204, 2.5)
    assert ranking[:2] == ((204, 3.5), (131, 3.0))
    assert list(reversed(ranking)) == [(204, 2.5), (131, 3.0), (204, 3.5)]
    assert (131, 3.0) in ranking
    assert ranking.index((131, 3.0)) == 1
    assert not Ranking((), ())
    with pytest.raises(IndexError):
        ranking[3]


def test_a_ranking_is_a_value() -> None:
    assert Ranking((1,), (2.0,)) == Ranking((1,), (2.0,))
    assert hash(Ranking((1,), (2.0,))) == hash(Ranking((1,), (2.0,)))
    with pytest.raises(AttributeError):
        Ranking((1,), (2.0,)).scores = ()  # type: ignore[misc]  # frozen: tried on purpose


def full_model() -> models_pb2.Model:
    model = models_pb2.Model(
        name="movielens",
        version=3,
        state=models_pb2.MODEL_STATE_READY,
        state_message="fine",
        is_default=True,
        aliases=["stable"],
        preset="tutorial",
        dataset=models_pb2.Dataset(name="movielens/100k", fingerprint="ab12", rating_count=100_000),
        metrics={"test_rmse": 0.9375, "train_rmse": 0.875},
        user_count=943,
        item_count=1682,
        rating_min=1.0,
        rating_max=5.0,
        library_versions={"keras": "3.15.1"},
        abilities=models_pb2.Abilities(
            history=True, user_features=["age", "gender"], new_items=True, choice=True, baseline=True
        ),
        is_current=True,
        is_pinned=True,
        canary_percent=12.5,
        shadow_percent=50.0,
        shadow_report=models_pb2.ShadowReport(
            compared=1_000,
            left_out=20,
            failed=3,
            overlap_at_10=0.75,
            kendall_tau=0.5,
            score_difference=-0.25,
            absolute_score_difference=0.375,
        ),
    )
    model.create_time.FromDatetime(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    return model


def test_every_field_of_a_model_comes_in() -> None:
    model = full_model()
    info = to_model_info(model)
    assert (info.name, info.version, info.state, info.state_message) == ("movielens", 3, "ready", "fine")
    assert (info.is_default, info.aliases, info.preset) == (True, ("stable",), "tutorial")
    assert info.created == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert info.dataset == DatasetInfo("movielens/100k", "ab12", 100_000)
    assert (info.user_count, info.item_count, info.rating_min, info.rating_max) == (943, 1682, 1.0, 5.0)
    assert info.metrics == {"test_rmse": 0.9375, "train_rmse": 0.875}
    assert info.library_versions == {"keras": "3.15.1"}
    assert info.abilities == Abilities(
        history=True, user_features=("age", "gender"), new_items=True, choice=True, baseline=True
    )
    assert (info.is_current, info.is_pinned, info.canary_percent, info.shadow_percent) == (True, True, 12.5, 50)
    assert info.shadow_report == ShadowReport(1_000, 20, 3, 0.75, 0.5, -0.25, 0.375)
    set_fields = {descriptor.name for descriptor, _ in model.ListFields()}
    assert set_fields == {field.name for field in models_pb2.Model.DESCRIPTOR.fields}, "a field is not tested"


def test_a_failed_model_has_little_to_say() -> None:
    failed = models_pb2.Model(name="m", version=1, state=models_pb2.MODEL_STATE_FAILED, state_message="truncated")
    info = to_model_info(failed)
    assert (info.state, info.state_message) == ("failed", "truncated")
    assert (info.created, info.dataset, dict(info.metrics), info.abilities) == (None, None, {}, Abilities())


def test_a_state_of_a_newer_server_is_unknown() -> None:
    newer = models_pb2.Model.FromString(b"\x18\x63")  # state = 99
    assert to_model_info(newer).state == "unknown"


def test_a_description_does_not_change() -> None:
    info = to_model_info(full_model())
    with pytest.raises(TypeError):
        info.metrics["test_rmse"] = 0.0  # type: ignore[index]  # frozen: tried on purpose
    with pytest.raises(AttributeError):
        info.version = 4  # type: ignore[misc]  # frozen: tried on purpose
