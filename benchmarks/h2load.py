"""Load from h2load, a C program that costs little beside what it measures, and a check of the answers by our client.

h2load knows nothing of gRPC: a server that refuses everything succeeds in its eyes. So every round is paired with calls
whose answers are looked at.
"""

import random
import shutil
import statistics
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from processes import Process

from rankserve.v1 import ranking_pb2
from rankserve_client import RankingClient

CONNECTIONS = 4
STREAMS = 16
ITEMS = 1_682
USER = 42


@dataclass(frozen=True)
class Round:
    """One measurement.

    Attributes:
        rate: requests per second.
        cpu_us: CPU time of the server for each request, microseconds.
        p50_ms: median latency.
        p99_ms: 99th percentile of the latency.
    """

    rate: float
    cpu_us: float
    p50_ms: float
    p99_ms: float


def require() -> None:
    """Ends the program where h2load is not installed."""
    if shutil.which("h2load") is None:
        raise SystemExit("h2load is needed: apt install nghttp2-client")


def candidates(count: int) -> list[int]:
    """The same ids in every run; distinct where there are enough."""
    chosen = random.Random(count)
    return chosen.sample(range(1, ITEMS + 1), count) if count <= ITEMS else chosen.choices(range(1, ITEMS + 1), k=count)


def measure(process: Process, count: int, requests: int) -> Round:
    """Sends `requests` requests of `count` candidates, `CONNECTIONS * STREAMS` at a time."""
    request = ranking_pb2.RankRequest(user_id=USER, candidate_ids=candidates(count)).SerializeToString()
    with tempfile.TemporaryDirectory() as directory:
        body, log = Path(directory, "body"), Path(directory, "log")
        body.write_bytes(b"\0" + struct.pack(">I", len(request)) + request)
        before = process.cpu_seconds()
        command = ["h2load", f"-n{requests}", f"-c{CONNECTIONS}", f"-m{STREAMS}", f"-d{body}", f"--log-file={log}"]
        headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
        url = f"http://127.0.0.1:{process.port}/rankserve.v1.RankingService/Rank"
        output = subprocess.run([*command, *headers, url], check=True, capture_output=True, text=True).stdout
        cpu = process.cpu_seconds() - before
        if f"{requests} succeeded" not in output:
            raise RuntimeError(f"{process.contender.name} failed:\n{output}")
        latencies = [int(line.split()[2]) / 1e3 for line in log.read_text().splitlines()]
    percentiles = statistics.quantiles(latencies, n=100)
    rate = float(output.split(" req/s")[0].rsplit(" ", 1)[1])
    return Round(rate, cpu / requests * 1e6, percentiles[49], percentiles[98])


def check_answers(process: Process, count: int, expected: dict[int, float]) -> None:
    """Compares a ranking of the server with the Keras model's scores, by item id."""
    if not process.contender.ranks:
        return
    with RankingClient(f"127.0.0.1:{process.port}", timeout=30) as client:
        ranking = client.rank(USER, candidates(count))
    falling = list(ranking.scores) == sorted(ranking.scores, reverse=True)
    if not falling or sorted(ranking.item_ids) != sorted(candidates(count)):
        raise RuntimeError(f"{process.contender.name} ranks wrongly")
    worst = max(abs(score - expected[item]) for item, score in ranking)
    if worst > 1e-5:
        raise RuntimeError(f"{process.contender.name} is off by {worst} stars")
