"""Merging what several processes counted, and what is concluded from it."""

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from client.bench.any_plan import any_plan
from client.pipe import through_a_pipe
from rankserve_client.bench.histogram import Histogram
from rankserve_client.bench.plot import draw
from rankserve_client.bench.report import notes
from rankserve_client.bench.result import Result, to_json
from rankserve_client.bench.tally import Counts, merge

PNG = b"\x89PNG\r\n\x1a\n"


def histogram(*seconds: float, digits: int = 3) -> Histogram:
    result = Histogram(digits)
    for each in seconds:
        result.record(each)
    return result


def counts(**changes: Any) -> Counts:
    """What a process counts that has answered 100 requests of 5 candidates in the first of two seconds."""
    latencies = [number / 1000 for number in range(1, 101)]
    arguments: dict[str, Any] = {
        "answered": 100,
        "answered_in_time": 100,
        "candidates_in_time": 500,
        "answered_by": Counter({("m", 1): 100}),
        "latency": histogram(*latencies),
        "over_time": {0: histogram(*latencies, digits=2)},
        "last_end": 1.0,
        "cpu_shares": [0.5],
    }
    return Counts(**arguments | changes)


def result(changed: Counts | None = None, **plan: Any) -> Result:
    arguments: dict[str, Any] = {"duration": 2.0, "requests": None} | plan
    return Result(any_plan(**arguments), changed or counts(), "127.0.0.1:1", "m", 1)


def test_percentiles_of_merged_histograms_are_those_of_all_values() -> None:
    randomness = random.Random(1)
    parts = [[randomness.lognormvariate(-6, 1) for _ in range(2_000)] for _ in range(3)]
    # As they come from the processes.
    histograms = [through_a_pipe(histogram(*part)) for part in parts]
    merged = histograms[0]
    for each in histograms[1:]:
        merged.add(each)
    values = sorted(value for part in parts for value in part)
    assert len(merged) == 6_000
    for percentile in (50, 90, 99, 99.9):
        exact = 1e3 * values[round(len(values) * percentile / 100) - 1]
        assert merged.percentile_ms(percentile) == pytest.approx(exact, rel=0.003, abs=0.001)
    assert merged.percentile_ms(0) == pytest.approx(1e3 * values[0], rel=0.002, abs=0.001)
    assert merged.percentile_ms(100) == pytest.approx(1e3 * values[-1], rel=0.002)
    assert merged.mean_ms() == pytest.approx(1e3 * sum(values) / len(values), rel=0.002)


def test_an_empty_histogram_can_be_merged_either_way() -> None:
    assert len(through_a_pipe(Histogram())) == 0
    some = histogram(0.001)
    some.add(Histogram())
    none = Histogram()
    none.add(some)
    assert none.percentile_ms(0) == some.percentile_ms(100) == pytest.approx(1.0, rel=0.001)


def test_durations_out_of_the_range_are_kept_at_its_ends() -> None:
    assert histogram(0.0).percentile_ms(100) == 0.001
    assert histogram(1e9).percentile_ms(100) == pytest.approx(3.6e6, rel=0.001)


def test_counts_of_processes_add_up() -> None:
    failed = Counts(
        failures=Counter(UNAVAILABLE=3),
        messages={"UNAVAILABLE": "gone"},
        wrong=Counter(order=1),
        not_sent=Counter(outstanding=7),
        with_unknown=2,
        last_end=3.0,
        cpu_shares=[0.25],
        out_of_requests=True,
    )
    total = merge([counts(), failed, counts(over_time={1: histogram(0.005, digits=2)})])
    assert (total.sent, total.answered, total.failed) == (203, 200, 3)
    assert (total.answered_in_time, total.candidates_in_time, total.with_unknown) == (200, 1_000, 2)
    assert (total.wrong, total.not_sent, total.messages) == ({"order": 1}, {"outstanding": 7}, {"UNAVAILABLE": "gone"})
    assert total.answered_by == {("m", 1): 200}
    assert len(total.latency) == 200
    assert {step: len(part) for step, part in total.over_time.items()} == {0: 100, 1: 1}
    assert total.cpu_shares == [0.5, 0.25, 0.5]
    assert total.last_end == 3.0
    assert not total.out_of_requests, "two of them ran for the whole duration"


def test_rates_are_over_the_duration_or_until_the_requests_ran_out() -> None:
    assert result().requests_per_second == 50
    assert result().candidates_per_second == 250
    ran_out = result(counts(out_of_requests=True), requests=100)
    assert (ran_out.seconds, ran_out.requests_per_second) == (1.0, 100)


def test_figures_over_time_have_gaps_where_nothing_was_answered() -> None:
    first, second, *rest = result(counts(over_time={0: histogram(0.002, digits=2)}), duration=0.3).over_time
    assert (first.seconds, first.requests_per_second) == (0.05, 10)
    assert first.p50_ms == pytest.approx(2, rel=0.01)
    assert (second.requests_per_second, second.p50_ms, second.p99_ms) == (0, None, None)
    assert len(rest) == 1


def test_a_generator_at_its_limit_is_a_bottleneck() -> None:
    assert result().bottlenecks == []
    (reason,) = result(counts(cpu_shares=[0.3, 0.97])).bottlenecks
    assert "97% of a core" in reason
    (reason,) = result(counts(lateness=histogram(*[0.0001] * 98, 0.002, 0.002))).bottlenecks
    assert "1 % of the requests over 2.0 ms late" in reason
    assert result(counts(lateness=histogram(*[0.0001] * 999, 0.002))).bottlenecks == []
    (reason,) = result(counts(not_sent=Counter(late=4))).bottlenecks
    assert "4 requests" in reason


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cpu_shares": [1.0]}, "the generator itself was the bottleneck"),
        ({"not_sent": Counter(outstanding=7)}, "7 requests were not sent"),
        ({"failures": Counter(UNAVAILABLE=3)}, "failed ones are left out"),
        ({"with_unknown": 5}, "--users and --items"),
        ({"answered_by": Counter({("m", 1): 60, ("m", 2): 40})}, "several models answered"),
    ],
)
def test_what_the_reader_has_to_know_is_said(changes: dict[str, Any], words: str) -> None:
    assert notes(result()) == []
    (note,) = notes(result(counts(**changes)))
    assert words in note


def test_nothing_answered_is_no_error() -> None:
    empty = result(Counts(failures=Counter(UNAVAILABLE=3), cpu_shares=[0.1]))
    document = json.loads(json.dumps(to_json(empty), allow_nan=False))
    assert document["latency_ms"] is None
    assert document["counts"]["failures"] == {"UNAVAILABLE": 3}


@pytest.mark.parametrize("changed", [counts(), Counts(cpu_shares=[0.1])], ids=["answers", "none"])
@pytest.mark.parametrize("plan", [{}, {"rate": 50.0, "concurrency": None}], ids=["closed", "open"])
def test_draws_a_png(tmp_path: Path, changed: Counts, plan: dict[str, Any]) -> None:
    draw(result(changed, **plan), tmp_path / "run.png")
    content = (tmp_path / "run.png").read_bytes()
    assert content.startswith(PNG)
    assert len(content) > 10_000
