"""Models in a store: a real server, and a store that speaks S3's protocol on loopback."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.command_forks import run_forked
from integration.scraping import scrape
from integration.server_process import ServerProcess, free_port
from integration.stores import URL, LocalStore
from integration.test_new_versions import current, states, wait_for
from integration.tower_versions import add
from rankserve_client import RankingClient, SetAlias, Unavailable
from rankserve_server.storage.mirror import Mirror
from rankserve_training.artifact import list_versions
from server.two_towers import Published, publish_towers, random_towers

FLAGS = ("--watch-seconds", "0.2", "--store-seconds", "0.6")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return publish_towers(tmp_path_factory.mktemp("template"), random_towers())


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalStore]:
    store = LocalStore(monkeypatch)
    yield store
    store.stop()


class Replicas:
    """Servers on the store, all with the same cache unless told otherwise."""

    def __init__(self, template: Published, tmp_path: Path) -> None:
        self._template, self._tmp_path = template, tmp_path
        self._servers: list[ServerProcess] = []

    def version(self, number: int) -> Path:
        return add(self._tmp_path / "local", self._template, number)

    def start(self, cache: str = "cache", *flags: str, url: str = URL) -> ServerProcess:
        place = ("--models-dir", url, "--models-cache", str(self._tmp_path / cache), "--port", "0")
        errors = self._tmp_path / f"errors-{len(self._servers)}"
        self._servers.append(ServerProcess(*place, *FLAGS, *flags, errors=errors, forked=True))
        return self._servers[-1]

    def close(self) -> None:
        for server in self._servers:
            server.close()


@pytest.fixture
def replicas(store: LocalStore, template: Published, tmp_path: Path) -> Iterator[Replicas]:
    """Their environment is that of the test when they start: that of the store."""
    assert store.names() == []
    replicas = Replicas(template, tmp_path)
    yield replicas
    replicas.close()


def cached(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in tmp_path.glob("cache/*/towers/[0-9]*"))


@pytest.mark.reliability
def test_versions_come_go_and_are_bad(replicas: Replicas, store: LocalStore, tmp_path: Path) -> None:
    store.add(replicas.version(1))
    server = replicas.start().wait_until_ready()
    with RankingClient(server.address) as client:
        # Half of a version is none.
        half = replicas.version(2)
        store.add(half, but=("manifest.json",))
        damaged = replicas.version(3)
        content = bytearray((damaged / "model.keras").read_bytes())
        content[-1] ^= 1
        store.add(damaged, but=("model.keras", "manifest.json"))
        store.put("towers/3/model.keras", bytes(content))
        store.put("towers/3/manifest.json", (damaged / "manifest.json").read_bytes())
        wait_for(lambda: states(client) == {1: "ready", 3: "failed"})
        reason = next(model.state_message for model in client.models() if model.version == 3)
        assert "towers/3/model.keras does not have the SHA-256 of its manifest" in reason
        store.put("towers/2/manifest.json", (half / "manifest.json").read_bytes())
        wait_for(lambda: current(client) == 2)
        # Mended, it is copied again by itself.
        store.put("towers/3/model.keras", (damaged / "model.keras").read_bytes())
        wait_for(lambda: current(client) == 3)
        store.add(replicas.version(4))
        wait_for(lambda: current(client) == 4)
        wait_for(lambda: cached(tmp_path) == ["3", "4"])
    assert server.errors.count("towers/3 of the store cannot be served") == 1


def test_a_bad_version_is_not_copied_again_after_a_restart(replicas: Replicas, store: LocalStore) -> None:
    store.add(replicas.version(1))
    bad = replicas.version(2)
    (bad / "model.keras").write_bytes(b"bomb" * 1_000_000)
    store.add(bad)
    first = replicas.start().wait_until_ready()
    assert "towers/1" in first.served
    assert "has 4000000 bytes, but the manifest says" in first.errors
    first.stop()
    second = replicas.start().wait_until_ready()
    with RankingClient(second.address) as client:
        assert states(client) == {1: "ready", 2: "failed"}
    assert "of the store cannot be served" not in second.errors


@pytest.mark.reliability
def test_a_store_that_is_down_keeps_nobody_from_serving(replicas: Replicas, store: LocalStore) -> None:
    store.add(replicas.version(1))
    server = replicas.start().wait_until_ready()
    store.stop()
    with RankingClient(server.address) as client:
        wait_for(lambda: "The store cannot be used, and what is here is served on" in server.errors)
        assert len(client.rank(1, [5, 10])) == 2
        with pytest.raises(Unavailable, match="the plan of towers stays as it is"):
            client.change_serving(SetAlias("stable", 1))
        other = replicas.start().wait_until_ready()
        assert "towers/1" in other.served
        assert "Starting with the versions in" in other.errors
        empty = replicas.start("empty").wait()
        assert empty.code == 1
        assert empty.errors.splitlines()[-1].startswith(f"Error: {URL}: the store cannot be reached")
        store.start()
        store.add(replicas.version(2))
        wait_for(lambda: current(client) == 2)


@pytest.mark.reliability
def test_replicas_agree_on_aliases(replicas: Replicas, store: LocalStore) -> None:
    for number in (1, 2, 3, 4):
        store.add(replicas.version(number))
    one, two = replicas.start("one").wait_until_ready(), replicas.start("two").wait_until_ready()
    with RankingClient(one.address, timeout=60) as first, RankingClient(two.address, timeout=60) as second:
        # It is past what either of them holds.
        first.change_serving(SetAlias("stable", 1))
        assert json.loads(store.get("towers/serving.json"))["aliases"] == {"stable": 1}
        wait_for(lambda: "stable" in next((m.aliases for m in second.models() if m.version == 1), ()))
        second.change_serving(SetAlias("newest", 4))
        assert json.loads(store.get("towers/serving.json"))["aliases"] == {"newest": 4, "stable": 1}
        wait_for(lambda: "newest" in next(m.aliases for m in first.models() if m.version == 4))


def test_what_a_plan_is_about_to_name_outlives_a_look(replicas: Replicas, store: LocalStore, tmp_path: Path) -> None:
    for number in (1, 2, 3, 4):
        store.add(replicas.version(number))
    mirror = Mirror(URL, tmp_path / "cache", keep=1, largest=2**30)
    mirror.look()
    assert list_versions(tmp_path / "cache" / "towers") == [3, 4]
    mirror.require("towers", {1})
    mirror.look()
    assert list_versions(tmp_path / "cache" / "towers") == [1, 3, 4]


def test_another_version_of_the_same_number_is_copied_anew(
    replicas: Replicas, store: LocalStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A bucket that was emptied and filled again."""
    store.add(replicas.version(1))
    copied = tmp_path / "cache" / "towers" / "1" / "manifest.json"
    Mirror(URL, tmp_path / "cache", keep=1, largest=2**30).look()
    manifest = copied.read_bytes()
    other = manifest.replace(b'"seed":', b'"seed": ')
    assert other != manifest
    for content in (other, manifest):
        mirror = Mirror(URL, tmp_path / "cache", keep=1, largest=2**30)
        store.put("towers/1/manifest.json", content)
        mirror.look()
        assert copied.read_bytes() == content
        assert f"The copy of {URL}/towers/1 is not what the store has" in caplog.text
        caplog.clear()
        mirror.look()
        assert "is not what the store has" not in caplog.text
    store.put("towers/1/manifest.json", other)
    mirror.look()
    assert copied.read_bytes() == other
    # Damaged on this machine.
    whole = (copied.parent / "users.npz").read_bytes()
    (copied.parent / "users.npz").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    Mirror(URL, tmp_path / "cache", keep=1, largest=2**30).look()
    assert (copied.parent / "users.npz").read_bytes() == whole


