"""`rankserve train` on ten million ratings with the default preset, held to one epoch: seconds and memory.

    python benchmarks/large_training.py [DATASET]

Prints a JSON object: `seconds` of the whole command, `stages` with the seconds and the highest resident memory, in
bytes, after each fit, `peak_bytes`, and `ratings_bytes`, the size of the ratings' own columns.
"""

import dataclasses
import json
import resource
import sys
import tempfile
import time
from typing import Any

from rankserve_training.cli.train import train
from rankserve_training.data.synthetic import SIZES
from rankserve_training.presets import DEFAULT, PRESETS
from rankserve_training.towers.fitting import EpochLog, Stage
from rankserve_training.towers.recipe import TwoTowerRecipe

DATASET = "synthetic/10m"
PRESET = "one-epoch"
# Two ids and a time of 8 bytes each, and a rating of 4.
RATING_BYTES = 28


class TimedStage:
    """Stands in for `Stage.run` while a training is measured."""

    def __init__(self) -> None:
        self.stages: list[dict[str, Any]] = []
        self._run = Stage.run

    def install(self) -> None:
        """Every fit from now on is measured."""
        run, stages = self._run, self.stages

        def timed(stage: Stage) -> list[EpochLog]:
            started = time.monotonic()
            logs = run(stage)
            stages.append(
                {
                    "name": stage.name,
                    "steps": len(stage.batches),
                    "seconds": time.monotonic() - started,
                    "peak_bytes": peak_bytes(),
                }
            )
            return logs

        Stage.run = timed  # type: ignore[assignment,method-assign]  # the command itself is measured


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
    stages = TimedStage()
    stages.install()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        options = ["--dataset", dataset, "--preset", PRESET, "--models-dir", directory, "--name", "large"]
        train.main(options, standalone_mode=False)
    found = {
        "seconds": time.monotonic() - started,
        "stages": stages.stages,
        "peak_bytes": peak_bytes(),
        "ratings_bytes": SIZES[dataset][2] * RATING_BYTES,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
