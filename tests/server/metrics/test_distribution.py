"""Values in buckets."""

import threading

import numpy as np

from rankserve_server.metrics.distribution import Distribution


def test_a_value_is_in_the_first_bucket_that_is_not_below_it() -> None:
    distribution = Distribution((1.0, 2.0, 5.0))
    for value in (0.5, 1.0, 1.5, 5.0, 7.0, 9.0):
        distribution.add(value)
    assert distribution.counts == [2, 1, 1, 2]
    assert distribution.total == 24


def test_many_are_counted_as_one_by_one() -> None:
    one_by_one, together = Distribution((1.0, 2.0, 5.0)), Distribution((1.0, 2.0, 5.0))
    values = np.array([0.5, 1.0, 1.5, 5.0, 7.0, 1.0], np.float32)
    for value in values.tolist():
        one_by_one.add(value)
    together.add_all(values)
    assert (together.counts, together.total) == (one_by_one.counts, one_by_one.total)
    together.add_from(one_by_one)
    assert (together.counts, together.total) == ([6, 2, 2, 2], 32)


def test_who_reads_while_values_are_added_finds_each_once() -> None:
    distribution = Distribution((10.0, 100.0))
    found: list[int] = []
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            found.append(sum(distribution.counts))

    reader = threading.Thread(target=read)
    reader.start()
    for value in range(20_000):
        distribution.add(value % 200)
    over.set()
    reader.join()
    assert found == sorted(found)
    assert distribution.counts == [1_100, 9_000, 9_900]
    assert distribution.total == sum(range(200)) * 100
