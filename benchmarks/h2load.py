"""Load from h2load, a C program that costs little beside what it measures, and a check of the answers.

h2load knows nothing of gRPC: a server that refuses everything succeeds in its eyes. So every round is paired with calls
whose answers are looked at.
"""

import random
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from processes import Process
from protocols import frame

if TYPE_CHECKING:
    import grpc

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


def measure(
    process: Process, count: int, requests: int, cpu_seconds: Callable[[Process], float] = Process.cpu_seconds
) -> Round:
    """Sends `requests` requests of `count` candidates, `CONNECTIONS * STREAMS` at a time."""
    protocol = process.contender.protocol
    with tempfile.TemporaryDirectory() as directory:
        body, log = Path(directory, "body"), Path(directory, "log")
        body.write_bytes(frame(protocol.encode(USER, candidates(count))))
        before = cpu_seconds(process)
        command = ["h2load", f"-n{requests}", f"-c{CONNECTIONS}", f"-m{STREAMS}", f"-d{body}", f"--log-file={log}"]
        metadata = (("content-type", "application/grpc"), ("te", "trailers"), *protocol.metadata)
        headers = [f"-H{name}: {value}" for name, value in metadata]
        url = f"{process.url}/{protocol.method}"
        output = subprocess.run([*command, *headers, url], check=True, capture_output=True, text=True).stdout
        cpu = cpu_seconds(process) - before
        if f"{requests} succeeded" not in output:
            raise RuntimeError(f"{process.contender.name} failed:\n{output}")
        latencies = [int(line.split()[2]) / 1e3 for line in log.read_text().splitlines()]
    percentiles = statistics.quantiles(latencies, n=100)
    rate = float(output.split(" req/s")[0].rsplit(" ", 1)[1])
    return Round(rate, cpu / requests * 1e6, percentiles[49], percentiles[98])


def check_answers(process: Process, count: int, expected: dict[int, float]) -> None:
    """Compares an answer of the server with the Keras model's scores, by item id."""
    if not process.contender.ranks:
        return
    protocol = process.contender.protocol
    with process.connect() as channel:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{protocol.method}")
        answer = call(protocol.encode(USER, candidates(count)), timeout=30, metadata=protocol.metadata)
    worst = max(abs(score - expected[item]) for item, score in protocol.decode(answer, candidates(count)))
    if worst > 1e-5:
        raise RuntimeError(f"{process.contender.name} is off by {worst} stars")
