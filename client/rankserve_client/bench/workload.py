"""What the requests ask for: how many candidates, which users and items, and the requests made of them."""

import random
import re
from dataclasses import dataclass
from typing import Final, TypeAlias

from rankserve.v1 import ranking_pb2
from rankserve_client.messages import to_selector

_PART: Final = re.compile(r"(?P<low>[0-9]+)(?:-(?P<high>[0-9]+))?(?::(?P<weight>[0-9]+(?:\.[0-9]+)?))?")
_RANGE: Final = re.compile(r"(?P<low>[0-9]+)(?:-(?P<high>[0-9]+))?")

# Distinct requests of a process. Enough that neither the server's caches nor its branch predictor learn them, and few
# enough that they stay small: what a request may be answered with takes about 64 bytes a candidate.
_MOST_REQUESTS: Final = 4_096
_FEWEST_REQUESTS: Final = 128
_CANDIDATES_IN_POOL: Final = 500_000


@dataclass(frozen=True, slots=True)
class IdRange:
    """The ids from `low` to `high`, both included."""

    low: int
    high: int

    def __len__(self) -> int:
        return self.high - self.low + 1

    def __str__(self) -> str:
        return f"{self.low}-{self.high}"


@dataclass(frozen=True, slots=True)
class CandidateMix:
    """How many candidates a request has: one of `sizes`, evenly within it, chosen in proportion to `weights`."""

    sizes: tuple[IdRange, ...]
    weights: tuple[float, ...]
    text: str

    @property
    def largest(self) -> int:
        return max(size.high for size in self.sizes)

    @property
    def mean(self) -> float:
        means = ((size.low + size.high) / 2 for size in self.sizes)
        return sum(weight * mean for weight, mean in zip(self.weights, means, strict=True)) / sum(self.weights)

    def draw(self, randomness: random.Random) -> int:
        (size,) = randomness.choices(self.sizes, self.weights)
        return randomness.randint(size.low, size.high)


def parse_candidates(text: str) -> CandidateMix:
    """Reads `100`, `10-500` (evenly) or several of them with weights, `100:90,2000:10`.

    Raises:
        ValueError: saying which part is wrong.
    """
    sizes, weights = [], []
    for part in text.split(","):
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"{part!r} is none of N, LOW-HIGH, N:WEIGHT and LOW-HIGH:WEIGHT")
        low = int(match["low"])
        size = IdRange(low, int(match["high"] or low))
        weight = float(match["weight"] or 1)
        if size.low < 1:
            raise ValueError(f"{part!r}: a request has 1 candidate or more")
        if size.high < size.low:
            raise ValueError(f"{part!r}: {size.high} is below {size.low}")
        if weight == 0:
            raise ValueError(f"{part!r}: a weight is above 0")
        sizes.append(size)
        weights.append(weight)
    return CandidateMix(tuple(sizes), tuple(weights), text)


def parse_ids(text: str) -> IdRange:
    """Reads `LOW-HIGH` or a single id.

    Raises:
        ValueError: saying what is wrong.
    """
    match = _RANGE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is neither LOW-HIGH nor an id")
    low = int(match["low"])
    high = int(match["high"] or low)
    if high < low:
        raise ValueError(f"{text!r}: {high} is below {low}")
    if high >= 2**63:
        raise ValueError(f"{text!r}: an id has at most 63 bits")
    return IdRange(low, high)


@dataclass(frozen=True, slots=True)
class Request:
    """A request, serialised once, and what an answer to it must look like."""

    payload: bytes
    candidates: frozenset[int]
    top_k: int
    """How many items come back: all, or the best of them."""
    model: str | None
    """The model that must answer; None: any."""
    version: int | None

    @property
    def count(self) -> int:
        """How many candidates it has."""
        return len(self.candidates)


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """A request of a request log. What it may be answered with is looked up in it: there may be a great many."""

    payload: bytes
    count: int
    """How many candidates it has; 0 for the whole catalogue."""
    model: str | None
    """As in `Request`."""
    version: int | None

    @property
    def candidates(self) -> frozenset[int]:
        """Empty for the whole catalogue."""
        return frozenset(ranking_pb2.RankRequest.FromString(self.payload).candidate_ids)


AnyRequest: TypeAlias = Request | LoggedRequest


def make_requests(
    candidates: CandidateMix,
    users: IdRange,
    items: IdRange,
    *,
    top_k: int = 0,
    model: str | None = None,
    version: int | None = None,
    seed: str = "",
) -> list[Request]:
    """Distinct requests, the same for the same seed. The candidates of one are distinct items."""
    randomness = random.Random(seed)  # noqa: S311  # reproducible load, no secret
    count = max(_FEWEST_REQUESTS, min(_MOST_REQUESTS, int(_CANDIDATES_IN_POOL / candidates.mean)))
    selector = to_selector(model, version, None)
    requests = []
    for _ in range(count):
        user = randomness.randint(users.low, users.high)
        chosen = randomness.sample(range(items.low, items.high + 1), candidates.draw(randomness))
        message = ranking_pb2.RankRequest(user_id=user, candidate_ids=chosen, top_k=top_k, model=selector)
        expected = min(top_k or len(chosen), len(chosen))
        requests.append(Request(message.SerializeToString(), frozenset(chosen), expected, model, version))
    return requests
