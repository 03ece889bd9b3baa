"""What large catalogues and many users cost: versions with random weights, from a thousand rows to ten million.

Every size is measured in turn with a second server that holds the smallest one, so that a machine that slows down slows
down both.
"""

import gc
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
from processes import Process, TooLargeError, rankserve
from synthetic import SCALE, Synthetic, publish_synthetic
from tables import spread, table, verdict

from rankserve.v1 import ranking_pb2, ranking_pb2_grpc
from rankserve_server.engine.jax_setup import jax

# Users and items.
SIZES = (
    (1_000, 1_000),
    (1_000, 10_000),
    (1_000, 100_000),
    (1_000, 1_000_000),
    (100_000, 1_000),
    (1_000_000, 1_000),
    (10_000_000, 1_000),
)
CONTENDER = rankserve("auto")
CANDIDATES = 500
TOP_K = 10
ROUNDS = 5
TARGET_TIMES_SMALL = 1.3
TARGET_TIMES_PRODUCT = 2.0
MOST_MIB = 12 * 1024.0
_CALLS = 150
_CATALOG_ITEMS_PER_ROUND = 200_000
_CHECKED = 3
_TOLERANCE = 1e-5
_TIMEOUT = 60.0
_FIRST_PORT = 27_770
_DIRECTORY = Path(__file__).parents[1] / "build" / "benchmark-catalogues"
_SLICE = 2_048
_WIDTH, _OUTPUTS = 256, 64

Ids = npt.NDArray[np.int64]


@dataclass
class Size:
    """What was measured of one size; latencies are milliseconds, by round.

    Attributes:
        users: known ones.
        items: known ones.
        disk_mib: size of the version's files.
        start_seconds: from the start of the process until it was ready.
        resident_mib: memory of the server after the calls.
        peak_mib: the most memory that it has had.
        candidates_ms: medians of Rank with `CANDIDATES` candidates.
        small_ms: the same of the smallest version, in turn.
        catalog_ms: medians of the best of the whole catalogue.
        product_ms: medians of the bare matrix product over as many rows.
        too_large: why it was not measured.
    """

    users: int
    items: int
    disk_mib: float
    start_seconds: float = 0.0
    resident_mib: float = 0.0
    peak_mib: float = 0.0
    candidates_ms: list[float] = field(default_factory=list)
    small_ms: list[float] = field(default_factory=list)
    catalog_ms: list[float] = field(default_factory=list)
    product_ms: list[float] = field(default_factory=list)
    too_large: str = ""


def run(_models_dir: Path, log: Callable[[str], None]) -> str:
    """Measures, and returns the table as Markdown."""
    shutil.rmtree(_DIRECTORY, ignore_errors=True)
    try:
        sizes = _measure_all(log)
    finally:
        shutil.rmtree(_DIRECTORY, ignore_errors=True)
    return f"{_introduction()}\n\n{_table(sizes)}"


def _measure_all(log: Callable[[str], None]) -> list[Size]:
    sizes = []
    small = publish_synthetic(_DIRECTORY / "small", *SIZES[0])
    with _served(small, _FIRST_PORT) as process, closing(Server(process, small)) as reference:
        for users, items in SIZES:
            started = time.monotonic()
            models_dir = _DIRECTORY / f"{users}-{items}"
            version = publish_synthetic(models_dir, users, items)
            seconds = time.monotonic() - started
            gc.collect()  # Keras' models hold themselves, and the largest of them a gigabyte
            sizes.append(_measure(version, reference))
            shutil.rmtree(models_dir)
            log(
                f"catalogue: {users:,} users, {items:,} items: published in {seconds:.0f} s, "
                f"all in {time.monotonic() - started:.0f} s"
            )
    return sizes


@contextmanager
def _served(version: Synthetic, port: int) -> Iterator[Process]:
    """A server that holds this version only."""
    # Short of what the machine has left, so that a size that is too large ends only its own server.
    most = min(MOST_MIB, 0.8 * _available_mib())
    process = Process(CONTENDER, version.directory.parents[1], port, most)
    try:
        yield process
    finally:
        process.stop()


