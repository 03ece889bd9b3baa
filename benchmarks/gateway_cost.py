"""What JSON over HTTP costs: the gateway beside the server that it asks, under the same load, in turn."""

import http.client
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import h2load
from processes import Contender, Process, rankserve, running
from tables import spread, table
from throughput import expected_scores

ROUNDS = 5
_CANDIDATES = (100, 500)
_REQUESTS = 2_000
_CONNECTIONS = 32
_PORT = 27_790
_RATE = re.compile(r"([\d.]+) req/s")


def run(models_dir: Path, log: Callable[[str], None]) -> str:
    """Measures, and returns the table as Markdown."""
    expected = expected_scores(models_dir)
    gateway_command = (str(Path(sys.executable).parent / "rankserve"), "gateway", "--server", f"127.0.0.1:{_PORT}")
    gateway = Contender("gateway", (*gateway_command, "--port", "{port}"))
    rows = []
    with running([rankserve("auto"), gateway], models_dir, _PORT) as (server, asking):
        for count in _CANDIDATES:
            _check(asking, count, expected)
            direct = []
            over_http = []
            for _ in range(ROUNDS):
                direct.append(h2load.measure(server, count, _REQUESTS))
                over_http.append(_measure(asking, server, count))
            _check(asking, count, expected)
            rows.append([str(count), "gRPC", spread([r.rate for r in direct]), spread([r.cpu_us for r in direct]), ""])
            columns = [spread([round_[place] for round_ in over_http]) for place in range(3)]
            rows.append([str(count), "HTTP", columns[0], columns[1], columns[2]])
            log(f"gateway_cost: {count} candidates done")
    heads = ["candidates", "asked by", "requests/s", "server us", "gateway us"]
    return f"{_introduction()}\n\n{table(heads, rows)}"


def _measure(gateway: Process, server: Process, count: int) -> tuple[float, float, float]:
    """Requests a second, and microseconds of CPU of the server and of the gateway for each."""
    with tempfile.TemporaryDirectory() as directory:
        body = Path(directory, "body")
        body.write_bytes(_body(count))
        before = server.cpu_seconds(), gateway.cpu_seconds()
        command = ["h2load", "--h1", f"-n{_REQUESTS}", f"-c{_CONNECTIONS}", f"-d{body}"]
        headers = ["-Hcontent-type: application/json", f"{gateway.url}/api/v1/rank"]
        output = subprocess.run([*command, *headers], check=True, capture_output=True, text=True).stdout
        after = server.cpu_seconds(), gateway.cpu_seconds()
    if f"{_REQUESTS} succeeded" not in output:
        raise RuntimeError(f"the gateway failed:\n{output}")
    match = _RATE.search(output)
    if match is None:
        raise RuntimeError(f"h2load has no rate:\n{output}")
    spent = [(end - start) / _REQUESTS * 1e6 for start, end in zip(before, after, strict=True)]
    return float(match[1]), spent[0], spent[1]


def _check(gateway: Process, count: int, expected: dict[int, float]) -> None:
    """Compares an answer with the Keras model's scores, by item id."""
    connection = http.client.HTTPConnection(gateway.target, timeout=30)
    connection.request("POST", "/api/v1/rank", _body(count))
    answer = json.load(connection.getresponse())
    connection.close()
    worst = max(abs(s - expected[item]) for item, s in zip(answer["item_ids"], answer["scores"], strict=True))
    if worst > 1e-5:
        raise RuntimeError(f"the gateway is off by {worst} stars")


def _body(count: int) -> bytes:
    return json.dumps({"user_id": h2load.USER, "candidate_ids": h2load.candidates(count)}).encode()


def _introduction() -> str:
    at_a_time = h2load.CONNECTIONS * h2load.STREAMS
    return (
        f"The same requests by gRPC ({at_a_time} at a time) and as JSON through one process of `rankserve gateway` "
        f"({_CONNECTIONS} connections of HTTP/1.1): median of {ROUNDS} rounds (lowest to highest) of {_REQUESTS:,} "
        "requests, in turn. CPU time for each request, of the server and of the gateway. The load generator shares the "
        "processors."
    )
