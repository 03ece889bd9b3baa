"""The manifests hold against the schemas of Kubernetes, and say of the server only what a real one does."""

import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import grpc
import kubernetes_validate  # type: ignore[import-untyped]  # it ships no types
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from deploy.manifests import KSERVE, KUBERNETES, Manifest, manifest, manifests_in, options_of, server_container
from integration.command_forks import run_forked
from integration.scraping import scrape_until
from integration.server_process import ServerProcess, running_server
from rankserve_client import RankingClient
from server.two_towers import Published

# The oldest whose fields the manifests use, and the newest that there are schemas of.
VERSIONS = ("1.30", "1.37")
# Of the operators' own kinds there are no schemas here.
OWN_KINDS = {"Kustomization", "PodMonitor", "ServingRuntime", "InferenceService"}
MANIFESTS = [(name, found) for name, found in manifests_in(KUBERNETES) if found["kind"] not in OWN_KINDS]
CONTAINERS = ("kubernetes", "kserve")


@pytest.fixture(scope="module")
def server(published: Published, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    errors = tmp_path_factory.mktemp("server") / "errors"
    with running_server(published.models_dir, errors, "--metrics-port", "0") as started:
        yield started


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("document", [found for _, found in MANIFESTS], ids=[name for name, _ in MANIFESTS])
def test_a_manifest_holds_against_its_schema(document: Manifest, version: str) -> None:
    kubernetes_validate.validate(document, version, strict=True)


def test_what_the_schema_does_not_know_is_found() -> None:
    deployment = deepcopy(manifest(KUBERNETES / "base" / "deployment.yaml"))
    deployment["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]["grpc"]["sevice"] = "x"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("directory", ["base", "prometheus"])
def test_a_kustomization_names_every_file(directory: str) -> None:
    place = KUBERNETES / directory
    named = {name for name in manifest(place / "kustomization.yaml")["resources"] if name.endswith(".yaml")}
    # A Helm chart's values are no resource.
    assert named == {path.name for path in place.glob("*.yaml")} - {"kustomization.yaml", "adapter-values.yaml"}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_the_server_takes_every_option(kind: str) -> None:
    container = server_container(kind)
    printed = run_forked(*container["args"], "--print-config")
    assert printed.returncode == 0, printed.stderr
    for name, value in options_of(container).items():
        assert re.search(rf'(?m)^{name} = "?{re.escape(value)}(\.0)?"? .*# command line$', printed.stdout), name


@pytest.mark.parametrize("kind", CONTAINERS)
def test_ports_are_those_that_the_server_listens_on(kind: str) -> None:
    container, options = server_container(kind), options_of(server_container(kind))
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert (ports.pop("grpc", None) or ports.pop("h2c")) == int(options["port"])
    assert set(ports.values()) <= {int(options["metrics-port"])}
    assert {probe["grpc"]["port"] for probe in _probes(container)} == {int(options["port"])}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_a_real_server_answers_every_probe(kind: str, server: ServerProcess) -> None:
    with grpc.insecure_channel(server.address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)  # its types know nothing of its methods
        for probe in _probes(server_container(kind)):
            request = health_pb2.HealthCheckRequest(service=probe["grpc"].get("service", ""))
            assert stub.Check(request, timeout=10).status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("kind", CONTAINERS)
def test_a_stopping_server_has_the_time_that_it_takes(kind: str) -> None:
    options = options_of(server_container(kind))
    if kind == "kubernetes":
        pod = manifest(KUBERNETES / "base" / "deployment.yaml")["spec"]["template"]["spec"]
    else:
        pod = manifest(KSERVE / "inference-service.yaml")["spec"]["predictor"]
    seconds = float(options["grace-seconds"]) + float(options["drain-seconds"])
    assert pod["terminationGracePeriodSeconds"] >= seconds + 10
    # A pod that is not ready any more has to be found out meanwhile.
    probe = server_container(kind)["readinessProbe"]
    assert float(options["grace-seconds"]) > probe["periodSeconds"] * probe.get("failureThreshold", 3)


@pytest.mark.parametrize("kind", CONTAINERS)
def test_what_the_server_writes_is_on_a_volume(kind: str) -> None:
    """The rest of the file system is read-only."""
    container = server_container(kind)
    assert container["securityContext"]["readOnlyRootFilesystem"]
    writable = [Path(mount["mountPath"]) for mount in container["volumeMounts"] if not mount.get("readOnly")]
    assert Path("/tmp") in writable  # noqa: S108, it is the container's
    assert any(Path(options_of(container)["program-cache"]).is_relative_to(place) for place in writable)


def test_pods_may_run_where_only_restricted_ones_may() -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted"""
    pod = manifest(KUBERNETES / "base" / "deployment.yaml")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    kinds = {next(iter(volume.keys() - {"name"})) for volume in pod["volumes"]}
    assert kinds <= {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected"}
    for container in pod["containers"]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]


def test_everything_selects_the_pods_of_the_deployment() -> None:
    labels = manifest(KUBERNETES / "base" / "deployment.yaml")["spec"]["template"]["metadata"]["labels"]
    found = [(name, selector) for name, document in manifests_in(KUBERNETES) for selector in _selectors(document)]
    assert len(found) >= 6
    for name, selector in found:
        assert selector.items() <= labels.items(), name


def test_names_of_others_are_there() -> None:
    documents = {
        (found["kind"], found["metadata"]["name"]) for _, found in manifests_in(KUBERNETES) if "metadata" in found
    }
    deployment = manifest(KUBERNETES / "base" / "deployment.yaml")
    claims = [
        v["persistentVolumeClaim"]["claimName"] for v in _pod(deployment)["volumes"] if "persistentVolumeClaim" in v
    ]
    assert claims
    assert all(("PersistentVolumeClaim", claim) in documents for claim in claims)
    target = manifest(KUBERNETES / "prometheus" / "autoscaler.yaml")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) in documents
    ports = {port["name"] for port in server_container("kubernetes")["ports"]}
    monitor = manifest(KUBERNETES / "prometheus" / "pod-monitor.yaml")
    assert {endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]} <= ports
    policy = manifest(KUBERNETES / "base" / "network-policy.yaml")
    assert {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]} == ports


def test_the_autoscaler_has_metrics_that_a_server_exports(server: ServerProcess) -> None:
    with RankingClient(server.address) as client:
        client.rank(3, [5, 10])
    exported = scrape_until(server, lambda seen: seen.value("rankserve_queue_seconds_count") > 0).labels()
    rules = manifest(KUBERNETES / "prometheus" / "adapter-values.yaml")["rules"]["custom"]
    for rule in rules:
        series = re.match(r"[a-z_]+", rule["seriesQuery"])
        assert series
        assert series[0] in exported
        assert f"{series[0]}{{<<.LabelMatchers>>}}" in rule["metricsQuery"]
    asked = manifest(KUBERNETES / "prometheus" / "autoscaler.yaml")["spec"]["metrics"]
    assert {one["pods"]["metric"]["name"] for one in asked} == {rule["name"]["as"] for rule in rules}


def test_the_model_of_kserve_has_a_runtime() -> None:
    runtime, service = manifest(KSERVE / "serving-runtime.yaml"), manifest(KSERVE / "inference-service.yaml")
    model = service["spec"]["predictor"]["model"]
    assert model["runtime"] == runtime["metadata"]["name"]
    formats = [{"name": one["name"], "version": one["version"]} for one in runtime["spec"]["supportedModelFormats"]]
    assert model["modelFormat"] in formats
    assert model["protocolVersion"] in runtime["spec"]["protocolVersions"]
    # What it is of plain Kubernetes has schemas.
    spec = {name: runtime["spec"][name] for name in ("containers", "volumes")}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "runtime"}, "spec": spec}
    kubernetes_validate.validate(pod, VERSIONS[-1], strict=True)


def _probes(container: Manifest) -> list[Manifest]:
    return [container[name] for name in ("startupProbe", "readinessProbe", "livenessProbe")]


def _pod(deployment: Manifest) -> Manifest:
    spec: Manifest = deployment["spec"]["template"]["spec"]
    return spec


def _selectors(document: Any) -> Iterator[dict[str, str]]:
    """Those that mean the servers' pods; `from` of a network policy means others."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key == "matchLabels" or (key == "selector" and "matchLabels" not in value):
                yield value
            elif key != "from":
                yield from _selectors(value)
    elif isinstance(document, list):
        for value in document:
            yield from _selectors(value)