class Server:
    """A server of a version, called and checked."""

    def __init__(self, process: Process, version: Synthetic) -> None:
        self._version = version
        self._channel = grpc.insecure_channel(process.target)
        self._stub = ranking_pb2_grpc.RankingServiceStub(self._channel)

    def close(self) -> None:
        """Ends the connection, not the server."""
        self._channel.close()

    def candidates_ms(self, random: np.random.Generator) -> float:
        """The median latency of Rank with random candidates; no user is asked for twice."""
        version = self._version
        users = 1 + random.choice(version.user_count, _CALLS, replace=False)
        candidates = [1 + random.choice(version.item_count, CANDIDATES, replace=False) for _ in users]
        requests = [
            ranking_pb2.RankRequest(user_id=int(user), candidate_ids=ids.tolist())
            for user, ids in zip(users, candidates, strict=True)
        ]
        seconds, responses = self._call_each(requests)
        for ids, response in zip(candidates, responses, strict=True):
            _check_items(ids, response)
        for user, response in list(zip(users, responses, strict=True))[:_CHECKED]:
            self._check_scores(int(user), response)
        return statistics.median(seconds) * 1e3

    def catalog_ms(self, random: np.random.Generator, calls: int) -> float:
        """The median latency of the best of the whole catalogue, for random users."""
        users = 1 + random.choice(self._version.user_count, calls, replace=False)
        seconds, responses = self._call_each(
            [ranking_pb2.RankRequest(user_id=int(user), top_k=TOP_K) for user in users]
        )
        self._check_scores(int(users[0]), responses[0])
        self._check_best(int(users[0]), responses[0])
        return statistics.median(seconds) * 1e3

    def _call_each(self, requests: list[ranking_pb2.RankRequest]) -> tuple[list[float], list[ranking_pb2.RankResponse]]:
        seconds, responses = [], []
        for request in requests:
            started = time.perf_counter()
            response = self._stub.Rank(request, timeout=_TIMEOUT)
            seconds.append(time.perf_counter() - started)
            responses.append(response)
        return seconds, responses

    def _check_scores(self, user: int, response: ranking_pb2.RankResponse) -> None:
        scores = np.array(response.scores)
        expected = self._version.scores(user, np.array(response.item_ids))
        if (np.diff(scores) > 0).any() or not np.abs(scores - expected).max() <= _TOLERANCE * SCALE.span:
            raise RuntimeError(f"user {user} has wrong scores: {scores} instead of {expected}")

    def _check_best(self, user: int, response: ranking_pb2.RankResponse) -> None:
        """Which of two nearly equal items is the better one is left to rounding."""
        best = np.sort(self._version.scores(user, np.arange(1, self._version.item_count + 1)))[::-1][:TOP_K]
        scores = np.array(response.scores)
        if len(scores) != TOP_K or not np.abs(scores - best).max() <= _TOLERANCE * SCALE.span:
            raise RuntimeError(f"user {user} does not have the best of the catalogue: {scores} instead of {best}")


def _check_items(asked: Ids, response: ranking_pb2.RankResponse) -> None:
    if not np.array_equal(np.sort(asked), np.sort(np.array(response.item_ids))):
        raise RuntimeError("other items than were asked for")


class Product:
    """The matrix product that no scoring of so many items can do without, and nothing else; on one thread."""

    def __init__(self, rows: int) -> None:
        random = np.random.default_rng(0)
        sizes = [min(_SLICE, rows - start) for start in range(0, rows, _SLICE)]
        self._kernel = jax.device_put(random.random((_WIDTH, _OUTPUTS), np.float32))
        self._slices = [jax.device_put(random.random((size, _WIDTH), np.float32)) for size in sizes]
        self._calls = {size: self._compile(size) for size in set(sizes)}

    def ms(self) -> float:
        """What it takes, once."""
        started = time.perf_counter()
        # Waited for together: where JAX computes on a thread of its own, it goes on without a pause.
        jax.block_until_ready([self._calls[len(rows)](rows, self._kernel) for rows in self._slices])
        return (time.perf_counter() - started) * 1e3

    def _compile(self, size: int) -> Callable[..., Any]:
        rows = jax.ShapeDtypeStruct((size, _WIDTH), np.float32)
        kernel = jax.ShapeDtypeStruct((_WIDTH, _OUTPUTS), np.float32)
        compiled: Callable[..., Any] = jax.jit(lambda rows, kernel: rows @ kernel).lower(rows, kernel).compile()
        return compiled


