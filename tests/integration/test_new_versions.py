"""Versions that come, go and are bad while a real server runs, and what operators do about them."""

import os
import shutil
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from conftest import StartServer
from integration.command_forks import run_forked
from integration.server_process import ServerProcess
from integration.tower_versions import add, edit_manifest, lose_a_file, promise_other_scores, truncate
from rankserve_client import (
    Conflict,
    ModelInfo,
    Promote,
    RankingClient,
    RollBack,
    SetAlias,
    SetCanary,
    SetShadow,
    Unavailable,
)
from server.two_towers import Published, publish_towers, random_towers

LOAD_SECONDS = 120.0
ITEMS = [5, 10, 15, 20, 25]
WATCH = ("--watch-seconds", "0.2")
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return publish_towers(tmp_path_factory.mktemp("template"), random_towers())


@pytest.fixture
def models(tmp_path: Path, template: Published) -> Path:
    """A directory with the first version."""
    models = tmp_path / "models"
    add(models, template, 1)
    return models


BAD = {
    2: (truncate, "model.keras"),
    3: (promise_other_scores, "does not give the scores that it was published with"),
    4: (lose_a_file, "catalog.npz"),
}


def wait_for(condition: Callable[[], bool], seconds: float = LOAD_SECONDS) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


def states(client: RankingClient) -> dict[int, str]:
    return {model.version: model.state for model in client.models()}


def current(client: RankingClient) -> int:
    return client.model().version


