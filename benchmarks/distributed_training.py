"""`rankserve train` by one process and by two, with whole and with sharded tables: rows a second, and memory a process.

    python benchmarks/distributed_training.py [DATASET [ROUNDS]]

Prints a JSON object: for each way, `seconds` of the command in each round, `rows_per_second` of the quickest (training
rows by the epochs of the rating towers; both fits, measuring and publishing included) and `peak_bytes`, the most
resident memory of each process, process 0 first. The ways take turns, so that what else a machine does hits all of
them. On one machine processes share the processors: what is gained is memory, not time.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

DATASET, ROUNDS, EPOCHS = "movielens/100k", 2, 2
WAYS = {
    "one process": [],
    "two processes": ["--processes", "2"],
    "two processes, sharded tables": ["--processes", "2", "--shard-tables"],
}
_TRAIN = "from rankserve_training.cli.train import train; train(prog_name='rankserve train')"
_SECONDS_BETWEEN_LOOKS = 0.2


def trained(dataset: str, options: list[str]) -> dict[str, Any]:
    """One training: its seconds, rows, and the peaks of its processes."""
    with tempfile.TemporaryDirectory() as directory:
        found = Path(directory) / "found.json"
        command = [sys.executable, "-c", _TRAIN, "--dataset", dataset, "--name", "measured", "--epochs", str(EPOCHS)]
        command += ["--models-dir", directory, "--json", str(found), *options]
        started = time.monotonic()
        training = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        peaks: dict[int, int] = {}
        while training.poll() is None:
            for process in children(training.pid) or ([] if options else [training.pid]):
                peaks[process] = max(peaks.get(process, 0), peak_bytes(process))
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        assert training.returncode == 0, options
        rows = json.loads(found.read_text())["train_rows"]
        return {"seconds": time.monotonic() - started, "rows": rows, "peak_bytes": list(peaks.values())}


def children(process: int) -> list[int]:
    """The processes that it has started."""
    try:
        return [int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


def peak_bytes(process: int) -> int:
    """The most memory that a process has held, resident; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def main(dataset: str = DATASET, rounds: str = str(ROUNDS)) -> None:
    """Measures all ways in turn."""
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for _ in range(int(rounds)):
        for way, options in WAYS.items():
            runs[way].append(trained(dataset, options))
    found = {
        way: {
            "seconds": [run["seconds"] for run in each],
            "rows_per_second": max(run["rows"] * EPOCHS / run["seconds"] for run in each),
            "peak_bytes": each[-1]["peak_bytes"],
        }
        for way, each in runs.items()
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
