"""New versions while the server answers: no call fails, each answer is that of the version that it names, nobody waits.

RELOADS makes the long form longer, with RELOADS_AT_ONCE of them one right after the other. For 200 count on more than
an hour, as what loads is halted while the server is busy. RELOADS_SLOWER bounds how much longer answers may take then.
"""

import json
import os
import shutil
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TypeAlias

import numpy as np
import pytest

from conftest import StartServer
from integration.server_process import ServerProcess
from rankserve.v1 import ranking_pb2
from rankserve_client import RankingClient
from reliability.checked_load import Answers, RunningLoad, responses_of
from reliability.stolen_time import StolenTime
from server.tower_answers import assert_answers
from server.two_towers import STRANGER, Published, Towers, publish_towers, random_towers

RELOADS = int(os.environ.get("RELOADS", "8"))
AT_ONCE = int(os.environ.get("RELOADS_AT_ONCE", "1"))
SHORT_RELOADS = 2
SHARE_OF_CAPACITY = float(os.environ.get("RELOADS_SHARE", "0.7"))
# So little that it is answered whatever else the machine has to do.
SMALL_SHARE = 0.1
CAPACITY_SECONDS = 2.0
# Where more comes than is answered, the wait is longer than this by the end of that time: a twentieth too much is.
LONGEST_WAIT_SECONDS = 0.1
LESS = 0.9
# Before reloads as long as the last one took, or so long: neighbours of a moment are those of both.
LONGEST_PAUSE_SECONDS = 10.0
# What is different about the versions that take turns.
KINDS = 3
REQUESTS, CANDIDATES = 40, 100
# Of the time that 99 of 100 answers take, to that without reloads: in a usual round, as neighbours on the machine make
# either several times as long.
SLOWER = float(os.environ.get("RELOADS_SLOWER", "1.5"))
LOAD_SECONDS = 120.0
# Of what the load leaves of the processors: where other machines on the same hardware take more of them, in any half
# second, it is too much for what is left, and to turn calls away is right.
MOST_STOLEN = 1 / 3
# Of all rounds; with less of them nothing can be said.
LEAST_UNDISTURBED = 0.5
Requests: TypeAlias = list[ranking_pb2.RankRequest]
# The first few fill caches of the allocator and of the runtime.
FIRST_RELOADS = 3
GROWTH_KIB = 48 * 1024


class Versions:
    """Publishes versions of some kinds in turn, as `cp` and `mv` would."""

    def __init__(self, models_dir: Path, staging: Path) -> None:
        self.directory = models_dir / "towers"
        self.kinds: list[Towers] = [random_towers(seed) for seed in range(KINDS)]
        self.newest = 0
        self._templates: list[Published] = [
            publish_towers(staging / str(place), towers) for place, towers in enumerate(self.kinds)
        ]

    def publish(self) -> int:
        """The next one, which becomes visible in one step; the last but four is deleted."""
        self.newest += 1
        template = self._templates[self.newest % KINDS].directory
        hidden = self.directory / f".{self.newest}"
        shutil.copytree(template, hidden)
        manifest = json.loads((hidden / "manifest.json").read_bytes())
        (hidden / "manifest.json").write_text(json.dumps(manifest | {"version": self.newest}), encoding="utf-8")
        hidden.rename(self.directory / str(self.newest))
        if self.newest > 4:
            shutil.rmtree(self.directory / str(self.newest - 4))
        return self.newest

    def towers_of(self, version: int) -> Towers:
        """What a version is made of."""
        return self.kinds[version % KINDS]


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Versions:
    """With the first version published."""
    versions = Versions(tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("staging"))
    versions.directory.mkdir()
    versions.publish()
    return versions


@pytest.mark.reliability
def test_new_versions_are_not_noticed_by_asyncio(start_server: StartServer, versions: Versions) -> None:
    reload_under_load(start_server, versions, "aio", SHORT_RELOADS, SMALL_SHARE, longest_pause=0.5)


@pytest.mark.reliability
@pytest.mark.alone
@pytest.mark.timeout(600 + 60 * RELOADS)
def test_nobody_waits_for_new_versions(start_server: StartServer, versions: Versions) -> None:
    slower = reload_under_load(
        start_server, versions, "direct", RELOADS, SHARE_OF_CAPACITY, LONGEST_PAUSE_SECONDS, AT_ONCE
    )
    assert slower <= SLOWER, f"{slower:.2f} times"


