"""The decoder that was written by hand against protobuf's own: the same decision and the same meaning."""

import os
from collections import Counter

import pytest
from google.protobuf.message import DecodeError

from rankserve.v1 import ranking_pb2
from rankserve_server.service.plain_requests import PlainRequest, decode_plain
from reliability.mutations import Mutator

FEW = 20_000
MANY = int(os.environ.get("RELIABILITY_DECODED", "500000"))


def compare(message: bytes | None, plain: PlainRequest | None) -> str:
    """What became of a message. Left to protobuf it is accepted or refused by that; nothing can differ then."""
    if message is None:
        assert plain is None
        return "none"
    try:
        request = ranking_pb2.RankRequest.FromString(message)
    except DecodeError:
        assert plain is None, f"{message.hex()} is no message and was decoded as {plain}"
        return "no message"
    if plain is None:
        assert not is_plain(request, message), f"{message.hex()} is as plain as can be and was left to protobuf"
        return "left to protobuf"
    same = ranking_pb2.RankRequest(user_id=plain.user_id, candidate_ids=plain.candidate_ids.tolist())
    # Also unknown fields, which the comparison of messages passes over and their bytes do not.
    assert request.SerializeToString() == same.SerializeToString(), f"{message.hex()} was decoded as {plain}"
    return "decoded"


def is_plain(request: ranking_pb2.RankRequest, message: bytes) -> bool:
    """Whether it is of the kind that the decoder is there for: short, small ids, a user and candidates, no detours."""
    user, candidates = request.user_id, list(request.candidate_ids)
    same = ranking_pb2.RankRequest(user_id=user, candidate_ids=candidates)
    small = all(0 <= id_ < 1 << 28 for id_ in (user, *candidates))
    return bool(user and candidates and small and len(message) <= 2_048 and message == same.SerializeToString())


@pytest.mark.parametrize("count", [FEW, pytest.param(MANY, marks=pytest.mark.reliability)])
def test_the_decoder_decides_as_protobuf_does_and_means_the_same(count: int) -> None:
    mutator, counts = Mutator(seed=count), Counter[str]()
    while counts.total() < count:
        messages = mutator.messages()
        for message, plain in zip(messages, decode_plain(messages), strict=True):
            counts[compare(message, plain)] += 1
    print(f"\n{counts.total():,} messages: {dict(counts)}")
    assert counts.total() >= count
    assert all(counts[outcome] > count / 20 for outcome in ("no message", "decoded", "left to protobuf"))
