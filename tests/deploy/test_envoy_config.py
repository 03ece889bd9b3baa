"""Envoy takes the configuration, and it treats every method of the server as what it is."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # it ships no types
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from deploy.envoy_process import CONFIG, ENVOY, with_ports
from deploy.manifests import DEPLOY
from rankserve_server.limits import Limits
from rankserve_server.protocols.messages import open_inference_pb2

needs_envoy = pytest.mark.skipif(not ENVOY.exists(), reason="there is no Envoy for this platform")

CHANGING = {
    "/rankserve.v1.ModelService/ChangeServing",
    "/rankserve.v1.ModelService/Reload",
    "/inference.GRPCInferenceService/RepositoryModelLoad",
    "/inference.GRPCInferenceService/RepositoryModelUnload",
    "/tensorflow.serving.ModelService/HandleReloadConfigRequest",
}


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # of a library without types
    """Knows the tag under which Envoy ignores what only holds anchors."""


_Loader.add_constructor("!ignore", lambda _, node: str(node.value))


def _config() -> dict[str, Any]:
    found: dict[str, Any] = _Loader(CONFIG.read_text(encoding="utf-8")).get_single_data()
    return found


def _routes() -> list[dict[str, Any]]:
    (listener,) = _config()["static_resources"]["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    routes: list[dict[str, Any]] = manager["route_config"]["virtual_hosts"][0]["routes"]
    return routes


def _route_of(path: str) -> dict[str, Any]:
    """The first route that matches; one that asks for a header does not."""
    for route in _routes():
        match = route["match"]
        if "headers" in match:
            continue
        if (
            match.get("path") == path
            or ("prefix" in match and path.startswith(match["prefix"]))
            or ("safe_regex" in match and re.fullmatch(match["safe_regex"]["regex"], path))
        ):
            found: dict[str, Any] = route["route"]
            return found
    raise AssertionError(f"no route for {path}")


@needs_envoy
def test_envoy_takes_every_configuration(descriptors: Path, tmp_path: Path) -> None:
    configs = sorted((DEPLOY / "envoy").glob("*.yaml"))
    assert configs
    for path in configs:
        copy = tmp_path / path.name
        text = path.read_text(encoding="utf-8")
        copy.write_text(with_ports(text, (1, 2, 3), 4, 5, descriptors), encoding="utf-8")
        validated = _validate(copy)
        assert validated.returncode == 0, validated.stderr
        # A field that is on its way out is told of as a warning.
        assert "deprecated" not in validated.stderr.lower(), validated.stderr


@needs_envoy
def test_a_field_that_there_is_not_is_found(descriptors: Path, tmp_path: Path) -> None:
    text = CONFIG.read_text(encoding="utf-8").replace("num_retries: 3", "number_of_retries: 3")
    (tmp_path / "envoy.yaml").write_text(with_ports(text, (1, 2, 3), 4, 5, descriptors), encoding="utf-8")
    assert _validate(tmp_path / "envoy.yaml").returncode != 0


@pytest.mark.parametrize("path", sorted(CHANGING))
def test_what_changes_something_is_not_done_twice(path: str) -> None:
    conditions = set(_route_of(path)["retry_policy"]["retry_on"].split(","))
    assert conditions <= {"connect-failure", "refused-stream", "reset-before-request"}


def test_streams_have_no_end_of_their_own_and_the_rest_is_repeated(descriptors: Path) -> None:
    methods = {
        f"/{file.package}.{service.name}/{method.name}": method.client_streaming or method.server_streaming
        for file in FileDescriptorSet.FromString(descriptors.read_bytes()).file
        for service in file.service
        for method in service.method
    }
    (inference,) = open_inference_pb2.DESCRIPTOR.services_by_name.values()
    methods |= {f"/{inference.full_name}/{m.name}": m.client_streaming or m.server_streaming for m in inference.methods}
    methods |= {"/grpc.health.v1.Health/Check": False, "/grpc.health.v1.Health/Watch": True}
    assert sum(methods.values()) >= 3
    for path, streams in methods.items():
        route = _route_of(path)
        assert ("idle_timeout" in route) == streams, path
        assert ("hedge_policy" in route) == (not streams and path not in CHANGING), path


def test_what_a_server_takes_can_be_repeated() -> None:
    """Envoy keeps a request for another attempt as long as it fits into its buffer."""
    (listener,) = _config()["static_resources"]["listeners"]
    assert listener["per_connection_buffer_limit_bytes"] >= Limits().max_message_bytes
    # What waits as long as it may in a server is not taken for one that hangs.
    seconds = float(_route_of("/rankserve.v1.RankingService/Rank")["retry_policy"]["per_try_timeout"].removesuffix("s"))
    assert seconds * 1_000 > Limits().max_queue_ms


def test_both_clusters_have_the_same_servers_and_checks() -> None:
    one, other = _config()["static_resources"]["clusters"]
    names = {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}
    assert names == {"name", "lb_policy", "load_assignment", "common_lb_config"}
    assert one["load_assignment"]["endpoints"] == other["load_assignment"]["endpoints"]


def _validate(config: Path) -> subprocess.CompletedProcess[str]:
    command = [str(ENVOY), "--mode", "validate", "--config-path", str(config)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
