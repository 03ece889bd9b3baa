"""A real Envoy with the configuration of deploy/envoy, whose ports alone are other ones."""

import http.client
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self

from checks.repository import ROOT
from integration.server_process import free_port, wait_for_port

CONFIG: Final = ROOT / "deploy" / "envoy" / "envoy.yaml"
ENVOY: Final = Path(sys.executable).with_name("envoy")
_SOON: Final = 20.0


def write_descriptors(path: Path) -> Path:
    """Runs `make descriptors` with this interpreter's tools."""
    command = ["make", "--silent", "descriptors", f"DESCRIPTORS={path}"]
    environment = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MFLAGS"}}
    interpreter = [f"VENV={sys.prefix}", f"--old-file={sys.prefix}/installed"]
    subprocess.run([*command, *interpreter], cwd=ROOT, env=environment, check=True, timeout=60)
    return path


def with_ports(config: str, servers: Sequence[int], listener: int, admin: int, descriptors: Path) -> str:
    """The configuration with other ports; each place has to be there once."""
    places = {
        "address: 0.0.0.0, port_value: 10000": f"address: 127.0.0.1, port_value: {listener}",
        "port_value: 9901": f"port_value: {admin}",
        "build/rankserve.pb\n": f"{descriptors}\n",
    }
    places |= {f"port_value: {50051 + place}": f"port_value: {port}" for place, port in enumerate(servers)}
    for old, new in places.items():
        # The comment at the top of the file names the second too.
        assert len(re.findall(rf"^(?!#).*{re.escape(old.strip())}", config, re.MULTILINE)) == 1, old
        config = config.replace(old, new)
    return config


class EnvoyProcess:
    """Runs within its `with`.

    Attributes:
        target: where it takes calls, HOST:PORT.
    """

    def __init__(self, servers: Sequence[int], descriptors: Path, directory: Path) -> None:
        self._port, self._admin = free_port(), free_port()
        self.target = f"127.0.0.1:{self._port}"
        self._log = directory / "envoy.log"
        self._config = directory / "envoy.yaml"
        text = CONFIG.read_text(encoding="utf-8")
        self._config.write_text(with_ports(text, servers, self._port, self._admin, descriptors), encoding="utf-8")

    def __enter__(self) -> Self:
        command = [str(ENVOY), "--config-path", str(self._config), "--concurrency", "2", "--disable-hot-restart"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen([*command, "--log-level", "warning"], stdout=log, stderr=log)
        wait_for_port(self._port)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            code = self._process.wait(_SOON)
        finally:
            self._process.kill()
        assert code == 0, self._log.read_text(encoding="utf-8")

    def post(
        self, path: str, body: bytes, content_type: str = "application/json", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of an answer to HTTP/1.1; `_` in the name of a header stands for `-`."""
        connection = http.client.HTTPConnection(self.target, timeout=_SOON)
        sent = {"content-type": content_type} | {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request("POST", path, body, sent)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def statistic(self, name: str, cluster: str = "rankserve") -> int:
        """A counter of a cluster."""
        stats = self._ask(f"/stats?format=json&filter=^cluster.{cluster}.{name}$")["stats"]
        return int(stats[0]["value"]) if stats else 0

    def calls_by_port(self, cluster: str = "rankserve") -> dict[int, int]:
        """How many calls each server was given, by its port."""
        return {_port(host): _counter(host, "rq_total") for host in self._hosts(cluster)}

    def healthy(self, cluster: str = "rankserve") -> set[int]:
        """The ports of the servers that get calls."""
        return {
            _port(host) for host in self._hosts(cluster) if host["health_status"] == {"eds_health_status": "HEALTHY"}
        }

    def wait_for_healthy(self, count: int) -> None:
        """Waits until so many servers get calls, in both clusters."""
        deadline = time.monotonic() + _SOON
        while not all(len(self.healthy(cluster)) == count for cluster in ("rankserve", "rankserve_by_user")):
            assert time.monotonic() < deadline, f"{self._hosts('rankserve')}\n{self._log.read_text(encoding='utf-8')}"
            time.sleep(0.05)

    def _hosts(self, cluster: str) -> list[dict[str, Any]]:
        clusters = self._ask("/clusters?format=json")["cluster_statuses"]
        (found,) = [one for one in clusters if one["name"] == cluster]
        hosts: list[dict[str, Any]] = found.get("host_statuses", [])
        return hosts

    def _ask(self, path: str) -> dict[str, Any]:
        connection = http.client.HTTPConnection(f"127.0.0.1:{self._admin}", timeout=_SOON)
        try:
            connection.request("GET", path)
            found: dict[str, Any] = json.load(connection.getresponse())
        finally:
            connection.close()
        return found


def _port(host: dict[str, Any]) -> int:
    return int(host["address"]["socket_address"]["port_value"])


def _counter(host: dict[str, Any], name: str) -> int:
    return next(int(stat.get("value", 0)) for stat in host["stats"] if stat["name"] == name)
