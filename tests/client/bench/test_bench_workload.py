import random
from collections import Counter

import pytest

from rankserve.v1 import ranking_pb2
from rankserve_client.bench.workload import IdRange, make_requests, parse_candidates, parse_ids


def test_a_fixed_number() -> None:
    mix = parse_candidates("100")
    assert {mix.draw(random.Random(seed)) for seed in range(20)} == {100}
    assert (mix.mean, mix.largest, mix.text) == (100, 100, "100")


def test_an_even_range() -> None:
    mix = parse_candidates("10-14")
    randomness = random.Random(1)
    drawn = Counter(mix.draw(randomness) for _ in range(5_000))
    assert set(drawn) == {10, 11, 12, 13, 14}
    assert min(drawn.values()) > 850
    assert (mix.mean, mix.largest) == (12, 14)


def test_weights() -> None:
    mix = parse_candidates("100:90, 2000:7.5,5-7:2.5")
    randomness = random.Random(1)
    drawn = Counter(mix.draw(randomness) for _ in range(10_000))
    assert set(drawn) == {100, 2000, 5, 6, 7}
    assert drawn[100] == pytest.approx(9_000, abs=150)
    assert drawn[2000] == pytest.approx(750, abs=120)
    assert mix.mean == pytest.approx(0.9 * 100 + 0.075 * 2000 + 0.025 * 6)
    assert mix.largest == 2000


def test_without_weights_parts_are_equally_likely() -> None:
    assert parse_candidates("1,3").mean == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "'' is none of N, LOW-HIGH"),
        ("x", "'x' is none of"),
        ("-5", "'-5' is none of"),
        ("100;200", "is none of"),
        ("100:", "is none of"),
        ("100:-1", "is none of"),
        ("100,,200", "'' is none of"),
        ("1.5", "is none of"),
        ("0", "1 candidate or more"),
        ("0-5", "1 candidate or more"),
        ("9-5", "5 is below 9"),
        ("100:0", "a weight is above 0"),
    ],
)
def test_a_wrong_mix_is_explained(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_candidates(text)


def test_ids() -> None:
    assert parse_ids("5-9") == IdRange(5, 9)
    assert parse_ids("42") == IdRange(42, 42)
    assert len(parse_ids("5-9")) == 5


@pytest.mark.parametrize("text", ["", "x", "-1", "9-5", "1-2-3", str(2**63)])
def test_wrong_ids_are_explained(text: str) -> None:
    with pytest.raises(ValueError, match=r"LOW-HIGH|is below|63 bits"):
        parse_ids(text)


def test_requests_are_of_known_users_with_distinct_known_items() -> None:
    requests = make_requests(parse_candidates("10-20"), IdRange(5, 9), IdRange(100, 130), seed="1")
    users = set()
    for request in requests:
        message = ranking_pb2.RankRequest.FromString(request.payload)
        users.add(message.user_id)
        assert 10 <= len(message.candidate_ids) <= 20
        assert len(set(message.candidate_ids)) == len(message.candidate_ids) == request.top_k
        assert set(message.candidate_ids) == request.candidates <= set(range(100, 131))
        assert not message.HasField("model")
    assert users == {5, 6, 7, 8, 9}
    assert len({request.payload for request in requests}) == len(requests) == 4_096


def test_options_are_in_the_requests() -> None:
    (request, *_) = make_requests(
        parse_candidates("10"), IdRange(1, 1), IdRange(1, 10), top_k=3, model="m", version=2, seed="1"
    )
    message = ranking_pb2.RankRequest.FromString(request.payload)
    assert message.top_k == request.top_k == 3
    assert (message.model.name, message.model.version) == (request.model, request.version) == ("m", 2)


def test_more_is_asked_for_than_there_is() -> None:
    (request, *_) = make_requests(parse_candidates("10"), IdRange(1, 1), IdRange(1, 10), top_k=30)
    assert request.top_k == 10


def test_the_same_seed_gives_the_same_requests() -> None:
    def payloads(seed: str) -> list[bytes]:
        mix = parse_candidates("5-10")
        return [request.payload for request in make_requests(mix, IdRange(1, 9), IdRange(1, 99), seed=seed)]

    assert payloads("1") == payloads("1")
    assert payloads("1") != payloads("2")


def test_the_pool_stays_small_for_many_candidates() -> None:
    assert len(make_requests(parse_candidates("5000"), IdRange(1, 9), IdRange(1, 9_999))) == 128
