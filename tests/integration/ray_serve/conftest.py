"""One cluster of three nodes on this machine, for all tests of Ray Serve; each node has a replica."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from integration.server_process import free_port
from rankserve_server.loading import load_version
from server.two_towers import Towers, publish_towers, random_towers

NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_SERVE_ENABLE_SCALING_LOG": "0",
    # Ray's workers are nice to all else on a machine, and so starve beside the tests; its spare ones are not needed.
    "RAY_worker_niceness": "0",
    "RAY_prestart_worker_first_driver": "false",
    "RAY_enable_worker_prestart": "false",
}


@dataclass
class RayCluster:
    """A cluster that serves nothing yet.

    Attributes:
        cluster: Ray's handle.
        address: HOST:PORT of the gRPC proxies, which share it here.
        models_dir: has versions 1 and 2.
        towers: of each version.
        workers: the nodes beside the head.
        version: what was deployed last; 0 for nothing.
    """

    cluster: Any
    address: str
    models_dir: Path
    towers: dict[int, Towers]
    workers: list[Any] = field(default_factory=list)
    version: int = 0

    def deploy(self, version: int) -> None:
        """Rolls a version out, and returns when it answers; does nothing where that has been done.

        Serve puts new replicas in place of the old ones whenever it is told to, even where nothing is different.
        """
        if version == self.version:
            return
        from ray import serve

        from rankserve_server.config import encode_config
        from rankserve_server.ray_serve.app_settings import app_settings
        from rankserve_server.ray_serve.application import ranking

        settings = app_settings({"models_dir": str(self.models_dir), "version": version, "watch_seconds": 0})
        one_a_node = ranking.options(num_replicas=3, max_replicas_per_node=1, ray_actor_options={"num_cpus": 0.5})
        application = one_a_node.bind(encode_config(settings.config), settings.version)
        serve.run(application, name="default")
        self.version = version


@pytest.fixture(scope="session")
def ray_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCluster]:
    os.environ.update(ENVIRONMENT)
    models = tmp_path_factory.mktemp("ray") / "models"
    towers = {1: random_towers(seed=1), 2: random_towers(seed=2)}
    for version in towers:
        published = publish_towers(models, towers[version])
    # Else all three replicas compile the same at the same time.
    load_version(published.directory, lambda: None)
    import ray
    from ray import serve
    from ray.cluster_utils import Cluster
    from ray.serve.config import HTTPOptions, gRPCOptions

    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    try:
        workers = [cluster.add_node(**NODE) for _ in range(2)]
        ray.init(address=cluster.address, log_to_driver=False)
        port = free_port()
        serve.start(
            http_options=HTTPOptions(host="127.0.0.1", port=free_port(), location="EveryNode"),
            grpc_options=gRPCOptions(port=port, grpc_servicer_functions=["rankserve_server.ray:add_services"]),
        )
        yield RayCluster(cluster, f"127.0.0.1:{port}", models, towers, workers)
    finally:
        serve.shutdown()
        ray.shutdown()
        cluster.shutdown()
