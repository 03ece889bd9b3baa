"""What it costs that single calls can be seen: unused, and with tracing and logs, in turn."""

import dataclasses
import statistics
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
import h2load
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from processes import BASELINES, Contender, Process, rankserve, running
from tables import spread, table, verdict
from throughput import expected_scores

COUNT = 100
TRANSPORTS = ("direct", "aio")
ROUNDS = 40
TARGET_RATIO = 1.01
# Short rounds, so that whatever else the machine does meets all alike; as many requests in each.
_REQUESTS = 600
_WARM_UP = 500
_FIRST_PORT = 27_840


class _Sink(trace_service_pb2_grpc.TraceServiceServicer):
    """A collector that forgets."""

    def Export(self, _request: Any, _context: Any) -> pb.ExportTraceServiceResponse:  # noqa: N802  # gRPC calls it by the name in the proto
        return pb.ExportTraceServiceResponse()


def run(models_dir: Path, log: Callable[[str], None]) -> str:
    """Measures, and returns the tables as Markdown."""
    expected = expected_scores(models_dir)
    tables = []
    with _collector() as collector, TemporaryDirectory() as directory:
        for transport in TRANSPORTS:
            contenders = _contenders(transport, collector, Path(directory))
            with running(contenders, models_dir, _FIRST_PORT) as processes:
                rounds = _measure(processes, expected)
            log(f"tracing_cost, {transport}: {ROUNDS} rounds")
            tables.append(f"{transport} transport, {COUNT} candidates:\n\n{_table(rounds)}")
    return (
        f"{h2load.CONNECTIONS} connections with {h2load.STREAMS} requests each that stay open, median of {ROUNDS} "
        "short rounds (lowest to highest). The ratios are of rounds of one turn. The first server has every question "
        "whether somebody sees calls taken out of it. Callers send no trace of their own. Target: where nothing is "
        f"seen, CPU at most {TARGET_RATIO} times that.\n\n" + "\n\n".join(tables)
    )


@contextmanager
def _collector() -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(1))
    add: Any = trace_service_pb2_grpc.add_TraceServiceServicer_to_server  # it has no types
    add(_Sink(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def _contenders(transport: str, collector: str, directory: Path) -> list[Contender]:
    """The first one is what the others are compared with."""
    script = (sys.executable, str(BASELINES / "unobserved.py"), "{models_dir}", "{port}", "--transport", transport)

    def contender(name: str, *flags: str) -> Contender:
        return dataclasses.replace(rankserve(transport, *flags), name=name)

    return [
        Contender("cannot be seen", script),
        Contender("cannot be seen, once more", script),  # by how much this one differs, the others may by chance
        contender("not seen"),
        contender("1 % traced", "--trace-to", collector, "--trace-sample", "0.01"),
        contender("all traced", "--trace-to", collector, "--trace-sample", "1"),
        contender("all in the access log", "--access-log", str(directory / f"{transport}.jsonl")),
    ]


def _measure(processes: list[Process], expected: dict[int, float]) -> dict[Contender, list[h2load.Round]]:
    for process in processes:
        h2load.measure(process, COUNT, _WARM_UP)
    # Two of them are the same contender.
    rounds: dict[Process, list[h2load.Round]] = {process: [] for process in processes}
    for number in range(ROUNDS):
        for process in processes[:: 1 if number % 2 else -1]:
            h2load.check_answers(process, COUNT, expected)
            rounds[process].append(h2load.measure(process, COUNT, _REQUESTS, Process.own_cpu_seconds))
    return {process.contender: results for process, results in rounds.items()}


def _table(rounds: dict[Contender, list[h2load.Round]]) -> str:
    without = next(iter(rounds.values()))
    rows = []
    for contender, results in rounds.items():
        pairs = list(zip(results, without, strict=True))
        costs = [one.cpu_us / other.cpu_us for one, other in pairs]
        rows.append(
            [
                contender.name,
                spread(costs, ".3f"),
                verdict(statistics.median(costs), TARGET_RATIO) if contender.name == "not seen" else "",
                spread([one.rate / other.rate for one, other in pairs], ".3f"),
                f"{statistics.median(one.cpu_us for one in results):.1f}",
                f"{statistics.median(one.rate for one in results):,.0f}",
            ]
        )
    columns = ["", "CPU, times that", "target", "capacity, times that", "CPU us/request", "requests/s"]
    return table(columns, rows)
