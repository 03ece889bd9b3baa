"""The limits of every field, on a real server: the right answer or the right refusal, the same from each call."""

import math
import struct
from collections.abc import Iterator

import grpc
import pytest
from google.rpc import code_pb2

from integration.raw_connection import RawConnection, headers_of, message, messages_of
from integration.server_process import ServerProcess
from integration.statuses import status_of
from rankserve.v1 import ranking_pb2
from rankserve.v1.ranking_pb2_grpc import RankingServiceStub
from reliability.three_calls import answers_of, rank
from reliability.wrong_fields import assert_right
from server.two_towers import Published

Request = ranking_pb2.RankRequest
History = ranking_pb2.History
NewItem = ranking_pb2.NewItem
SMALLEST, LARGEST = -(2**63), 2**63 - 1
NAN, INFINITY = math.nan, math.inf
JUST_OVER_FIVE = struct.unpack("<f", (struct.unpack("<I", struct.pack("<f", 5.0))[0] + 1).to_bytes(4, "little"))[0]

CASES: dict[str, tuple[str, ranking_pb2.RankRequest]] = {
    "the ends of int64": ("answered", Request(user_id=SMALLEST, candidate_ids=[LARGEST, SMALLEST, 0, -1, 5])),
    "the other user": ("answered", Request(user_id=LARGEST, candidate_ids=[5, LARGEST, LARGEST])),
    "ids that are 32 bits apart": ("answered", Request(user_id=3 + 2**32, candidate_ids=[5, 5 + 2**32, 5 - 2**32])),
    "user 0": ("answered", Request(candidate_ids=[5, 0, 10])),
    "one item thousands of times": ("answered", Request(user_id=3, candidate_ids=[5] * 300)),
    "one candidate more": ("refused", Request(user_id=3, candidate_ids=range(10_001))),
    "a million candidates": ("refused", Request(user_id=3, candidate_ids=[5] * 1_000_000)),
    "a million exclusions": ("refused", Request(user_id=3, top_k=1, exclude_ids=[5] * 1_000_000)),
    "the largest top_k": ("answered", Request(user_id=3, candidate_ids=[5, 10], top_k=10_000)),
    "one more": ("refused", Request(user_id=3, candidate_ids=[5, 10], top_k=10_001)),
    "the largest int32 as top_k": ("refused", Request(user_id=3, candidate_ids=[5, 10], top_k=2**31 - 1)),
    "the smallest": ("refused", Request(user_id=3, candidate_ids=[5, 10], top_k=-(2**31))),
    "all is excluded": ("answered", Request(user_id=3, candidate_ids=[5, LARGEST], exclude_ids=[5, LARGEST])),
    "the whole catalogue is excluded": ("answered", Request(user_id=3, top_k=9, exclude_ids=range(500))),
    "no number among ratings": (
        "refused",
        Request(candidate_ids=[5], history=History(item_ids=[5, 10], ratings=[4, NAN])),
    ),
    "infinite ratings": (
        "refused",
        Request(candidate_ids=[5], history=History(item_ids=[5, 10], ratings=[INFINITY, -INFINITY])),
    ),
    "a rating that is hardly too high": (
        "refused",
        Request(candidate_ids=[5], history=History(item_ids=[5], ratings=[JUST_OVER_FIVE])),
    ),
    "ratings that are far too small": (
        "refused",
        Request(candidate_ids=[5], history=History(item_ids=[5, 10], ratings=[1e-45, -0.0])),
    ),
    "the ends of the scale": (
        "answered",
        Request(user_id=1, candidate_ids=[5, 10], history=History(item_ids=[5, 10], ratings=[1, 5])),
    ),
    "ratings of items at the ends of int64": (
        "answered",
        Request(user_id=1, candidate_ids=[5], history=History(item_ids=[SMALLEST, LARGEST, 0], ratings=[1, 5, 3])),
    ),
    "ratings without items": ("refused", Request(candidate_ids=[5], history=History(ratings=[5]))),
    "as long a history as is accepted": (
        "answered",
        Request(user_id=1, candidate_ids=[5], history=History(item_ids=range(1_000), ratings=[3] * 1_000)),
    ),
    "one rating more": (
        "refused",
        Request(user_id=1, candidate_ids=[5], history=History(item_ids=range(1_001), ratings=[3] * 1_001)),
    ),
    "new items at the ends": (
        "answered",
        Request(
            user_id=3,
            candidate_ids=[LARGEST, SMALLEST, 5],
            new_items=[NewItem(item_id=LARGEST, year=2**31 - 1), NewItem(item_id=SMALLEST, genres=["War"] * 500)],
        ),
    ),
    "the year of the beginning": ("refused", Request(candidate_ids=[5], new_items=[NewItem(year=-(2**31))])),
    "a feature without a name": ("refused", Request(candidate_ids=[5], user_features={"": ""})),
    "a version at the end": ("not found", Request(candidate_ids=[5], model=ranking_pb2.ModelSelector(version=LARGEST))),
    "everything is wrong in every way": (
        "refused",
        Request(
            top_k=-(2**31),
            exclude_ids=[SMALLEST] * 10_001,
            order=2**31 - 1,  # type: ignore[arg-type]  # no such value, on purpose
            unknown_user=-(2**31),  # type: ignore[arg-type]  # no such value, on purpose
            unknown_items=2**31 - 1,  # type: ignore[arg-type]  # no such value, on purpose
            rank_by=-(2**31),  # type: ignore[arg-type]  # no such value, on purpose
            model=ranking_pb2.ModelSelector(version=SMALLEST),
            history=History(item_ids=[*range(SMALLEST, SMALLEST + 9)] * 2, ratings=[NAN] * 18),
            new_items=[NewItem(item_id=SMALLEST + place % 9, year=-(2**31)) for place in range(18)],
        ),
    ),
    "features with long names": (
        "refused",
        Request(candidate_ids=[5], user_features={f"{place}" + "é" * 5_000: "" for place in range(9)}),
    ),
    "an alias with a long name": (
        "not found",
        Request(top_k=1, model=ranking_pb2.ModelSelector(alias="é" * 50_000)),
    ),
    "a model with a long name": ("not found", Request(top_k=1, model=ranking_pb2.ModelSelector(name="x\0é" * 500))),
}

