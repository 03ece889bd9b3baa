"""Intervals against what theory says of their width, and what must not change them."""

from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import pytest

from rankserve_training.evaluation import bootstrap
from rankserve_training.evaluation.bootstrap import Bootstrap, Interval
from rankserve_training.evaluation.per_user import Float64s

Z = NormalDist().inv_cdf(0.975)


def test_the_interval_of_a_mean() -> None:
    values = np.random.default_rng(0).normal(3, 2, 900)
    found = Bootstrap(replicates=4000).mean(values)
    half_width = Z * values.std() / 30
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half_width, abs=0.05 * half_width)
    assert found.high == pytest.approx(values.mean() + half_width, abs=0.05 * half_width)


def test_it_is_what_resampling_by_hand_gives() -> None:
    """Two values: the means of samples are 0, 0.5 or 1, with a quarter, a half and a quarter of them."""
    found = Bootstrap(replicates=500).mean(np.array([0.0, 1.0]))
    assert (found.low, found.value, found.high) == (0.0, 0.5, 1.0)
    half = Bootstrap(replicates=500, level=0.4).mean(np.array([0.0, 1.0]))
    assert (half.low, half.high) == (0.5, 0.5)


def test_an_rmse_and_its_delta_method() -> None:
    random = np.random.default_rng(1)
    given = random.uniform(1, 5, 2500).astype(np.float32)
    predicted = (given + random.normal(0, 1, 2500)).astype(np.float32)
    found = Bootstrap().rmse(predicted, given)
    squares = (predicted.astype(np.float64) - given) ** 2
    assert found.value == pytest.approx(np.sqrt(squares.mean()))
    half_width = Z * squares.std() / 50 / (2 * found.value)
    assert found.high - found.low == pytest.approx(2 * half_width, rel=0.1)


def test_clusters_count_as_one() -> None:
    """Each value ten times says no more than once, where the ten belong together."""
    values = np.random.default_rng(2).normal(size=400)
    tenfold, clusters = np.repeat(values, 10), np.repeat(np.arange(400) * 7 - 1000, 10)
    once, together, apart = (
        Bootstrap().mean(values),
        Bootstrap().mean(tenfold, clusters),
        Bootstrap().mean(tenfold),
    )
    assert together.value == pytest.approx(once.value)
    assert [together.low, together.high] == pytest.approx([once.low, once.high])
    assert apart.high - apart.low == pytest.approx((once.high - once.low) / 10**0.5, rel=0.15)


def test_clusters_of_unequal_size_keep_the_mean_over_rows() -> None:
    values, clusters = np.array([1.0, 1.0, 1.0, 5.0]), np.array([4, 4, 4, 9])
    assert Bootstrap().mean(values, clusters).value == 2.0
    assert Bootstrap().rmse(values, np.zeros(4), clusters).value == pytest.approx(np.sqrt(28 / 4))


def test_paired_differences_are_surer_than_their_parts() -> None:
    random = np.random.default_rng(3)
    first = random.normal(0, 5, 300)
    second = first + 0.2
    found = Bootstrap().mean_difference(first, second)
    assert (found.low, found.value, found.high) == pytest.approx((-0.2, -0.2, -0.2))
    given = random.uniform(1, 5, 300)
    better, worse = given + random.normal(0, 1, 300), given + random.normal(0, 2, 300)
    gap = Bootstrap().rmse_difference(better, worse, given)
    assert gap.value == pytest.approx(Bootstrap().rmse(better, given).value - Bootstrap().rmse(worse, given).value)
    assert gap.low < gap.value < gap.high < 0
    same = Bootstrap().rmse_difference(better, better, given, np.arange(300) // 3)
    assert (same.low, same.value, same.high) == (0, 0, 0)


def test_many_units_are_grouped_without_changing_the_width(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(4).exponential(size=20_000)
    each = Bootstrap().mean(values)
    monkeypatch.setattr(bootstrap, "_MOST_UNITS", 999)
    grouped = Bootstrap().mean(values)
    assert grouped.value == pytest.approx(each.value)
    assert grouped.high - grouped.low == pytest.approx(each.high - each.low, rel=0.1)


def test_chunks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(5).normal(size=64)
    whole = Bootstrap(replicates=130).mean(values)
    monkeypatch.setattr(bootstrap, "_DRAWS_AT_ONCE", 640)
    assert Bootstrap(replicates=130).mean(values) == whole
    assert Bootstrap(replicates=130, seed=1).mean(values) != whole


@pytest.mark.parametrize(
    "call",
    [
        lambda two, _: Bootstrap().mean(two[:0]),
        lambda two, three: Bootstrap().mean(two, three.astype(np.int64)),
        lambda two, three: Bootstrap().rmse(two, three),
        lambda two, three: Bootstrap().mean_difference(two, three),
        lambda two, three: Bootstrap().rmse_difference(two, three, two),
    ],
)
def test_what_is_refused(call: Callable[[Float64s, Float64s], Interval]) -> None:
    with pytest.raises(ValueError, match="should be"):
        call(np.zeros(2), np.zeros(3))
