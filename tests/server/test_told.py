"""Histories, features and new items: answers against the definition, through planning, batches and encoding."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integration.versions import copy_version
from rankserve.v1 import ranking_pb2
from rankserve_server.errors import InvalidRequestError, UnsupportedError
from rankserve_server.limits import Limits
from rankserve_server.loaded_model import Abilities, LoadedModel
from rankserve_server.loading import load_version
from rankserve_server.ranking import Plan
from rankserve_server.score_batch import ScoreBatch
from rankserve_server.score_job import ScoreJob
from rankserve_server.score_slice import next_slice
from rankserve_server.service.conversion import query_of, response_of
from rankserve_server.service.encoding import ResponseEncoder
from rankserve_training.artifact import ArtifactError
from server.tower_answers import assert_answers
from server.tower_requests import requests
from server.two_towers import ITEMS, Published, publish_towers, random_towers

Request = ranking_pb2.RankRequest
History = ranking_pb2.History
NewItem = ranking_pb2.NewItem
LIMITS = Limits()


def answers(requests: Iterable[ranking_pb2.RankRequest], model: LoadedModel) -> list[ranking_pb2.RankResponse]:
    """As the server does it, all in one batch."""
    plans = [Plan(query_of(request, LIMITS), model) for request in requests]
    jobs = [ScoreJob(model.engine, plan.user_row, plan.item_rows, newcomer=plan.newcomer) for plan in plans]
    while waiting := [job for job in jobs if job.remaining]:
        slices = [next_slice(job) for job in waiting]
        ScoreBatch(slices, []).finish()
        for piece in slices:
            assert piece.job.error is None
            piece.job.scored = piece.stop
    rankings = [plan.finish(job.scores) for plan, job in zip(plans, jobs, strict=True)]
    responses = [response_of(ranking, model) for ranking in rankings]
    encoder = ResponseEncoder(model)
    assert [ranking_pb2.RankResponse.FromString(encoder.encode(ranking)) for ranking in rankings] == responses
    return responses


def answer(model: LoadedModel, **fields: Any) -> ranking_pb2.RankResponse:
    (response,) = answers([Request(**fields)], model)
    return response


@settings(max_examples=300, deadline=None)
@given(request=requests())
def test_answers_as_the_protocol_says(
    request: ranking_pb2.RankRequest, towers_model: LoadedModel, published: Published
) -> None:
    (response,) = answers([request], towers_model)
    assert_answers(request, response, published.towers)


@settings(max_examples=50, deadline=None)
@given(several=st.lists(requests(), min_size=2, max_size=12))
def test_bits_do_not_depend_on_the_company(several: list[ranking_pb2.RankRequest], towers_model: LoadedModel) -> None:
    together = answers(several, towers_model)
    assert together == [response for request in several for response in answers([request], towers_model)]


@settings(max_examples=50, deadline=None)
@given(request=requests(), random=st.randoms())
def test_the_order_of_a_history_only_rounds(
    request: ranking_pb2.RankRequest, random: Any, towers_model: LoadedModel
) -> None:
    pairs = list(zip(request.history.item_ids, request.history.ratings, strict=True))
    random.shuffle(pairs)
    shuffled = Request()
    shuffled.CopyFrom(request)
    shuffled.order = request.order = ranking_pb2.ORDER_AS_SENT
    shuffled.top_k = request.top_k = 1_000
    shuffled.ClearField("history")
    if pairs:
        shuffled.history.item_ids.extend(item for item, _ in pairs)
        shuffled.history.ratings.extend(rating for _, rating in pairs)
    one, other = answers([request, shuffled], towers_model)
    assert one.item_ids == other.item_ids
    assert np.allclose(one.scores, other.scores, rtol=0, atol=2e-5)
    assert np.allclose(one.choice_scores, other.choice_scores, rtol=0, atol=2e-5)


class TestExamples:
    """By hand, where the reference itself could be wrong."""

    HISTORY = History(item_ids=[5, 50], ratings=[5.0, 1.0])

    def test_a_catalogue_is_ranked_by_choice_and_candidates_by_rating(self, towers_model: LoadedModel) -> None:
        catalogue = answer(towers_model, user_id=3, top_k=ITEMS)
        assert list(catalogue.choice_scores) == sorted(catalogue.choice_scores, reverse=True)
        assert list(catalogue.scores) != sorted(catalogue.scores, reverse=True)
        candidates = answer(towers_model, user_id=3, candidate_ids=catalogue.item_ids)
        assert not candidates.choice_scores
        assert list(candidates.scores) == sorted(catalogue.scores, reverse=True)
        best = answer(towers_model, user_id=3, top_k=4)
        assert list(best.item_ids) == list(catalogue.item_ids)[:4]
        assert list(best.choice_scores) == list(catalogue.choice_scores)[:4]

    def test_a_history_counts_and_is_excluded_with_what_was_seen(
        self, towers_model: LoadedModel, published: Published
    ) -> None:
        user = 3 * 6  # has rated six items
        before = answer(towers_model, user_id=user, top_k=ITEMS)
        after = answer(towers_model, user_id=user, top_k=ITEMS, history=self.HISTORY, exclude_seen=True)
        assert before.user_basis == ranking_pb2.USER_BASIS_KNOWN
        assert after.user_basis == ranking_pb2.USER_BASIS_KNOWN_AND_HISTORY
        seen = published.towers.seen[user]
        assert len(seen) == 6
        assert set(before.item_ids) - set(after.item_ids) == seen | {5, 50}
        scores = dict(zip(before.item_ids, before.scores, strict=True))
        assert any(scores[item] != score for item, score in zip(after.item_ids, after.scores, strict=True))

    def test_a_history_of_unknown_items_is_none_but_is_excluded(self, towers_model: LoadedModel) -> None:
        history = History(item_ids=[1, 2], ratings=[5.0, 1.0])
        told = answer(towers_model, user_id=1, candidate_ids=[1, 5, 10], history=history, exclude_seen=True)
        assert told == answer(towers_model, user_id=1, candidate_ids=[5, 10])
        assert told.user_basis == ranking_pb2.USER_BASIS_AVERAGE

    def test_features_of_a_known_user_are_ignored(self, towers_model: LoadedModel) -> None:
        fields = {"user_id": 9, "candidate_ids": [5, 10, 1]}
        assert answer(towers_model, **fields, user_features={"age": "24"}) == answer(towers_model, **fields)

    def test_features_whose_values_nobody_has_seen_are_none(self, towers_model: LoadedModel) -> None:
        fields = {"user_id": 1, "candidate_ids": [5, 10, 1]}
        told = answer(towers_model, **fields, user_features={"age": "old", "gender": "?"})
        assert told == answer(towers_model, **fields)
        assert told.user_basis == ranking_pb2.USER_BASIS_AVERAGE

    def test_known_items_keep_their_bits_beside_new_ones(self, towers_model: LoadedModel) -> None:
        fields = {"user_id": 9, "candidate_ids": [7, 5, 8, 10, 7], "order": ranking_pb2.ORDER_AS_SENT}
        plain = answer(towers_model, **fields)
        new = [NewItem(item_id=7, genres=["War"], year=1999), NewItem(item_id=5, genres=["Comedy"]), NewItem(item_id=6)]
        told = answer(towers_model, **fields, new_items=new, include_titles=True)
        assert list(told.unknown_item_ids) == [7, 8]
        assert list(told.described_item_ids) == [7]
        assert [told.scores[place] for place in (1, 2, 3)] == [plain.scores[place] for place in (1, 2, 3)]
        assert told.scores[0] == told.scores[4] != plain.scores[0]
        assert list(told.titles) == ["", "Item 5", "", "Item 10", ""]

    def test_more_new_items_than_one_call_takes(self, towers_model: LoadedModel, published: Published) -> None:
        ids = [5 * place + 1 for place in range(300)]
        genres = [["War"], ["Comedy", "Drama"], []]
        new = [NewItem(item_id=id_, genres=genres[id_ % 3], year=1970 + id_ % 40) for id_ in ids]
        candidates = [id_ for new_id in ids for id_ in (new_id, 5, ids[0])]
        request = Request(user_id=2, candidate_ids=candidates, history=self.HISTORY, new_items=new)
        (response,) = answers([request], towers_model)
        assert_answers(request, response, published.towers)

    def test_a_long_history(self, towers_model: LoadedModel, published: Published) -> None:
        items = published.towers.item_ids
        history = History(item_ids=[*items, *range(10_001, 10_900)], ratings=[3.0] * (ITEMS + 899))
        request = Request(user_id=2, top_k=20, history=history)
        (response,) = answers([request], towers_model)
        assert_answers(request, response, published.towers)


class TestRefusals:
    def test_ratings_outside_of_the_scale(self, towers_model: LoadedModel) -> None:
        history = History(item_ids=[5, 1, 10], ratings=[5.5, 3.0, 0.0])
        with pytest.raises(InvalidRequestError) as caught:
            answer(towers_model, user_id=1, candidate_ids=[5], history=history)
        assert [str(violation) for violation in caught.value.violations] == [
            "history.ratings[0]: should be 1 to 5, the scale of towers/1, got 5.5",
            "history.ratings[2]: should be 1 to 5, the scale of towers/1, got 0",
        ]

    @pytest.mark.parametrize("user", [1, 3])
    def test_features_that_the_model_does_not_use(self, towers_model: LoadedModel, user: int) -> None:
        with pytest.raises(InvalidRequestError) as caught:
            answer(towers_model, user_id=user, candidate_ids=[5], user_features={"age": "5", "shoe": "43"})
        (violation,) = caught.value.violations
        assert str(violation) == "user_features: 'shoe' is none of those that the model uses: age, gender"

    def test_new_items_that_are_rejected(self, towers_model: LoadedModel) -> None:
        with pytest.raises(InvalidRequestError, match=r"candidate_ids: 1 not known to the model: 7"):
            answer(
                towers_model,
                candidate_ids=[5, 7],
                new_items=[NewItem(item_id=7)],
                unknown_items=ranking_pb2.UNKNOWN_ITEMS_REJECT,
            )

    def test_what_a_model_of_ids_alone_cannot_use(self, tmp_path: Path) -> None:
        plain = load_version(publish_towers(tmp_path, random_towers(1), strangers=False).directory, lambda: None)
        assert plain.abilities == Abilities(history=False, user_features=(), new_items=False, choice=True)
        assert answer(plain, user_id=3, top_k=5).choice_scores
        with pytest.raises(UnsupportedError, match=r"^towers/1 cannot use `history`: its preset is 'towers'$"):
            answer(plain, candidate_ids=[5], history=History(item_ids=[5], ratings=[3.0]))


class TestLoading:
    def test_abilities(self, towers_model: LoadedModel) -> None:
        expected = Abilities(history=True, user_features=("age", "gender"), new_items=True, choice=True, baseline=True)
        assert towers_model.abilities == expected

    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (lambda manifest: manifest["golden_requests"][1]["scores"].__setitem__(2, 1.5), "user 60's golden request"),
            (
                lambda manifest: manifest["golden_requests"][0]["choice_scores"].__setitem__(0, 9.0),
                "the choice of user 3's golden request",
            ),
            (
                lambda manifest: manifest["golden_newcomers"][0]["scores"].__setitem__(0, 1.5),
                "the golden request 1 of a newcomer",
            ),
            (
                lambda manifest: manifest["golden_newcomers"][0]["choice_scores"].__setitem__(0, 9.0),
                "the choice of the golden request 1 of a newcomer",
            ),
            (lambda manifest: manifest["golden_newcomers"][0].update(scores=[]), "a golden newcomer should have"),
            (
                lambda manifest: manifest["golden_newcomers"][0].update(history_ratings=[]),
                "a golden newcomer should have",
            ),
        ],
        ids=range(6),
    )
    def test_golden_scores_have_to_be_kept(
        self, published: Published, tmp_path: Path, spoil: Callable[[dict[str, Any]], None], message: str
    ) -> None:
        version = copy_version(published.directory, tmp_path, "copy", 2)
        path = version / "manifest.json"
        manifest = json.loads(path.read_text(encoding="utf-8"))
        spoil(manifest)
        path.write_text(json.dumps(manifest), encoding="utf-8")
        with pytest.raises(ArtifactError, match=message):
            load_version(version, lambda: None)