def _measure(version: Synthetic, reference: Server) -> Size:
    size = Size(version.user_count, version.item_count, version.disk_mib)
    try:
        with _served(version, _FIRST_PORT + 1) as process:
            size.start_seconds = process.start_seconds
            with closing(Server(process, version)) as server:
                _measure_rounds(size, server, reference)
            size.resident_mib, size.peak_mib = process.resident_mib(), process.peak_mib()
    except TooLargeError as error:
        size.too_large = str(error)
    return size


def _measure_rounds(size: Size, server: Server, reference: Server) -> None:
    product = Product(size.items)
    random = np.random.default_rng(0)
    calls = max(1, min(50, _CATALOG_ITEMS_PER_ROUND // size.items))
    for either in (server, reference):
        either.candidates_ms(random)  # warms it up
    for _ in range(ROUNDS):
        size.candidates_ms.append(server.candidates_ms(random))
        size.small_ms.append(reference.candidates_ms(random))
        size.catalog_ms.append(server.catalog_ms(random, calls))
        size.product_ms.append(statistics.median(product.ms() for _ in range(calls)))


def _available_mib() -> float:
    for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) / 1024
    return MOST_MIB


def _introduction() -> str:
    return (
        "The tutorial's architecture with random weights. One caller, one call after the other: Rank with "
        f"{CANDIDATES} random candidates, beside the same of the first row's version in turn, and the best {TOP_K} "
        f"of the whole catalogue, beside the bare product of items x {_WIDTH} with {_WIDTH} x {_OUTPUTS} numbers, in "
        f"slices of {_SLICE:,} rows, on one thread of a process that computes nothing else. Medians, of {ROUNDS} "
        f"rounds (lowest to highest). Targets with a million items: {TARGET_TIMES_SMALL} times the smallest version, "
        f"{TARGET_TIMES_PRODUCT:.0f} times the product. A server may take {MOST_MIB / 1024:.0f} GiB to start."
    )


def _table(sizes: list[Size]) -> str:
    columns = ["users", "items", "MiB on disk", "s until ready", "MiB", "peak MiB", f"{CANDIDATES} candidates ms"]
    columns += ["times the smallest", f"top {TOP_K} of all ms", "product ms", "times the product"]
    return table(columns, [_row(size, is_target=size.items == max(items for _, items in SIZES)) for size in sizes])


def _row(size: Size, *, is_target: bool) -> list[str]:
    counts = [f"{size.users:,}", f"{size.items:,}", f"{size.disk_mib:,.1f}"]
    if size.too_large:
        return [*counts, size.too_large, *["-"] * 7]
    return [
        *counts,
        f"{size.start_seconds:.1f}",
        f"{size.resident_mib:,.0f}",
        f"{size.peak_mib:,.0f}",
        spread(size.candidates_ms, ".2f"),
        _ratio(size.candidates_ms, size.small_ms, TARGET_TIMES_SMALL if is_target else None),
        spread(size.catalog_ms, ".2f"),
        spread(size.product_ms, ".2f"),
        _ratio(size.catalog_ms, size.product_ms, TARGET_TIMES_PRODUCT if is_target else None),
    ]


def _ratio(values: list[float], others: list[float], target: float | None) -> str:
    ratios = [value / other for value, other in zip(values, others, strict=True)]
    said = "" if target is None else f", target {verdict(statistics.median(ratios), target)}"
    return spread(ratios, ".2f") + said
