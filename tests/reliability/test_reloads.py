"""New versions while the server answers: no call fails, each answer is that of the version that it names, nobody waits.

RELOADS makes the long form longer; for 200 count on half an hour. RELOADS_SLOWER bounds how much longer answers may
take meanwhile: on a machine that has nothing else to do 1.5 times.
"""

import json
import os
import shutil
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from conftest import StartServer
from integration.server_process import ServerProcess
from rankserve.v1 import ranking_pb2
from rankserve_client import RankingClient
from reliability.checked_load import Answers, RunningLoad, responses_of
from server.tower_answers import assert_answers
from server.two_towers import STRANGER, Published, Towers, publish_towers, random_towers

RELOADS = int(os.environ.get("RELOADS", "15"))
SHORT_RELOADS = 2
SHARE_OF_CAPACITY = float(os.environ.get("RELOADS_SHARE", "0.7"))
# So little that it is answered whatever else the machine has to do.
SMALL_SHARE = 0.1
CAPACITY_SECONDS = 4.0
# Between two reloads as long as the last one took, or so long: neighbours of a moment are those of both.
LONGEST_PAUSE_SECONDS = 10.0
# What is different about the versions that take turns.
KINDS = 3
REQUESTS, CANDIDATES = 40, 100
# Of the time that 99 of 100 answers take, to that without reloads; neighbours on the machine count as much.
SLOWER = float(os.environ.get("RELOADS_SLOWER", "5"))
LOAD_SECONDS = 120.0
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


@pytest.mark.parametrize("transport", ["direct", "aio"])
def test_new_versions_are_not_noticed(start_server: StartServer, versions: Versions, transport: str) -> None:
    reload_under_load(start_server, versions, transport, SHORT_RELOADS, SMALL_SHARE, longest_pause=0.5)


@pytest.mark.reliability
@pytest.mark.timeout(7_200)
def test_nobody_waits_for_new_versions(start_server: StartServer, versions: Versions) -> None:
    slower = reload_under_load(start_server, versions, "direct", RELOADS, SHARE_OF_CAPACITY, LONGEST_PAUSE_SECONDS)
    assert slower <= SLOWER, f"{slower:.2f} times"


def reload_under_load(
    start_server: StartServer, versions: Versions, transport: str, reloads: int, share: float, longest_pause: float
) -> float:
    """Publishes so many versions, each once the one before it answers and some time has gone.

    Returns:
        How many times as long 99 of 100 answers took during the reloads as between them.
    """
    flags = ("--transport", transport, "--watch-seconds", "0.2")
    server = start_server(*flags, models=versions.directory.parent).wait_until_ready()
    requests = requests_to(versions.kinds[0])
    for seconds in (1.0, CAPACITY_SECONDS):  # whatever is allocated once is allocated in the first
        with RunningLoad(server.address, 0, requests) as load:
            time.sleep(seconds)
            rate = share * load.end().rate
    figures: list[Figures] = []
    during: list[tuple[float, float]] = []
    between: list[tuple[float, float]] = []
    with RunningLoad(server.address, rate, requests) as load, RankingClient(server.address) as client:
        for _ in range(reloads):
            started = time.perf_counter()
            wait_for_version(client, versions.publish())
            ended = time.perf_counter()
            during.append((started, ended))
            figures.append(Figures.of(server))
            time.sleep(min(ended - started, longest_pause))
            between.append((ended, time.perf_counter()))
        answers = load.end()
    without, with_reloads = (answers.quantile_ms(0.99, spans) for spans in (between, during))
    took = [ended - started for started, ended in during]
    print(
        f"\n{transport}: {reloads} reloads, each in {min(took):.1f} to {max(took):.1f} s, at {rate:,.0f} calls a "
        f"second, {answers.calls:,} calls, failed: {dict(answers.failed)}; p99 {with_reloads:.2f} ms during reloads, "
        f"{without:.2f} ms between them; {figures[0]}, then {figures[-1]}",
        end="",
        flush=True,
    )
    assert not answers.failed
    answered = check_answers(versions, requests, answers)
    assert set(range(versions.newest - reloads + 1, versions.newest + 1)) <= set(answered)
    if reloads > FIRST_RELOADS:
        figures[FIRST_RELOADS].check_same(figures[-1])
    stopped = server.stop()
    assert (stopped.code, stopped.errors.count("Traceback")) == (0, 0), stopped.errors
    return with_reloads / without


def check_answers(versions: Versions, requests: list[ranking_pb2.RankRequest], answers: Answers) -> Counter[int]:
    """Holds each answer against the definition of the version that it names; returns how many there were of each."""
    found: Counter[int] = Counter()
    checked: set[tuple[int, int, bytes]] = set()
    for request, response, count in responses_of(answers):
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


def requests_to(towers: Towers) -> list[ranking_pb2.RankRequest]:
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
