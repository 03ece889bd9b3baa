"""How sure a measure is: percentile intervals of the bootstrap.

Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rankserve_training.evaluation.per_user import Float64s, sums_by_group
from rankserve_training.metrics import Floats

Clusters = npt.NDArray[np.integer]
# From the sums of columns and the number of rows, one or many of each.
Statistic = Callable[[list[Float64s], Float64s], Float64s]

# Above so many, units are put into as many random groups of nearly equal size, whose sums are then resampled. The
# variance of a mean stays the same, while the work no longer grows with the number of rows.
_MOST_UNITS = 100_000
_DRAWS_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Interval:
    """An estimate and how sure it is.

    Attributes:
        value: from the data as they are.
        low: the lower end of the interval.
        high: the upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Bootstrap:
    """Draws intervals. Equal arguments give equal intervals.

    Everywhere `clusters`, ints[n], says which rows belong together, such as those of one user: then whole clusters are
    drawn, as ratings of one user resemble each other. Without them each row is drawn for itself. Every method raises
    ValueError where there is no row, or the shapes differ.

    Attributes:
        replicates: how many samples are drawn.
        level: the share of them in the interval, between 0 and 1.
        seed: of the samples.
    """

    replicates: int = 1_000
    level: float = 0.95
    seed: int = 42

    def mean(self, values: Floats, clusters: Clusters | None = None) -> Interval:
        """Of the mean of values over rows or users."""
        return self._interval([values], clusters, _mean)

    def rmse(self, predicted: Floats, given: Floats, clusters: Clusters | None = None) -> Interval:
        """Of the root mean squared error."""
        return self._interval([_squared_errors(predicted, given)], clusters, _root_mean)

    def mean_difference(self, first: Floats, second: Floats, clusters: Clusters | None = None) -> Interval:
        """Of the mean of `first` less that of `second`, which are of the same rows or users in the same order."""
        if first.shape != second.shape:
            raise ValueError(f"shapes should be equal, not {first.shape} and {second.shape}.")
        return self.mean(first.astype(np.float64) - second, clusters)

    def rmse_difference(
        self, first: Floats, second: Floats, given: Floats, clusters: Clusters | None = None
    ) -> Interval:
        """Of the RMSE of the predictions `first` less that of `second`, both of the same rows."""
        columns = [_squared_errors(first, given), _squared_errors(second, given)]
        return self._interval(columns, clusters, _difference_of_root_means)

    def _interval(self, columns: Sequence[Floats], clusters: Clusters | None, statistic: Statistic) -> Interval:
        count = len(columns[0])
        if not count or (clusters is not None and len(clusters) != count):
            raise ValueError("There should be at least one row, and a cluster for each.")
        rng = np.random.default_rng(self.seed)
        *units, unit_rows = _units([*columns, np.ones(count)], clusters, rng)
        value = statistic([unit.sum(keepdims=True) for unit in units], unit_rows.sum(keepdims=True))
        *sums, rows = self._resampled([*units, unit_rows], rng)
        tail = (1 - self.level) / 2
        low, high = np.quantile(statistic(sums, rows), [tail, 1 - tail])
        return Interval(float(value[0]), float(low), float(high))

    def _resampled(self, columns: list[Float64s], rng: np.random.Generator) -> list[Float64s]:
        """The sums of columns of u units over samples of u units, float64[replicates] each."""
        units = len(columns[0])
        at_once = max(1, _DRAWS_AT_ONCE // units)
        portions = []
        for start in range(0, self.replicates, at_once):
            drawn = rng.integers(units, size=(min(at_once, self.replicates - start), units), dtype=np.int32)
            portions.append([column[drawn].sum(axis=1) for column in columns])
        return [np.concatenate(parts) for parts in zip(*portions, strict=True)]


def _mean(sums: list[Float64s], rows: Float64s) -> Float64s:
    return sums[0] / rows


def _root_mean(sums: list[Float64s], rows: Float64s) -> Float64s:
    return np.sqrt(sums[0] / rows)


def _difference_of_root_means(sums: list[Float64s], rows: Float64s) -> Float64s:
    return np.sqrt(sums[0] / rows) - np.sqrt(sums[1] / rows)


def _squared_errors(predicted: Floats, given: Floats) -> Float64s:
    if predicted.shape != given.shape or given.ndim != 1:
        raise ValueError(f"shapes should be (n,) and equal, not {predicted.shape} and {given.shape}.")
    return np.square(predicted.astype(np.float64) - given)


def _units(columns: Sequence[Floats], clusters: Clusters | None, rng: np.random.Generator) -> list[Float64s]:
    """The sums of columns by what is drawn together."""
    summed = [column.astype(np.float64, copy=False) for column in columns]
    if clusters is not None:
        _, cluster = np.unique(clusters, return_inverse=True)
        summed = [sums_by_group(cluster, column) for column in summed]
    units = len(summed[0])
    if units > _MOST_UNITS:
        group = rng.permutation(units) % _MOST_UNITS
        summed = [sums_by_group(group, column) for column in summed]
    return summed