# Of these the definition says nothing but that they are no error; whoever sends them gets numbers.
ODD_FEATURES = [
    "nan",
    "inf",
    "-inf",
    "1e999",
    "-1e999",
    " 24 ",
    "1_8",
    "\uff12\uff14",
    "\0",
    "é" * 10_000,
    "0x18",
    "--5",
]

GOOD = Request(user_id=3, candidate_ids=[5, 10, 15]).SerializeToString()
SAME = {
    "an unknown field": GOOD + b"\xa2\x06\x03abc",
    "unknown fields of every kind": b"\xa0\x06\x01" + GOOD + b"\xa1\x06" + bytes(8) + b"\xa5\x06" + bytes(4),
    "an unknown group": GOOD + b"\xa3\x06\x08\x01\xa4\x06",
    "a known field of another kind": GOOD + b"\x1a\x01x",
    "a user twice": b"\x08\x09" + GOOD,
    "candidates in parts": b"\x08\x03\x12\x01\x05\x10\x0a\x12\x01\x0f",
    "a user that takes ten bytes": b"\x08\x83\x80\x80\x80\x80\x80\x80\x80\x80\x00" + GOOD[2:],
    "an empty list before the list": GOOD[:2] + b"\x12\x00" + GOOD[2:],
    "a default that is sent": GOOD + b"\x18\x00\x30\x00",
    "a model twice, of which the first has no name": GOOD + b"\x22\x00\x22\x08\x0a\x06towers",
}
NO_MESSAGE = {
    "a name that is not UTF-8": GOOD + b"\x22\x04\x0a\x02\xc3\x28",
    "an alias that is not UTF-8": GOOD + b"\x22\x03\x1a\x01\xff",
    "a feature that is not UTF-8": GOOD + b"\x6a\x05\x0a\x03\xed\xa0\x80",
    "a genre that is not UTF-8": GOOD + b"\x72\x05\x12\x03\xf5\x80\x80",
    "an id of eleven bytes": b"\x08" + b"\xff" * 10 + b"\x01" + GOOD[2:],
    "field 0": GOOD + b"\x00\x00",
    "a group without an end": GOOD + b"\xa3\x06\x08\x01",
    "a list that is cut": GOOD[:-1],
}
# By grpc-timeout; the core drops those that are over before anybody looks at them.
OVER = ["0n", "0S", "00000000H"]
# How a call ends whose time is up: with a status or, by the core, with a reset.
ENDED = (code_pb2.DEADLINE_EXCEEDED, code_pb2.CANCELLED, -1)
TIME_ENOUGH = ["30S", "99999999H", "99999999S", "99999999m"]


@pytest.fixture
def stub(server: ServerProcess) -> Iterator[RankingServiceStub]:
    with grpc.insecure_channel(server.address) as channel:
        yield RankingServiceStub(channel)


@pytest.mark.parametrize("case", CASES)
def test_the_limits_of_a_field(stub: RankingServiceStub, published: Published, case: str) -> None:
    expected, request = CASES[case]
    for call, answer in answers_of(stub, request).items():
        assert assert_right(request, answer, published.towers) == expected, call


