"""Every answer under load against the Keras model: which items, in which order, with which scores; and whether the same
pair gets the same bits each time."""

import asyncio
import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path

import grpc
import numpy as np
import numpy.typing as npt
from processes import Process, rankserve, running
from tables import table

from rankserve.v1 import ranking_pb2, ranking_pb2_grpc
from rankserve_training.artifact import read_artifact, resolve_version
from rankserve_training.model.predicting import predict_ratings

CONTENDERS = [rankserve("direct"), rankserve("aio")]
SECONDS = 60.0
CLIENTS = 2
CALLERS = 8
TOLERANCE = 1e-5
_LARGEST = 3_000
_LARGEST_BATCH = 12
_BATCH_SHARE = 0.2
_TOP_K_SHARE = 0.2
_CATALOG_SHARE = 0.02
# Ids behind the last one, so that users and items that the model does not know are asked for too.
_STRANGERS = 5
_TIMEOUT = 30.0
_FIRST_PORT = 27_760

Ids = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]


@dataclass
class Counts:
    """What was checked, and what was wrong.

    Attributes:
        calls: of either method.
        answers: of Rank, or within a BatchRank.
        scores: in the answers.
        repeated: of these, of a pair that this client had scored before.
        failed: calls that did not end with OK.
        wrong_items: answers with other items than the best of the candidates.
        wrong_order: answers whose scores do not fall, or whose equal scores are not in the order of the request.
        wrong_scores: scores further from the Keras model's than allowed, or not finite.
        wrong_bits: scores with other bits than the same pair had before.
        worst: the largest difference, by the span of the scale.
    """

    calls: int = 0
    answers: int = 0
    scores: int = 0
    repeated: int = 0
    failed: int = 0
    wrong_items: int = 0
    wrong_order: int = 0
    wrong_scores: int = 0
    wrong_bits: int = 0
    worst: float = 0.0

    def add(self, other: "Counts") -> None:
        """Adds what another client has counted."""
        for name in (entry.name for entry in fields(self) if entry.name != "worst"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.worst = max(self.worst, other.worst)


@dataclass(frozen=True)
class Expected:
    """What the Keras model gives, row 0 for unknown ids.

    Attributes:
        ratings: float32[users + 1, items + 1].
        span: of the rating scale.
    """

    ratings: Scores
    span: float

    @property
    def user_count(self) -> int:
        """Known users."""
        return len(self.ratings) - 1

    @property
    def item_count(self) -> int:
        """Known items."""
        return int(self.ratings.shape[1]) - 1


def run(models_dir: Path, log: Callable[[str], None]) -> str:
    """Loads each transport for `SECONDS`, and returns the table as Markdown."""
    expected = _expected(models_dir)
    results = {}
    with running(CONTENDERS, models_dir, _FIRST_PORT) as processes:
        bits: list[Scores] = []
        for process in processes:
            counts, first_scores = _load(process, expected)
            bits += first_scores
            results[process.contender.name] = counts
            log(f"correctness: {process.contender.name}: {counts}")
    return f"{_introduction(expected)}\n\n{_table(results)}\n\n{_agreement(bits)}"


def _expected(models_dir: Path) -> Expected:
    artifact = read_artifact(resolve_version(models_dir / "movielens"))
    shape = (len(artifact.users) + 1, len(artifact.catalog) + 1)
    users, items = (rows.ravel().astype(np.int32) for rows in np.indices(shape))
    ratings = predict_ratings(artifact.load_keras_model(), users, items).reshape(shape)
    return Expected(ratings, artifact.manifest.rating_scale.span)


def _load(process: Process, expected: Expected) -> tuple[Counts, list[Scores]]:
    """What all clients counted, and the scores that each has seen first."""
    total, seen = Counts(), []
    context = multiprocessing.get_context("spawn")  # gRPC does not survive a fork
    with ProcessPoolExecutor(CLIENTS, mp_context=context) as clients:
        futures = [clients.submit(_client, process.target, expected, number, SECONDS) for number in range(CLIENTS)]
        for future in futures:
            counts, first_scores = future.result()
            total.add(counts)
            seen.append(first_scores)
    return total, seen


def _client(target: str, expected: Expected, number: int, seconds: float) -> tuple[Counts, Scores]:
    """One process of the load: what it counted, and the scores that it has seen first."""
    checker = Checker(expected)
    asyncio.run(_call_all(target, checker, number, seconds))
    return checker.counts, checker.seen


async def _call_all(target: str, checker: "Checker", number: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    async with grpc.aio.insecure_channel(target, [("grpc.max_receive_message_length", -1)]) as channel:
        stub: ranking_pb2_grpc.RankingServiceAsyncStub = ranking_pb2_grpc.RankingServiceStub(channel)
        requests = Requests(checker.expected, number)
        await asyncio.gather(*(_call(stub, checker, requests, end) for _ in range(CALLERS)))


async def _call(
    stub: "ranking_pb2_grpc.RankingServiceAsyncStub", checker: "Checker", requests: "Requests", end: float
) -> None:
    while time.monotonic() < end:
        several = requests.next_call()
        try:
            if len(several) == 1:
                responses = [await stub.Rank(several[0], timeout=_TIMEOUT)]
            else:
                batch = ranking_pb2.BatchRankRequest(requests=several)
                responses = list((await stub.BatchRank(batch, timeout=_TIMEOUT)).responses)
        except grpc.aio.AioRpcError:
            checker.counts.failed += 1
            continue
        checker.check_call(several, responses)


class Requests:
    """Random requests: every user in turn, sizes of every magnitude, candidates with repetitions."""

    def __init__(self, expected: Expected, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._items = expected.item_count
        self._user_ids = self._random.permutation(expected.user_count + _STRANGERS) + 1
        self._next_user = 0

    def next_call(self) -> list[ranking_pb2.RankRequest]:
        """One request for Rank, or several for BatchRank."""
        count = self._random.integers(2, _LARGEST_BATCH + 1) if self._random.random() < _BATCH_SHARE else 1
        return [self._next_request() for _ in range(count)]

    def _next_request(self) -> ranking_pb2.RankRequest:
        user_id = int(self._user_ids[self._next_user])
        self._next_user = (self._next_user + 1) % len(self._user_ids)
        chance = self._random.random()
        if chance < _CATALOG_SHARE:
            return ranking_pb2.RankRequest(user_id=user_id, top_k=int(self._random.integers(1, self._items + 1)))
        size = int(np.exp(self._random.uniform(0, np.log(_LARGEST))))
        candidates = self._random.integers(1, self._items + _STRANGERS + 1, size)
        top_k = int(self._random.integers(1, size + 1)) if chance < _CATALOG_SHARE + _TOP_K_SHARE else 0
        return ranking_pb2.RankRequest(user_id=user_id, candidate_ids=candidates.tolist(), top_k=top_k)


class Checker:
    """Compares answers with the Keras model's scores, and with the bits that it has seen.

    Attributes:
        expected: what the model gives.
        counts: what came of it.
        seen: float32[users + 1, items + 1], the first score of every pair; NaN where there was none.
    """

    def __init__(self, expected: Expected) -> None:
        self.expected = expected
        self.counts = Counts()
        self.seen: Scores = np.full_like(expected.ratings, np.nan)

    def check_call(self, requests: list[ranking_pb2.RankRequest], responses: list[ranking_pb2.RankResponse]) -> None:
        """Checks the answers to a call."""
        self.counts.calls += 1
        self.counts.wrong_items += abs(len(requests) - len(responses))
        for request, response in zip(requests, responses, strict=False):
            self._check(request, response)

    def _check(self, request: ranking_pb2.RankRequest, response: ranking_pb2.RankResponse) -> None:
        counts = self.counts
        counts.answers += 1
        user = request.user_id if request.user_id <= self.expected.user_count else 0
        asked = np.array(request.candidate_ids, np.int64)
        if not len(asked):
            asked = np.arange(1, self.expected.item_count + 1)
        ids, scores = np.array(response.item_ids, np.int64), np.array(response.scores, np.float32)
        if response.HasField("error") or len(ids) != len(scores) or response.user_known != (user != 0):
            counts.wrong_items += 1
            return
        self._check_scores(user, ids, scores)
        counts.wrong_items += not self._are_best(user, asked, ids, request.top_k)
        counts.wrong_order += not self._is_ordered(user, asked, ids, scores)

    def _check_scores(self, user: int, ids: Ids, scores: Scores) -> None:
        counts, rows = self.counts, self._rows(ids)
        counts.scores += len(scores)
        difference = np.abs(scores - self.expected.ratings[user, rows]) / self.expected.span
        counts.wrong_scores += int(np.count_nonzero(~(difference <= TOLERANCE)))  # also where it is NaN
        counts.worst = max(counts.worst, float(difference.max(initial=0)))
        fresh = np.isnan(self.seen[user, rows])
        counts.repeated += int(np.count_nonzero(~fresh))
        self.seen[user, rows[fresh]] = scores[fresh]
        # Compared with what is there now, so that an item that occurs twice in one answer is compared too.
        same = self.seen[user, rows].view(np.uint32) == scores.view(np.uint32)
        counts.wrong_bits += int(np.count_nonzero(~same))

    def _are_best(self, user: int, asked: Ids, ids: Ids, top_k: int) -> bool:
        """Whether the items are the best of those asked for, as often as they were asked for."""
        if len(ids) != (min(top_k, len(asked)) if top_k else len(asked)):
            return False
        size = self.expected.item_count + _STRANGERS + 1
        if not len(ids) or ids.min() < 1 or ids.max() >= size:
            return not len(asked)
        left = np.bincount(asked, minlength=size) - np.bincount(ids, minlength=size)
        if (left < 0).any():
            return False
        ratings = self.expected.ratings[user]
        left_out = ratings[self._rows(np.flatnonzero(left))]
        # Where two scores are closer than the tolerance, either may be the better one.
        slack = 2 * TOLERANCE * self.expected.span
        return bool(left_out.max(initial=-np.inf) <= ratings[self._rows(ids)].min() + slack)

    def _is_ordered(self, user: int, asked: Ids, ids: Ids, scores: Scores) -> bool:
        """Whether the best scores come first and equal ones in the order of the request; once they are in `seen`."""
        if (np.diff(scores) > 0).any():
            return False
        # What has never been answered was left out; whether rightly so is for `_are_best`.
        own = np.nan_to_num(self.seen[user, self._rows(asked)], nan=-np.inf)
        return np.array_equal(asked[np.argsort(-own, kind="stable")][: len(ids)], ids)

    def _rows(self, ids: Ids) -> Ids:
        """Rows of the items, 0 for every id that the model does not know."""
        return np.where((ids >= 1) & (ids <= self.expected.item_count), ids, 0)


def _agreement(seen: list[Scores]) -> str:
    """How many pairs several clients have scored, on either transport, and how many of them with different bits."""
    shared = different = 0
    for first, second in pairwise(seen):
        both = ~np.isnan(first) & ~np.isnan(second)
        shared += int(np.count_nonzero(both))
        different += int(np.count_nonzero(first.view(np.uint32)[both] != second.view(np.uint32)[both]))
    return (
        f"Between the {len(seen)} clients, two on each transport, each compared with the next: {shared:,} pairs that "
        f"both have scored, {different:,} with different bits."
    )


def _introduction(expected: Expected) -> str:
    return (
        f"{CLIENTS} client processes with {CALLERS} callers each, {SECONDS:.0f} s on each transport, one after the "
        f"other. Rank and BatchRank (up to {_LARGEST_BATCH} requests), 1 to {_LARGEST:,} random candidates or the "
        f"whole catalogue, some with `top_k`, all {expected.user_count:,} users, unknown users and items too. Every "
        "answer is compared with the Keras model's predictions for all pairs: the items, their order, every score to "
        f"{TOLERANCE:g} of the span of the scale, and its bits with those that the pair had before."
    )


def _table(results: dict[str, Counts]) -> str:
    columns = ["server", "calls", "answers checked", "scores checked", "of pairs seen before", "failed calls"]
    columns += ["wrong items", "wrong order", "wrong scores", "other bits", "largest difference / span"]
    rows = []
    for name, counts in results.items():
        figures = [getattr(counts, entry.name) for entry in fields(counts) if entry.name != "worst"]
        rows.append([name, *(f"{figure:,}" for figure in figures), f"{counts.worst:.1e}"])
    return table(columns, rows)
