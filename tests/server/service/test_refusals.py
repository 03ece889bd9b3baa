"""Every way in which a request is refused: code, message and details, from each of the three calls."""

import asyncio
import re
from collections.abc import AsyncIterable

import grpc
import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2

from integration.statuses import only_detail, status_of, violations_of
from rankserve.v1 import models_pb2, ranking_pb2
from server.service.conftest import LocalServer, Serve

Request = ranking_pb2.RankRequest
Selector = ranking_pb2.ModelSelector
History = ranking_pb2.History
NewItem = ranking_pb2.NewItem

GOOD = Request(user_id=2, candidate_ids=[1, 4])
LIMITS = {"max_candidates": 10, "max_top_k": 20, "max_history": 15}
CATALOGUE_NEEDS_TOP_K = "should be 1 or more where `candidate_ids` is empty, which means the whole catalogue, got 0"

INVALID: dict[str, tuple[ranking_pb2.RankRequest, list[tuple[str, str]]]] = {
    "nothing at all": (Request(), [("top_k", CATALOGUE_NEEDS_TOP_K)]),
    "the catalogue without top_k": (Request(user_id=2), [("top_k", CATALOGUE_NEEDS_TOP_K)]),
    "too many candidates": (
        Request(candidate_ids=range(11)),
        [("candidate_ids", "at most 10 are accepted, got 11")],
    ),
    "a negative top_k": (
        Request(candidate_ids=[1], top_k=-1),
        [("top_k", "should be 0 (for all) or more, got -1")],
    ),
    "a large top_k": (Request(candidate_ids=[1], top_k=21), [("top_k", "at most 20 is accepted, got 21")]),
    "too many exclusions": (
        Request(candidate_ids=[1], exclude_ids=range(11)),
        [("exclude_ids", "at most 10 are accepted, got 11")],
    ),
    "an order without a name": (
        Request(candidate_ids=[1], order=7),  # type: ignore[arg-type]  # no such value, on purpose
        [("order", "should be one of ORDER_UNSPECIFIED, ORDER_BY_SCORE, ORDER_AS_SENT, got 7")],
    ),
    "negative enums": (
        Request(candidate_ids=[1], unknown_user=-1, unknown_items=4),  # type: ignore[arg-type]  # no such value, on purpose
        [
            (
                "unknown_user",
                "should be one of UNKNOWN_USER_UNSPECIFIED, UNKNOWN_USER_SCORE, UNKNOWN_USER_REJECT, got -1",
            ),
            (
                "unknown_items",
                "should be one of UNKNOWN_ITEMS_UNSPECIFIED, UNKNOWN_ITEMS_SCORE, UNKNOWN_ITEMS_OMIT, "
                "UNKNOWN_ITEMS_REJECT, got 4",
            ),
        ],
    ),
    "version 0": (
        Request(candidate_ids=[1], model=Selector(version=0)),
        [("model.version", "should be 1 or more, got 0")],
    ),
    "history of unequal columns": (
        Request(candidate_ids=[1], history=History(item_ids=[1, 2], ratings=[5.0])),
        [("history.ratings", "should have one rating for each item, got 1 for 2 items")],
    ),
    "history of no number": (
        Request(candidate_ids=[1], history=History(item_ids=[1, 2], ratings=[5.0, float("nan")])),
        [("history.ratings[1]", "should be a number, got nan")],
    ),
    "a history that is too long": (
        Request(candidate_ids=[1], history=History(item_ids=range(16), ratings=[3] * 16)),
        [("history.item_ids", "at most 15 are accepted, got 16")],
    ),
    "items that are rated twice": (
        Request(candidate_ids=[1], history=History(item_ids=[4, 1, 4, 7, 1, 4], ratings=[3] * 6)),
        [
            ("history.item_ids", "should have each item once, got item 4 3 times"),
            ("history.item_ids", "should have each item once, got item 1 2 times"),
        ],
    ),
    "new items that are described twice, or come from long ago": (
        Request(
            candidate_ids=[1],
            new_items=[NewItem(item_id=2), NewItem(item_id=3, year=-5), NewItem(item_id=2, year=1990)],
        ),
        [
            ("new_items", "should have each item once, got item 2 2 times"),
            ("new_items[1].year", "should be 1 or more, or 0 for not known, got -5"),
        ],
    ),
    "too many new items": (
        Request(candidate_ids=[1], new_items=[NewItem(item_id=item) for item in range(11)]),
        [("new_items", "at most 10 are accepted, got 11")],
    ),
    "something to rank by without a name": (
        Request(candidate_ids=[1], rank_by=3),  # type: ignore[arg-type]  # no such value, on purpose
        [("rank_by", "should be one of RANK_BY_UNSPECIFIED, RANK_BY_RATING, RANK_BY_CHOICE, got 3")],
    ),
    "everything at once": (
        Request(candidate_ids=range(11), top_k=-5, exclude_ids=range(12), model=Selector(version=-2)),
        [
            ("candidate_ids", "at most 10 are accepted, got 11"),
            ("top_k", "should be 0 (for all) or more, got -5"),
            ("exclude_ids", "at most 10 are accepted, got 12"),
            ("model.version", "should be 1 or more, got -2"),
        ],
    ),
    "an unknown user that is rejected": (
        Request(user_id=3, candidate_ids=[1], unknown_user=ranking_pb2.UNKNOWN_USER_REJECT),
        [("user_id", "user 3 is not known to the model")],
    ),
    "unknown items that are rejected": (
        Request(user_id=2, candidate_ids=[2, 1, 3, 2], unknown_items=ranking_pb2.UNKNOWN_ITEMS_REJECT),
        [("candidate_ids", "2 not known to the model: 2, 3")],
    ),
}