def test_as_many_candidates_as_are_accepted(stub: RankingServiceStub) -> None:
    """The definition, in plain Python, would take minutes for them; here each has to be there once, in order."""
    for answer in answers_of(stub, Request(user_id=3, candidate_ids=range(10_000))).values():
        assert isinstance(answer, ranking_pb2.RankResponse)
        assert sorted(answer.item_ids) == list(range(10_000))
        assert list(answer.scores) == sorted(answer.scores, reverse=True)


def test_features_that_are_hardly_numbers_are_answered_with_numbers(stub: RankingServiceStub) -> None:
    for value in ODD_FEATURES:
        request = Request(user_id=1, candidate_ids=[5, 10], user_features={"age": value, "gender": value})
        for answer in answers_of(stub, request).values():
            assert isinstance(answer, ranking_pb2.RankResponse), (value, answer)
            assert all(1 <= score <= 5 for score in answer.scores), value


def test_a_message_over_the_limit_does_not_harm_its_connection(stub: RankingServiceStub) -> None:
    """A million ids of ten bytes each."""
    large = Request(user_id=3, candidate_ids=[-1] * 1_000_000)
    answer = rank(stub, large)
    assert not isinstance(answer, ranking_pb2.RankResponse)
    assert answer.code == code_pb2.RESOURCE_EXHAUSTED
    for call in (
        lambda: stub.BatchRank(ranking_pb2.BatchRankRequest(requests=[large]), timeout=30),
        lambda: list(stub.RankStream(iter([large]), timeout=30)),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            call()
        assert status_of(caught.value).code == code_pb2.RESOURCE_EXHAUSTED
    assert len(stub.Rank(Request(user_id=3, candidate_ids=[5]), timeout=30).item_ids) == 1


@pytest.mark.parametrize("case", SAME)
def test_what_protobuf_allows_means_the_same(server: ServerProcess, case: str) -> None:
    assert raw_answers(server, SAME[case]) == raw_answers(server, GOOD)


@pytest.mark.parametrize("case", NO_MESSAGE)
def test_what_protobuf_does_not_allow_is_refused(server: ServerProcess, case: str) -> None:
    with RawConnection(server.address) as connection:
        for method, body in bodies(NO_MESSAGE[case]).items():
            status, answers = called(connection, method, "30S", body)
            if method == "RankStream":
                (error,) = [answer.error for answer in map(ranking_pb2.RankResponse.FromString, answers)]
                assert (status, error.code) == (code_pb2.OK, code_pb2.INVALID_ARGUMENT)
                assert error.message.startswith("the request is not a rankserve.v1.RankRequest")
                assert error.details
            else:
                assert (status, answers) == (code_pb2.INVALID_ARGUMENT, [])


@pytest.mark.parametrize("timeout", OVER)
def test_a_deadline_that_has_passed_is_one(server: ServerProcess, timeout: str) -> None:
    with RawConnection(server.address) as connection:
        for method, body in bodies(GOOD).items():
            status, answers = called(connection, method, timeout, body)
            errors = [ranking_pb2.RankResponse.FromString(answer).error.code for answer in answers]
            if method == "RankStream" and status == code_pb2.OK:
                # The core was a moment late: the stream has told it of its request.
                assert errors == [code_pb2.DEADLINE_EXCEEDED]
            else:
                assert status in ENDED, method
                assert set(errors) <= {code_pb2.DEADLINE_EXCEEDED}


@pytest.mark.parametrize("timeout", TIME_ENOUGH)
def test_a_deadline_may_be_thousands_of_years_away(server: ServerProcess, timeout: str) -> None:
    with RawConnection(server.address) as connection:
        for method, body in bodies(GOOD).items():
            status, answers = called(connection, method, timeout, body)
            assert (status, len(answers)) == (code_pb2.OK, 1), method


def bodies(request: bytes) -> dict[str, bytes]:
    """A request as each of the calls takes it, framed."""
    single = message(request)
    batch = message(b"\x0a" + _varint(len(request)) + request)
    return {"Rank": single, "BatchRank": batch, "RankStream": single}


def raw_answers(server: ServerProcess, request: bytes) -> list[bytes]:
    """From each of the calls."""
    with RawConnection(server.address) as connection:
        results = [called(connection, method, "30S", body) for method, body in bodies(request).items()]
    assert [status for status, _ in results] == [code_pb2.OK] * 3
    assert all(len(answers) == 1 for _, answers in results)
    return [answers[0] for _, answers in results]


def called(connection: RawConnection, method: str, timeout: str, body: bytes) -> tuple[int, list[bytes]]:
    """The status of a call, and the messages of its answer."""
    connection.call(headers_of(method, timeout), body)
    while True:
        connection.flush()
        for _, answer in connection.receive():
            return answer.status, messages_of(answer.body)


def _varint(number: int) -> bytes:
    return bytes([number & 0x7F | 0x80, number >> 7]) if number > 0x7F else bytes([number])
