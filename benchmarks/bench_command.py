"""`rankserve bench`, the project's own load generator. It checks every answer, and says itself when it was too slow."""

import importlib.util
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processes import Process

_COMMAND = str(Path(sys.executable).parent / "rankserve")


class UnavailableError(Exception):
    """What a section measures with is not installed."""


@dataclass(frozen=True)
class Load:
    """One run of it.

    Attributes:
        rate: answers per second.
        answered: how many answers.
        not_sent: requests of an open loop that were due while too many were under way; the latency leaves them out.
        latency_ms: by `p50`, `p99`, `p99_9` and others.
        bottlenecks: why the generator, not the server, set the limit; empty where it did not.
    """

    rate: float
    answered: int
    not_sent: int
    latency_ms: dict[str, float]
    bottlenecks: list[str]


def load(process: Process, *options: str) -> Load:
    """Loads a server; options as on the command line.

    Raises:
        UnavailableError: where it is not installed.
        RuntimeError: where a call failed or an answer was wrong.
    """
    if importlib.util.find_spec("hdrh") is None:
        raise UnavailableError("`rankserve bench` needs the `bench` extra")
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory, "report.json")
        command = [_COMMAND, "bench", "--server", process.target, f"--json={report}", *options]
        ended = subprocess.run(command, capture_output=True, text=True)
        if ended.returncode:
            raise RuntimeError(f"{' '.join(command)}:\n{ended.stdout}{ended.stderr}")
        result: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    counts = result["counts"]
    if counts["failed"] or counts["wrong"] or counts["with_unknown_ids"]:
        raise RuntimeError(f"{process.contender.name}: {counts}")
    generator, rates = result["generator"], result["rates"]
    return Load(rates["requests"], counts["answered"], counts["not_sent"], result["latency_ms"], generator["reasons"])


def requests(loads: list[Load]) -> str:
    """How many there were: a cell of a table."""
    not_sent = sum(run.not_sent for run in loads)
    return f"{sum(run.answered for run in loads):,}" + (f", {not_sent:,} more not sent" if not_sent else "")


def own_limits(loads: list[Load]) -> str:
    """In how many rounds the generator was the bottleneck, and why in the first of them: a cell of a table."""
    limited = [run.bottlenecks for run in loads if run.bottlenecks]
    return f"in {len(limited)} of {len(loads)} rounds: {' and '.join(limited[0])}" if limited else "no"