def test_replicas_share_a_cache(replicas: Replicas, store: LocalStore, tmp_path: Path) -> None:
    store.add(replicas.version(1))
    servers = [replicas.start(), replicas.start()]
    clients = [RankingClient(server.wait_until_ready().address) for server in servers]
    store.add(replicas.version(2))
    for client in clients:
        wait_for(lambda client=client: current(client) == 2)  # type: ignore[misc]  # of this round
        client.close()
    assert cached(tmp_path) == ["1", "2"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://nowhere-at-all/models", "there is no such bucket or object"),
        (URL, f"{URL} holds no model; publish one with: rankserve train --models-dir {URL}"),
    ],
)
def test_a_start_without_models_is_explained(replicas: Replicas, url: str, said: str) -> None:
    ended = replicas.start(url=url).wait()
    assert ended.code == 1
    assert said in ended.errors.splitlines()[-1]
    assert "Traceback" not in ended.errors


@pytest.fixture
def own_cache(tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands find no model in the user's cache, but the programs of the session."""
    cache = tmp_path / "xdg" / "rankserve"
    cache.mkdir(parents=True)
    programs.mkdir(mode=0o700, parents=True, exist_ok=True)
    (cache / "programs").symlink_to(programs)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache.parent))


@pytest.mark.usefixtures("own_cache")
def test_verify_copies_from_the_store(replicas: Replicas, store: LocalStore) -> None:
    version = replicas.version(1)
    store.add(version)
    done = run_forked("models", "verify", f"{URL}/towers")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "towers/1 may be served."), done.stderr
    store.put("towers/1/model.keras", b"short")
    done = run_forked("models", "verify", f"{URL}/towers/1")
    assert done.returncode == 1
    assert "model.keras has 5 bytes, but the manifest says" in done.stderr


@pytest.mark.usefixtures("own_cache")
def test_scores_of_a_version_in_the_store(replicas: Replicas, store: LocalStore, tmp_path: Path) -> None:
    store.add(replicas.version(1))
    command = ("score", "--model", f"{URL}/towers", "--top-k", "1", "--processes", "1", "--output")
    done = run_forked(*command, str(tmp_path / "scores"))
    assert (done.returncode, done.stdout[:9]) == (0, "towers/1:"), done.stderr
    assert (tmp_path / "scores" / "_SUCCESS").exists()


def test_metrics_tell_of_the_store(replicas: Replicas, store: LocalStore) -> None:
    store.add(replicas.version(1))
    server = replicas.start("cache", "--metrics-port", str(free_port())).wait_until_ready()
    before = scrape(server)
    assert before.value("rankserve_store_copied_versions_total") == 1
    assert before.value("rankserve_store_last_look_timestamp_seconds") > 0
    store.stop()
    wait_for(lambda: scrape(server).value("rankserve_store_failed_looks_total") > 0)
