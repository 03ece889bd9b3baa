"""Runs the benchmarks and writes RESULTS.md: `make bench`, or `python benchmarks/run.py MODELS_DIR`.

`python benchmarks/run.py MODELS_DIR SECTION ...` runs only some of them and prints what they found.
"""

import os
import platform
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import bench_command
import catalogue
import client_cost
import correctness
import engine
import envoy_cost
import fairness
import gateway_cost
import h2load
import latency
import metrics_cost
import peer_servers
import presets
import ray_cost
import request_cost
import score
import security_cost
import simulated
import start
import throughput
import tracing_cost

RESULTS = Path(__file__).with_name("RESULTS.md")
_LIBRARIES = ("rankserve", "grpcio", "protobuf", "jax", "jaxlib", "keras", "numpy", "uvloop")
_SECTIONS = {
    "throughput": ("Servers against each other", throughput.run),
    "presets": ("The default model beside the tutorial's", presets.run),
    "peers": ("Other model servers", peer_servers.run),
    "latency": ("Latency at half of the capacity", latency.run),
    "fairness": ("Small requests beside large ones", fairness.run),
    "request_cost": ("What a request and a candidate cost", request_cost.run),
    "engine": ("The engine alone", engine.run),
    "catalogue": ("Large catalogues, many users", catalogue.run),
    "score": ("Whole populations into files", score.run),
    "simulation": ("One server and many, simulated", simulated.run),
    "start": ("Starting", start.run),
    "client_cost": ("What the Python client costs", client_cost.run),
    "security_cost": ("What TLS and tokens cost", security_cost.run),
    "metrics_cost": ("What metrics cost", metrics_cost.run),
    "tracing_cost": ("What tracing and logs cost", tracing_cost.run),
    "gateway_cost": ("What JSON over HTTP costs", gateway_cost.run),
    "envoy_cost": ("What Envoy costs", envoy_cost.run),
    "ray_cost": ("What Ray Serve costs", ray_cost.run),
    "correctness": ("Answers under load", correctness.run),
}


def main(models_dir: Path, names: Sequence[str]) -> None:
    """Measures everything anew; the file is written only once all of it is there."""
    unknown = [name for name in names if name not in _SECTIONS]
    if unknown:
        raise SystemExit(f"no section {', '.join(unknown)}; there are: {', '.join(_SECTIONS)}")
    h2load.require()
    started = time.monotonic()
    sections = [_section(name, models_dir) for name in names or _SECTIONS]
    if names:
        print("\n\n".join(sections))
        return
    minutes = (time.monotonic() - started) / 60
    RESULTS.write_text("\n\n".join([_head(minutes), *sections]) + "\n", encoding="utf-8")
    _log(f"written to {RESULTS}")


def _section(name: str, models_dir: Path) -> str:
    started = time.monotonic()
    title, run = _SECTIONS[name]
    try:
        text = run(models_dir, _log)
    except bench_command.UnavailableError as error:
        text = f"Not measured: {error}."
    _log(f"{name}: done in {time.monotonic() - started:.0f} s")
    return f"## {title}\n\n{text}"


def _head(minutes: float) -> str:
    versions = ", ".join(f"{library} {version(library)}" for library in _LIBRARIES)
    return (
        "# Results\n\n"
        f"Written by `make bench` on {datetime.now(UTC):%Y-%m-%d}, in {minutes:.0f} minutes. {_processor()}, "
        f"{os.cpu_count()} processors, Linux, Python {platform.python_version()}; {versions}.\n\n"
        "Client and server share the processors, over loopback. What counts are the ratios: all servers of a "
        "table were measured in turn, in one run. The `tutorial` model on MovieLens 100K, unless said otherwise."
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
