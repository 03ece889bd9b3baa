"""A cluster of three nodes under load while a node dies, one comes, and another version is rolled out."""

import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest

from integration.ray_serve.conftest import NODE, RayCluster
from rankserve_client import (
    InvalidRequest,
    ModelNotFound,
    PermissionDenied,
    RankingClient,
    RankQuery,
    RankServeError,
    RetryPolicy,
    SetAlias,
)

# Ray's own libraries warn of each other.
pytestmark = [pytest.mark.ray, pytest.mark.timeout(480), pytest.mark.filterwarnings("default")]
ITEMS = [5, 10, 15, 20, 25]
USERS = [3, 6, 9, 12]
TOLERANCE = 2e-5
SECONDS = 60.0
CALLERS = 2


class Load:
    """Callers that ask without a pause; every answer is held against the version that it names."""

    def __init__(self, cluster: RayCluster) -> None:
        self.answers: Counter[int] = Counter()
        self.failures: Counter[str] = Counter()
        self.wrong = 0
        self._cluster = cluster
        self._expected = {(version, user): _expected(cluster, version, user) for version in (1, 2) for user in USERS}
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(CALLERS)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        retries = RetryPolicy(attempts=5, initial_backoff=0.1, max_backoff=2.0)
        with RankingClient(self._cluster.address, retry=retries) as client:
            while not self._over.is_set():
                for user in USERS:
                    self._ask_once(client, user)

    def _ask_once(self, client: RankingClient, user: int) -> None:
        try:
            ranking = client.rank(user, ITEMS, timeout=20)
        except RankServeError as error:
            self.failures[f"{type(error).__name__}: {str(error)[:150]}"] += 1
            return
        expected = self._expected[ranking.model_version, user]
        got = dict(ranking)
        right = got.keys() == expected.keys() and all(abs(got[item] - expected[item]) <= TOLERANCE for item in ITEMS)
        self.wrong += not right
        self.answers[ranking.model_version] += 1


def _expected(cluster: RayCluster, version: int, user: int) -> dict[int, float]:
    towers = cluster.towers[version]
    return {item: towers.rating(towers.user(user), towers.item(item)) for item in ITEMS}


def _wait(condition: Callable[[], bool], seconds: float = SECONDS) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it took too long"
        time.sleep(0.2)


def _settled(replicas: int) -> bool:
    from ray import serve

    deployment = serve.status().applications["default"].deployments["Ranking"]
    return bool(deployment.status == "HEALTHY" and deployment.replica_states == {"RUNNING": replicas})


def test_a_node_dies_another_comes_and_a_version_is_rolled_out(ray_cluster: RayCluster) -> None:
    ray_cluster.deploy(1)
    _wait(lambda: _settled(3))
    with Load(ray_cluster) as load:
        _wait(lambda: load.answers[1] > 50)
        ray_cluster.cluster.remove_node(ray_cluster.workers.pop(), allow_graceful=False)
        answered = load.answers[1]
        _wait(lambda: load.answers[1] > answered + 50)
        ray_cluster.workers.append(ray_cluster.cluster.add_node(**NODE))
        _wait(lambda: _settled(3))
        ray_cluster.deploy(2)
        _wait(lambda: load.answers[2] > 0 and _settled(3))
        answered_by_1 = load.answers[1]
        answered_by_2 = load.answers[2]
        _wait(lambda: load.answers[2] > answered_by_2 + 50)
        assert load.answers[1] == answered_by_1, "the old version answers after the new one has been rolled out"
    print(f"\nanswers by version {dict(load.answers)}, wrong {load.wrong}, failures {dict(load.failures)}")
    assert load.wrong == 0
    assert not load.failures


def test_what_is_wrong_is_said_as_by_our_own_server(ray_cluster: RayCluster) -> None:
    ray_cluster.deploy(2)
    with RankingClient(ray_cluster.address) as client:
        with pytest.raises(ModelNotFound, match="'none' is not served; these are: towers") as unknown:
            client.rank(3, ITEMS, model="none")
        assert unknown.value.resource is not None
        assert unknown.value.resource.name == "none"
        with pytest.raises(InvalidRequest) as invalid:
            client.rank(3)
        assert [violation.field for violation in invalid.value.field_violations] == ["top_k"]
        with pytest.raises(PermissionDenied, match="admin calls only with a token"):
            client.change_serving(SetAlias("stable", 2))
        streamed = list(client.rank_stream([RankQuery(3, ITEMS), RankQuery(6)]))
        assert [type(result).__name__ for result in streamed] == ["Ranking", "InvalidRequest"]
        assert {model.version for model in client.models()} == {2}