NOT_FOUND = {
    "a name": (Selector(name="other"), "other", "model 'other' is not served; these are: small"),
    "a version": (Selector(version=4), "small/4", "version 4 of model 'small' is not served; version 3 is"),
    "a version of a name": (
        Selector(name="small", version=2),
        "small/2",
        "version 2 of model 'small' is not served; version 3 is",
    ),
    "an alias": (Selector(alias="best"), "small@best", "model 'small' has no alias 'best'"),
}


async def refusals(server: LocalServer, request: ranking_pb2.RankRequest) -> list[status_pb2.Status]:
    """How each of the three calls refuses a request; its neighbours have to be answered."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await server.ranking.Rank(request)
    batch = await server.ranking.BatchRank(ranking_pb2.BatchRankRequest(requests=[GOOD, request, GOOD]))
    streamed = [response async for response in server.ranking.RankStream(iter([GOOD, request, GOOD]))]
    alone = await server.ranking.Rank(GOOD)
    statuses = [status_of(caught.value)]
    for before, refused, after in (batch.responses, streamed):
        assert before == after == alone
        assert [field.name for field, _ in refused.ListFields()] == ["error"]
        error = refused.error
        statuses.append(status_pb2.Status(code=error.code, message=error.message, details=error.details))
    return statuses


@pytest.mark.parametrize("case", INVALID)
async def test_invalid_fields_are_all_named(serve: Serve, case: str) -> None:
    request, violations = INVALID[case]
    async with serve(**LIMITS) as server:
        statuses = await refusals(server, request)
        for status in statuses:
            assert status.code == code_pb2.INVALID_ARGUMENT
            assert violations_of(status) == violations
            assert status.message == "; ".join(f"{field}: {text}" for field, text in violations)
        assert set(server.engine.scored_users) == {1}, "only the neighbours were scored"


@pytest.mark.parametrize("case", NOT_FOUND)
async def test_a_model_that_is_not_served_is_named(serve: Serve, case: str) -> None:
    selector, resource, message = NOT_FOUND[case]
    async with serve() as server:
        statuses = await refusals(server, Request(candidate_ids=[1], model=selector))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await server.models.GetModel(models_pb2.GetModelRequest(model=selector))
    for status in (*statuses, status_of(caught.value)):
        assert (status.code, status.message) == (code_pb2.NOT_FOUND, message)
        detail = only_detail(status.details, error_details_pb2.ResourceInfo)
        assert (detail.resource_type, detail.resource_name) == ("rankserve.v1.Model", resource)
        assert detail.description == message


@pytest.mark.parametrize(
    ("field", "request_"),
    [
        ("history", Request(candidate_ids=[1], history=History(item_ids=[1], ratings=[5.0]))),
        ("user_features", Request(user_id=2, candidate_ids=[1], user_features={"age": "24"})),
        ("new_items", Request(candidate_ids=[1], new_items=[ranking_pb2.NewItem(item_id=1)])),
        ("rank_by", Request(user_id=2, top_k=3, rank_by=ranking_pb2.RANK_BY_CHOICE)),
    ],
)
async def test_what_this_model_cannot_use_is_not_supported(
    serve: Serve, field: str, request_: ranking_pb2.RankRequest
) -> None:
    async with serve() as server:
        for status in await refusals(server, request_):
            assert status.code == code_pb2.UNIMPLEMENTED
            assert status.message == f"small/3 cannot use `{field}`: its preset is 'tutorial'"
            assert not status.details


async def test_an_empty_history_is_none(serve: Serve) -> None:
    async with serve() as server:
        assert await server.ranking.Rank(Request(user_id=2, candidate_ids=[1, 4], history=History())) == (
            await server.ranking.Rank(GOOD)
        )


async def test_a_fault_of_the_server_is_told_without_its_particulars(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve() as server:
        server.engine.poisoned.add(3)
        for status in await refusals(server, Request(user_id=9, candidate_ids=[1])):
            assert status.code == code_pb2.INTERNAL
            assert status.message == "internal error; the server's log says more"
            assert not status.details
    assert "user row 3 cannot be scored" in caplog.text


class TestBatchLimits:
    async def test_a_batch_has_at_least_one_request(self, serve: Serve) -> None:
        async with serve() as server:
            await self.assert_refused(server, [], "1 to 1000 are accepted, got 0")

    async def test_the_requests_of_a_batch_are_limited(self, serve: Serve) -> None:
        async with serve(max_batch_requests=3) as server:
            answer = await server.ranking.BatchRank(ranking_pb2.BatchRankRequest(requests=[GOOD] * 3))
            assert len(answer.responses) == 3
            await self.assert_refused(server, [GOOD] * 4, "1 to 3 are accepted, got 4")

    async def test_the_candidates_of_a_batch_are_limited_and_catalogues_count_with_their_size(
        self, serve: Serve
    ) -> None:
        catalogue = Request(user_id=2, top_k=1)
        pair = Request(user_id=2, candidate_ids=[1, 4])
        message = re.compile(
            "at most 42 candidates are accepted together, got 4[34] or more; a request for the whole catalogue"
        )
        async with serve(max_batch_candidates=42) as server:
            for fits in ([pair] * 21, [catalogue, pair], [pair, GOOD, pair]):
                answer = await server.ranking.BatchRank(ranking_pb2.BatchRankRequest(requests=fits))
                assert len(answer.responses) == len(fits)
            await self.assert_refused(server, [pair] * 22, message)
            await self.assert_refused(server, [catalogue, pair, Request(candidate_ids=[1])], message)

    @staticmethod
    async def assert_refused(
        server: LocalServer, requests: list[ranking_pb2.RankRequest], expected: str | re.Pattern[str]
    ) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await server.ranking.BatchRank(ranking_pb2.BatchRankRequest(requests=requests))
        status = status_of(caught.value)
        assert status.code == code_pb2.INVALID_ARGUMENT
        ((field, description),) = violations_of(status)
        assert field == "requests"
        assert re.match(expected, description), description


class TestOverload:
    LARGE = ranking_pb2.BatchRankRequest(requests=[Request(user_id=2, candidate_ids=[1] * 10_000)] * 10)

    async def test_it_is_shed_with_a_time_to_come_back(self, serve: Serve) -> None:
        async with serve(max_queued_candidates=3) as server:
            server.engine.pause = 0.03  # for each of about 50 slices
            large = server.ranking.BatchRank(self.LARGE)
            await asyncio.to_thread(server.engine.wait_for_batches, 1)
            with pytest.raises(grpc.aio.AioRpcError) as alone:
                await server.ranking.Rank(GOOD)
            with pytest.raises(grpc.aio.AioRpcError) as batch:
                await server.ranking.BatchRank(ranking_pb2.BatchRankRequest(requests=[GOOD]))
            streamed = [response async for response in server.ranking.RankStream(iter([GOOD]))]
            for error in (status_of(alone.value), status_of(batch.value), streamed[0].error):
                assert error.code == code_pb2.RESOURCE_EXHAUSTED
                assert re.fullmatch(r"\d+ candidates are queued and 3 are accepted; try again later", error.message)
                delay = only_detail(error.details, error_details_pb2.RetryInfo).retry_delay.ToTimedelta()
                assert 0 < delay.total_seconds() < 10
            assert len((await large).responses) == 10
            assert len((await server.ranking.Rank(GOOD)).item_ids) == 2, "nothing is queued any more"

    async def test_what_is_shed_is_not_looked_at(self, serve: Serve) -> None:
        async with serve(max_queued_candidates=1) as server:
            server.engine.pause = 0.02
            large = server.ranking.BatchRank(self.LARGE)
            await asyncio.to_thread(server.engine.wait_for_batches, 1)
            nothing_to_score = Request(user_id=9, candidate_ids=[1], exclude_seen=True)
            for request in (nothing_to_score, Request(user_id=2, top_k=-1)):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await server.ranking.Rank(request)
                assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert not large.done()
            await large
            assert not (await server.ranking.Rank(nothing_to_score)).item_ids


async def test_a_message_over_the_limit_is_refused_and_the_connection_goes_on(serve: Serve) -> None:
    async with serve(max_message_bytes=2_000, max_candidates=5_000) as server:
        large = Request(user_id=2, candidate_ids=[1] * 2_000)
        for call in (
            server.ranking.Rank(large),
            server.ranking.BatchRank(ranking_pb2.BatchRankRequest(requests=[large])),
            _first(server.ranking.RankStream(iter([large]))),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "larger than max" in (caught.value.details() or "")
        assert len((await server.ranking.Rank(Request(candidate_ids=[1] * 1_900))).item_ids) == 1_900


async def _first(responses: AsyncIterable[ranking_pb2.RankResponse]) -> ranking_pb2.RankResponse:
    return await anext(aiter(responses))
