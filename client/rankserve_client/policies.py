"""How a client retries and keeps its connections alive: value classes for the constructors."""

import math
from dataclasses import dataclass

# Below 2 ms gRPC (1.85) sometimes never makes the next attempt: the call then hangs until its deadline.
_SHORTEST_BACKOFF = 0.01


def require(valid: bool, name: str, rule: str, received: object) -> None:
    """Raises a ValueError that names the argument, its rule and the value received."""
    if not valid:
        raise ValueError(f"`{name}` must be {rule}. Received: `{name}` = {received!r}")


def is_positive(value: object) -> bool:
    """Whether `value` is a finite number above 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Repeats calls that fail with UNAVAILABLE, and only those; ranking changes nothing, so repeating it is safe.

    gRPC itself retries, within the deadline of the call. Where many calls fail it stops retrying until they succeed
    again, so that a struggling server is not buried. Between two attempts it waits a random time around the backoff:
    the initial one, then `multiplier` times the one before, at most `max_backoff`. Streams are not repeated.

    Args:
        attempts: How often a call is tried altogether, 1 (never repeated) to 5.
        initial_backoff: Seconds before the second attempt, 0.01 or more.
        max_backoff: Most seconds between two attempts, at least `initial_backoff`.
        multiplier: Growth of the backoff, 1 or more.
    """

    attempts: int = 3
    initial_backoff: float = 0.05
    max_backoff: float = 1.0
    multiplier: float = 2.0

    def __post_init__(self) -> None:
        # gRPC cuts a larger number to 5 without a word.
        is_count = isinstance(self.attempts, int) and not isinstance(self.attempts, bool)
        require(is_count and 1 <= self.attempts <= 5, "attempts", "an integer from 1 to 5", self.attempts)
        require(
            is_positive(self.initial_backoff) and self.initial_backoff >= _SHORTEST_BACKOFF,
            "initial_backoff",
            f"a number of seconds, at least {_SHORTEST_BACKOFF}",
            self.initial_backoff,
        )
        require(
            is_positive(self.max_backoff) and self.max_backoff >= self.initial_backoff,
            "max_backoff",
            f"a number of seconds, at least `initial_backoff` ({self.initial_backoff})",
            self.max_backoff,
        )
        require(is_positive(self.multiplier) and self.multiplier >= 1, "multiplier", "1 or more", self.multiplier)


@dataclass(frozen=True, slots=True)
class Keepalive:
    """Notices that a server, or the way to it, is gone without having closed the connection.

    `timeout` also bounds how long sent data may stay unacknowledged (TCP_USER_TIMEOUT), so a busy client notices after
    `timeout` seconds, whatever the interval.

    Args:
        interval: Seconds without traffic before a ping, 1 or more. A gRPC server closes connections that ping too
            often: more than once in 5 minutes, unless it is set otherwise.
        timeout: Seconds to wait for the answer before the connection counts as lost, above 0.
        while_idle: Whether to ping while no call is under way.
    """

    interval: float = 600.0
    timeout: float = 10.0
    while_idle: bool = False

    def __post_init__(self) -> None:
        require(is_positive(self.interval) and self.interval >= 1, "interval", "1 second or more", self.interval)
        require(is_positive(self.timeout), "timeout", "a positive number of seconds", self.timeout)