def reload_under_load(
    start_server: StartServer,
    versions: Versions,
    transport: str,
    reloads: int,
    share: float,
    longest_pause: float,
    at_once: int = 1,
) -> float:
    """Publishes so many versions, each once the one before it answers; after `at_once` of them, some time goes.

    Then what the server can answer is measured anew: what else the machine does changes.

    Returns:
        How many times as long 99 of 100 answers took during the reloads of a usual round as just before them.
    """
    flags = ("--transport", transport, "--watch-seconds", "0.2")
    server = start_server(*flags, models=versions.directory.parent).wait_until_ready()
    requests = requests_to(versions.kinds[0])
    run(server, 0, requests, seconds=1.0)  # whatever is allocated once is allocated then
    rounds: list[Round] = []
    with RankingClient(server.address) as client, StolenTime() as stolen:
        for done in range(0, reloads, at_once):
            rate = share * capacity(server, requests)
            pause = min(rounds[-1].seconds, longest_pause) if rounds else longest_pause
            count = min(at_once, reloads - done)
            rounds.append(Round.of(server, client, versions, requests, rate, pause, count, stolen))
            print(f"\n{rounds[-1]}", end="", flush=True)
    figures = [each.figures for each in rounds]
    during, before = (
        quantile_ms(0.99, [took for each in rounds for took in times(each)]) for times in (Round.during, Round.before)
    )
    slower = [each.slower for each in rounds]
    most_stolen = MOST_STOLEN * (1 - share)
    undisturbed = [each for each in rounds if each.stolen <= most_stolen]
    failed = sum((Counter(each.answers.failed) for each in rounds), Counter())
    failed_undisturbed = sum((Counter(each.answers.failed) for each in undisturbed), Counter())
    print(
        f"\n{transport}: {reloads} reloads, each in {spread(each.seconds / each.reloads for each in rounds)} s, "
        f"at {spread(each.answers.rate for each in rounds)} calls a second, {share:g} of what could be answered; "
        f"{sum(each.answers.calls for each in rounds):,} calls, failed: {dict(failed)}, "
        f"{sum(each.failed_before() for each in rounds):,} of them before a version was published; "
        f"{len(undisturbed)} of {len(rounds)} rounds without a half second in which others took more than "
        f"{most_stolen:.0%} of the processors, failed in these: {dict(failed_undisturbed)}; "
        f"p99 of all rounds {during:.2f} ms during reloads, {before:.2f} ms before them, {during / before:.2f} times; "
        f"of a usual one {median(slower):.2f} times ({spread(slower)}); {figures[0]}, then {figures[-1]}",
        end="",
        flush=True,
    )
    answered = check_answers(versions, requests, sum((Counter(each.answers.distinct) for each in rounds), Counter()))
    assert not failed_undisturbed
    assert set(range(versions.newest - reloads + 1, versions.newest + 1)) <= set(answered)
    if reloads > FIRST_RELOADS:
        figures[FIRST_RELOADS // at_once].check_same(figures[-1])
    stopped = server.stop()
    assert (stopped.code, stopped.errors.count("Traceback")) == (0, 0), stopped.errors
    if len(undisturbed) < LEAST_UNDISTURBED * len(rounds):
        pytest.skip("others took too much of this machine to say how long answers take, or that none is refused")
    return median(slower)


@dataclass(frozen=True)
class Round:
    """Reloads one right after the other, and the load before them and meanwhile.

    Attributes:
        answers: of both.
        reloads: how many.
        started: when the first version was published, on the clock of the answers.
        ended: when the last one answered.
        figures: what the server held then.
        stolen: of the processors, by other machines on this hardware, at most: in any half second.
    """

    answers: Answers
    reloads: int
    started: float
    ended: float
    figures: "Figures"
    stolen: float

    @staticmethod
    def of(
        server: ServerProcess,
        client: RankingClient,
        versions: Versions,
        requests: Requests,
        rate: float,
        pause: float,
        reloads: int,
        stolen: StolenTime,
    ) -> "Round":
        """One round, at so many calls a second."""
        begun = time.perf_counter()
        with RunningLoad(server.address, rate, requests) as load:
            time.sleep(pause)
            started = time.perf_counter()
            for _ in range(reloads):
                wait_for_version(client, versions.publish())
            ended, figures = time.perf_counter(), Figures.of(server)
            return Round(load.end(), reloads, started, ended, figures, stolen.most(begun, ended))

    def __str__(self) -> str:
        during, before = (quantile_ms(0.99, took) for took in (self.during(), self.before()))
        return (
            f"{self.reloads} reloads in {self.seconds:.1f} s, {self.answers.rate:,.0f} calls a second, failed: "
            f"{self.answers.failed}; p99 {during:.2f} ms during reloads, {before:.2f} ms before them; "
            f"{self.slower:.2f} times for as long; others took {self.stolen:.0%} at most"
        )

    @property
    def slower(self) -> float:
        """The p99 during the reloads to that before them, of times with as many answers: the median of such.

        The longer the time, the likelier it has a moment in it in which the machine stood still.
        """
        before, during = self.before(), self.during()
        pieces = max(1, round(len(during) / len(before)))
        size = len(during) / pieces
        each = (during[round(place * size) : round((place + 1) * size)] for place in range(pieces))
        return median(quantile_ms(0.99, piece) for piece in each) / quantile_ms(0.99, before)

    @property
    def seconds(self) -> float:
        return self.ended - self.started

    def before(self) -> list[float]:
        """Seconds of each answer that was due before the version was published."""
        return self.answers.took[: bisect_left(self.answers.due, self.started)]

    def during(self) -> list[float]:
        """Likewise until it answered."""
        due = self.answers.due
        return self.answers.took[bisect_left(due, self.started) : bisect_left(due, self.ended)]

    def failed_before(self) -> int:
        """How many calls failed that were due before the version was published."""
        return bisect_left(self.answers.failed_due, self.started)


def capacity(server: ServerProcess, requests: Requests) -> float:
    """How many calls a second it answers all of, where they come at random, without letting them wait ever longer.

    As many as are answered with some in flight at any time are too many of those: at times more of them come, and the
    more of them wait, the longer each takes.
    """
    rate = run(server, 0, requests, CAPACITY_SECONDS).rate
    while is_too_much(run(server, rate, requests, CAPACITY_SECONDS)):
        rate *= LESS
    return rate


def is_too_much(answers: Answers) -> bool:
    return bool(answers.failed) or quantile_ms(0.99, answers.took) > LONGEST_WAIT_SECONDS * 1e3


def run(server: ServerProcess, rate: float, requests: Requests, seconds: float) -> Answers:
    with RunningLoad(server.address, rate, requests) as load:
        time.sleep(seconds)
        return load.end()


def quantile_ms(share: float, seconds: list[float]) -> float:
    return sorted(seconds)[int(share * len(seconds))] * 1e3


def spread(values: Iterable[float]) -> str:
    found = sorted(values)
    return f"{found[0]:,.2f} to {found[-1]:,.2f}"


def check_answers(versions: Versions, requests: Requests, distinct: Counter[tuple[int, bytes]]) -> Counter[int]:
    """Holds each answer against the definition of the version that it names; returns how many there were of each."""
    found: Counter[int] = Counter()
    checked: set[tuple[int, int, bytes]] = set()
    for request, response, count in responses_of(distinct):
        version = response.model_version
        found[version] += count
        response.model_version = version % KINDS
        same = (request, version % KINDS, response.SerializeToString())
        if same not in checked:
            checked.add(same)
            assert_answers(requests[request], response, versions.towers_of(version))
    # Scores are the same bit for bit whenever they are asked for.
    assert len(checked) <= REQUESTS * KINDS
    return found


def requests_to(towers: Towers) -> Requests:
    random = np.random.default_rng(7)
    users = [*random.choice(towers.user_ids, REQUESTS - 1).tolist(), STRANGER]
    candidates = [random.choice(towers.item_ids, CANDIDATES).tolist() for _ in users]
    return [
        ranking_pb2.RankRequest(user_id=user, candidate_ids=items, top_k=20)
        for user, items in zip(users, candidates, strict=True)
    ]


def wait_for_version(client: RankingClient, version: int) -> None:
    until = time.monotonic() + LOAD_SECONDS
    while client.model("towers").version != version:
        assert time.monotonic() < until, client.models()
        time.sleep(0.1)


class Figures:
    """What a server holds."""

    def __init__(self, kib: int, threads: int, files: int) -> None:
        self.kib, self.threads, self.files = kib, threads, files

    def __str__(self) -> str:
        return f"{self.kib / 1024:.0f} MiB, {self.threads} threads, {self.files} files"

    @staticmethod
    def of(server: ServerProcess) -> "Figures":
        """Now."""
        process = Path("/proc") / str(server.pid)
        status = dict(line.split(":", 1) for line in (process / "status").read_text(encoding="utf-8").splitlines())
        files = len(list((process / "fd").iterdir()))
        return Figures(int(status["VmRSS"].split()[0]), int(status["Threads"]), files)

    def check_same(self, later: "Figures") -> None:
        """Nothing is left of what came between."""
        assert later.kib <= self.kib + GROWTH_KIB, f"{self}, then {later}"
        assert later.threads <= self.threads + 2, f"{self}, then {later}"
        assert later.files <= self.files + 2, f"{self}, then {later}"
