"""When the requests of an open loop are due."""

import random
from collections.abc import Iterator


def poisson_arrivals(rate: float, seed: str) -> Iterator[float]:
    """Seconds from the start at which requests are due, without end: independent callers, `rate` a second on average.

    The same seed gives the same times.
    """
    randomness = random.Random(seed)  # noqa: S311  # reproducible load, no secret
    due = 0.0
    while True:
        due += randomness.expovariate(rate)
        yield due