def health(server: ServerProcess) -> dict[str, int]:
    with grpc.insecure_channel(server.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = stub.List(health_pb2.HealthListRequest(), timeout=10)  # type: ignore[attr-defined]  # its types are from before List
        return {name: status.status for name, status in answer.statuses.items()}


def test_bad_versions_are_quarantined_and_the_old_one_goes_on(
    start_server: StartServer, models: Path, template: Published
) -> None:
    server = start_server(*WATCH, models=models).wait_until_ready()
    with RankingClient(server.address) as client:
        before = client.rank(3, ITEMS)
        for version, (change, _) in BAD.items():
            add(models, template, version, change)
        wait_for(lambda: states(client) == {1: "ready"} | dict.fromkeys(BAD, "failed"))
        found: dict[int, ModelInfo] = {model.version: model for model in client.models()}
        for version, (_, reason) in BAD.items():
            assert reason in found[version].state_message
        assert client.rank(3, ITEMS) == before
        said = {
            **dict.fromkeys(("", "rankserve.v1.RankingService", "towers", "towers/1"), SERVING),
            **{f"towers/{version}": NOT_SERVING for version in BAD},
        }
        wait_for(lambda: health(server) == said)  # once it has looked at all of them
        time.sleep(1.0)  # some more looks
    log = server.stop().errors
    assert [log.count(f"towers/{version} cannot be served") for version in BAD] == [1, 1, 1]
    # Nor does a new server try them: it would say so.
    again = start_server(*WATCH, models=models).wait_until_ready()
    with RankingClient(again.address) as client:
        assert states(client) == {1: "ready"} | dict.fromkeys(BAD, "failed")
        assert [client.model(version=v).state_message for v in BAD] == [found[v].state_message for v in BAD]
        # One that is mended is tried again.
        shutil.copytree(template.directory, models / "towers" / "4", dirs_exist_ok=True)
        edit_manifest(models / "towers" / "4", version=4)
        wait_for(lambda: current(client) == 4)
    assert "cannot be served" not in again.stop().errors


def test_a_careless_copy_is_served_when_it_is_complete(
    start_server: StartServer, models: Path, template: Published
) -> None:
    server = start_server(*WATCH, models=models).wait_until_ready()
    directory = models / "towers" / "2"
    directory.mkdir()
    with RankingClient(server.address) as client:
        for source in sorted(template.directory.iterdir(), reverse=True):
            shutil.copy(source, directory / source.name)
            if source.name == "manifest.json":
                edit_manifest(directory, version=2)
            time.sleep(0.6)  # a look or two find it as it is
            assert current(client) == 1 or source.name == "catalog.npz"
        wait_for(lambda: current(client) == 2)


def test_one_without_memory_is_refused_and_said_so(start_server: StartServer, models: Path) -> None:
    server = start_server(*WATCH, "--max-memory-mib", "1", models=models)
    ended = server.wait()
    assert ended.code == 1
    assert "--max-memory-mib allows 1 MiB" in ended.errors
    assert not (models / "towers" / ".quarantine").exists()


def test_what_operators_do_is_kept(start_server: StartServer, models: Path, template: Published) -> None:
    add(models, template, 2)
    add(models, template, 3, promise_other_scores)
    server = start_server(*WATCH, models=models).wait_until_ready()
    with RankingClient(server.address, timeout=LOAD_SECONDS) as client:
        assert current(client) == 2
        client.change_serving(SetAlias("stable", 1))
        assert client.rank(3, ITEMS, alias="stable").model_version == 1
        client.change_serving(SetCanary(1, 50))
        answers = {user: client.rank(user, ITEMS).model_version for user in range(1, 60)}
        assert set(answers.values()) == {1, 2}
        assert {user: client.rank(user, ITEMS).model_version for user in answers} == answers
        with pytest.raises(Conflict, match="version 3 of model 'towers' cannot be served"):
            client.change_serving(Promote(3))
        client.change_serving(SetShadow(1, 100))
        for user in range(30):
            client.rank(user, ITEMS)
        report = next(model for model in client.models() if model.version == 1).shadow_report
        assert report is not None
        assert (report.overlap_at_10, report.kendall_tau, report.score_difference) == (1, 1, 0)  # the same weights
        client.change_serving(RollBack())
        assert current(client) == 1
    server.stop()
    again = start_server(*WATCH, models=models).wait_until_ready()
    with RankingClient(again.address, timeout=LOAD_SECONDS) as client:
        model = client.model()
        assert (model.version, model.is_pinned, model.aliases) == (1, True, ("stable",))


def test_every_worker_follows(start_server: StartServer, models: Path, template: Published) -> None:
    add(models, template, 2)
    server = start_server(*WATCH, "--workers", "2", models=models).wait_until_ready()

    def versions() -> set[int]:
        """Of as many connections as it takes to reach both workers, but for a chance of one in a thousand."""
        found = set()
        for _ in range(10):
            with RankingClient(server.address) as client:
                found.add(client.rank(3, ITEMS).model_version)
        return found

    assert versions() == {2}
    ended = run_forked("models", "promote", "1", "--server", server.address)
    assert (ended.returncode, ended.stdout) == (0, "towers version 1: answers, pinned\n"), ended.stderr
    wait_for(lambda: versions() == {1})


@pytest.fixture
def cache(programs: Path, tmp_path: Path) -> Path:
    """The programs of the session, to be taken away."""
    programs.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = shutil.ignore_patterns(".*")
    return Path(shutil.copytree(programs, tmp_path / "programs", ignore=unfinished, copy_function=os.link))


@pytest.mark.parametrize("watches", [True, False])
def test_a_stop_gives_up_what_is_being_loaded(
    start_server: StartServer, models: Path, template: Published, cache: Path, watches: bool
) -> None:
    """And says nothing of it but to who has asked for it."""
    flags = ("--watch-seconds", "0.1" if watches else "0", "--grace-seconds", "1", "--program-cache", str(cache))
    server = start_server(*flags, models=models).wait_until_ready()
    for program in cache.iterdir():
        program.unlink()  # so that the next version takes long
    # Without retries: another attempt may find nobody there any more, and would say that.
    with RankingClient(server.address, timeout=LOAD_SECONDS, retry=None) as client, ThreadPoolExecutor(1) as pool:
        add(models, template, 2)
        asked = None if watches else pool.submit(client.reload)
        until = time.monotonic() + LOAD_SECONDS
        while [model.state for model in client.models()].count("loading") == 0:
            assert time.monotonic() < until
            time.sleep(0.05)
        server.signal(signal.SIGTERM)
        if asked is not None:
            with pytest.raises(Unavailable, match="is shutting down"):
                asked.result()
        ended = server.wait()
    assert ended.code == 0
    assert "Traceback" not in ended.errors
    assert "could not be looked at" not in ended.errors
    assert sorted(path.name for path in (models / "towers").iterdir()) == ["1", "2"]
