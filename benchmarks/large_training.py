"""`rankserve train` on ten million ratings with the default preset, held to one epoch: seconds and memory.

    python benchmarks/large_training.py [DATASET]

Prints a JSON object: `seconds` of the whole command; `lines`, what it said of its progress, each with the seconds since
the start and the highest resident memory by then, in bytes; `peak_bytes`; `ratings_bytes`, the size of the ratings' own
columns.
"""

import dataclasses
import io
import json
import resource
import sys
import tempfile
import time
from contextlib import redirect_stderr
from typing import Any

from rankserve_training.cli.train import train
from rankserve_training.data.synthetic import SIZES
from rankserve_training.presets import DEFAULT, PRESETS
from rankserve_training.towers.recipe import TwoTowerRecipe

DATASET = "synthetic/10m"
PRESET = "one-epoch"
# Two ids and a time of 8 bytes each, and a rating of 4.
RATING_BYTES = 28


class TimedLines(io.TextIOBase):
    """What is written to it, line by line, with the time and the memory."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self._started = time.monotonic()
        self._rest = ""

    def write(self, text: str) -> int:
        """Takes a part of the output."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            seconds = time.monotonic() - self._started
            self.lines.append({"line": line, "seconds": seconds, "peak_bytes": peak_bytes()})
        return len(text)


def peak_bytes() -> int:
    """The most memory that this process has held, resident."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def one_epoch() -> TwoTowerRecipe:
    """The default recipe with one epoch in every fit: the search for their number costs one each, too."""
    default = PRESETS[DEFAULT]
    assert isinstance(default, TwoTowerRecipe)
    return dataclasses.replace(
        default,
        rating=dataclasses.replace(default.rating, epochs=1),
        choice=dataclasses.replace(default.choice, epochs=1),
    )


def main(dataset: str = DATASET) -> None:
    """Trains, evaluates and publishes, as the command does."""
    PRESETS[PRESET] = one_epoch()
    started = time.monotonic()
    progress = TimedLines()
    with tempfile.TemporaryDirectory() as directory, redirect_stderr(progress):
        options = ["--dataset", dataset, "--preset", PRESET, "--models-dir", directory, "--name", "large"]
        train.main(options, standalone_mode=False)
    found = {
        "seconds": time.monotonic() - started,
        "lines": progress.lines,
        "peak_bytes": peak_bytes(),
        "ratings_bytes": SIZES[dataset][2] * RATING_BYTES,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
