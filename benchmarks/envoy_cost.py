"""What Envoy between caller and server costs: the same requests straight to a server and through Envoy, in turn."""

import re
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import bench_command
import grpc
import h2load
from processes import Contender, Process, rankserve, running
from tables import spread, table
from throughput import expected_scores

CANDIDATES = (100, 500)
# Short ones, so that whatever else the machine does meets both alike.
ROUNDS = 15
_SECONDS = 0.7
_WARM_UP = 500
_SERVER_PORT = 27_830
_PORT, _ADMIN_PORT = 27_831, 27_832
_START_SECONDS = 20.0
_ROOT = Path(__file__).parents[1]
_CONFIG = _ROOT / "deploy" / "envoy" / "envoy.yaml"
_DESCRIPTORS = _ROOT / "build" / "rankserve.pb"
_ENVOY = Path(sys.executable).with_name("envoy")


class _Envoy(Process):
    """Says nothing when it is ready: it is once it listens."""

    def _first_line(self, most_mib: float | None) -> str:
        del most_mib
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return "ready"
            time.sleep(0.05)
        return ""


def run(models_dir: Path, log: Callable[[str], None]) -> str:
    """Measures, and returns the table as Markdown."""
    if not _ENVOY.exists() or not _DESCRIPTORS.exists():
        raise bench_command.UnavailableError("it needs the extra `dev`, and `make descriptors`")
    expected = expected_scores(models_dir)
    rows = []
    with (
        tempfile.TemporaryDirectory() as directory,
        running([rankserve("direct")], models_dir, _SERVER_PORT) as (server,),
    ):
        envoy = _Envoy(_contender(Path(directory, "envoy.yaml")), models_dir, _PORT)
        try:
            _wait_until_it_answers(envoy, expected)
            for count in CANDIDATES:
                rows += _measure(server, envoy, count, expected)
                log(f"envoy_cost: {count} candidates done")
        finally:
            envoy.stop()
    heads = ["candidates", "", "requests/s", "times direct", "p50 ms", "CPU us/request of server", "of Envoy"]
    return f"{_introduction()}\n\n{table(heads, rows)}"


def _contender(config: Path) -> Contender:
    """Envoy as deploy/ has it, before the one server."""
    text = re.sub(r"port_value: 5005\d", f"port_value: {_SERVER_PORT}", _CONFIG.read_text(encoding="utf-8"))
    text = text.replace("address: 0.0.0.0, port_value: 10000", f"address: 127.0.0.1, port_value: {_PORT}")
    text = text.replace("port_value: 9901", f"port_value: {_ADMIN_PORT}")
    config.write_text(text.replace("build/rankserve.pb", str(_DESCRIPTORS)), encoding="utf-8")
    command = (str(_ENVOY), "--config-path", str(config), "--disable-hot-restart", "--log-level", "error")
    return Contender("through Envoy", command)


def _wait_until_it_answers(envoy: Process, expected: dict[int, float]) -> None:
    """Its first health check has to have been answered."""
    until = time.monotonic() + _START_SECONDS
    while True:
        try:
            return h2load.check_answers(envoy, CANDIDATES[0], expected)
        except grpc.RpcError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def _measure(server: Process, envoy: Process, count: int, expected: dict[int, float]) -> list[list[str]]:
    sizes = {asked: max(200, int(_SECONDS * h2load.measure(asked, count, _WARM_UP).rate)) for asked in (server, envoy)}
    rounds: dict[Process, list[h2load.Round]] = {server: [], envoy: []}
    envoy_us = []
    for number in range(ROUNDS):
        for asked in (server, envoy)[:: 1 if number % 2 else -1]:
            h2load.check_answers(asked, count, expected)
            before = envoy.cpu_seconds()
            # What the server takes for a request, whichever way that came.
            rounds[asked].append(h2load.measure(asked, count, sizes[asked], lambda _: server.cpu_seconds()))
            if asked is envoy:
                envoy_us.append((envoy.cpu_seconds() - before) / sizes[asked] * 1e6)
    ratios = [one.rate / other.rate for one, other in zip(rounds[envoy], rounds[server], strict=True)]
    return [
        _row(count, "direct", rounds[server], "1", ""),
        _row(count, "through Envoy", rounds[envoy], spread(ratios, ".2f"), f"{statistics.median(envoy_us):.0f}"),
    ]


def _row(count: int, name: str, rounds: list[h2load.Round], ratio: str, envoy_us: str) -> list[str]:
    return [
        str(count),
        name,
        spread([one.rate for one in rounds]),
        ratio,
        f"{statistics.median(one.p50_ms for one in rounds):.1f}",
        f"{statistics.median(one.cpu_us for one in rounds):.0f}",
        envoy_us,
    ]


def _introduction() -> str:
    return (
        f"One server on the direct transport, asked straight and through Envoy with the configuration of deploy/envoy, "
        f"{h2load.CONNECTIONS * h2load.STREAMS} requests at a time: median of {ROUNDS} short rounds (lowest to "
        "highest), in turn; the ratios are of rounds of the same turn. Envoy takes its time from the same processors "
        "as server and load generator, so that the ratio is the worst that there is; its CPU time counts elsewhere."
    )
