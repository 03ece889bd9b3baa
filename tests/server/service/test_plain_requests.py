"""What is decoded without protobuf is what protobuf would have decoded."""

import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rankserve.v1 import ranking_pb2
from rankserve_server.service.plain_requests import PlainRequest, decode_plain

Request = ranking_pb2.RankRequest

small_ids = st.integers(0, 2**28 - 1)
any_ids = st.one_of(small_ids, st.integers(-(2**63), 2**63 - 1))
plain_requests = st.builds(
    Request, user_id=st.integers(1, 2**28 - 1), candidate_ids=st.lists(small_ids, min_size=1, max_size=300)
)
any_requests = st.builds(
    Request,
    user_id=any_ids,
    candidate_ids=st.lists(any_ids, max_size=30),
    top_k=st.sampled_from([0, 0, 0, 5, -1]),
    order=st.sampled_from([0, 0, 0, ranking_pb2.ORDER_AS_SENT]),
    exclude_ids=st.sampled_from([[], [], [1, 2]]),
    include_titles=st.booleans(),
)
any_messages = st.one_of(
    plain_requests.map(Request.SerializeToString),
    any_requests.map(Request.SerializeToString),
    st.binary(max_size=40),
    st.binary(max_size=40).map(lambda end: b"\x08\x2a\x12" + end),
    st.none(),
)


def assert_as_protobuf(message: bytes | None, plain: PlainRequest | None) -> None:
    """Where a message was decoded, it is a user and candidates and nothing else."""
    if plain is None:
        return
    assert message is not None
    request = Request.FromString(message)
    assert request == Request(user_id=plain.user_id, candidate_ids=plain.candidate_ids.tolist())
    assert plain.candidate_ids.tolist() == list(request.candidate_ids)


@settings(max_examples=300, deadline=None)
@given(st.lists(any_messages, max_size=12))
@example([b"\x08\x2a\x12\x02\x80\x00"])  # an id that takes more bytes than it needs
@example([b"\x08\x80\x00\x12\x01\x05"])
@example([b"\x08\x2a\x12\x01\x85"])  # cut off within an id
@example([b"\x08\x2a\x12\x05\x01"])  # fewer bytes than it says
@example([b"\x08\x2a\x12\x01\x05\x12\x01\x06"])  # candidates in two parts
@example([b"\x08\x2a\x12\x00", b"\x08\x2a", b"\x08", b""])
@example([b"\x08\x2a\x12\x81\x80\x80\x80\x00\x05"])  # a length of five bytes
@example([b"\x08\x2a\x12\x0a" + b"\xff" * 9 + b"\x01", b"\x08\x2a\x12\x01\x05"])  # -1, and a neighbour
def test_it_is_what_protobuf_says_or_nothing(messages: list[bytes | None]) -> None:
    decoded = decode_plain(messages)
    assert len(decoded) == len(messages)
    for message, plain in zip(messages, decoded, strict=True):
        assert_as_protobuf(message, plain)


@given(st.lists(plain_requests, min_size=1, max_size=8))
def test_plain_requests_are_decoded(requests: list[ranking_pb2.RankRequest]) -> None:
    messages = [request.SerializeToString() for request in requests]
    for message, plain in zip(messages, decode_plain(messages), strict=True):
        if len(message) <= 2_048:
            assert plain is not None
            assert_as_protobuf(message, plain)


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_message_that_was_cut_off_is_left_to_protobuf(cut: int) -> None:
    message = Request(user_id=300, candidate_ids=[1, 300, 70_000, 5]).SerializeToString()[:-cut]
    (plain,) = decode_plain([message])
    try:
        Request.FromString(message)
    except DecodeError:
        assert plain is None
    assert_as_protobuf(message, plain)
