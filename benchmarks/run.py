"""Runs the benchmarks and writes RESULTS.md: `make bench`, or `python benchmarks/run.py MODELS_DIR`."""

import os
import platform
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import engine
import throughput

RESULTS = Path(__file__).with_name("RESULTS.md")
_LIBRARIES = ("rankserve", "grpcio", "protobuf", "jax", "jaxlib", "keras", "numpy", "uvloop")
_SECTIONS = (
    ("Servers against each other", throughput.run),
    ("The engine alone", engine.run),
)


def main(models_dir: Path) -> None:
    """Measures everything anew; the file is written only once all of it is there."""
    started = time.monotonic()
    sections = [f"## {title}\n\n{run(models_dir, _log)}" for title, run in _SECTIONS]
    minutes = (time.monotonic() - started) / 60
    RESULTS.write_text("\n\n".join([_head(minutes), *sections]) + "\n", encoding="utf-8")
    _log(f"written to {RESULTS}")


def _head(minutes: float) -> str:
    versions = ", ".join(f"{library} {version(library)}" for library in _LIBRARIES)
    return (
        "# Results\n\n"
        f"Written by `make bench` on {datetime.now(UTC):%Y-%m-%d}, in {minutes:.0f} minutes. {_processor()}, "
        f"{os.cpu_count()} processors, Linux, Python {platform.python_version()}; {versions}.\n\n"
        "Client and server share the processors, over loopback. What counts are the ratios: all servers of a "
        "table were measured in turn, in one run. The `tutorial` model on MovieLens 100K."
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
