"""How much memory a training takes for each rating, libraries and tables left out."""

import subprocess
import sys

import pytest

from peak_memory import TESTS

# Ids and a time of 8 bytes each, and a rating of 4.
BYTES_A_RATING = 28
FEW, MANY = 1_100_000, 3_100_000

# Trains, evaluates and publishes as `rankserve train` does, with small towers and large batches, and prints the most
# memory that it has held and whether TensorFlow was imported. There are as many users and items for few ratings as for
# many, so that the tables are the same.
_TRAINING = """
import dataclasses, io, sys, tempfile
from pathlib import Path
from peak_memory import peak_bytes
from rich.console import Console
from rankserve_training.data.synthetic import synthetic_ratings
from rankserve_training.evaluation.subjects import evaluate_trained
from rankserve_training.packaging import publish_model
from rankserve_training.presets import PRESETS
from rankserve_training.towers.recipe import ChoiceRecipe, RatingRecipe, TwoTowerRecipe
from rankserve_training.train import TrainingSettings, described, train_prepared

PRESETS["small"] = TwoTowerRecipe(
    RatingRecipe(members=1, width=4, hidden=4, epochs=1),
    ChoiceRecipe(width=4, epochs=1),
    batch_ratings=32_768,
    batch_users=512,
)
data = synthetic_ratings(20_000, 2_000, int(sys.argv[1]), seed=1)
settings = TrainingSettings("small", None, 1, 1)
description, rows = described(data, settings)
del data
trained = train_prepared(description, rows, settings, Console(file=io.StringIO()))
evaluate_trained(trained, "small")
with tempfile.TemporaryDirectory() as directory:
    publish_model(trained, Path(directory), "small")
print(peak_bytes(), "tensorflow" in sys.modules)
"""


@pytest.mark.reliability
@pytest.mark.timeout(900)
def test_the_memory_that_training_takes() -> None:
    """At most four times the columns; TensorFlow, which is larger than all of them, is not imported."""
    peaks = []
    for count in (FEW, MANY):
        command = [sys.executable, "-c", _TRAINING, str(count)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=True, cwd=TESTS)
        peak, tensorflow = done.stdout.split()
        assert tensorflow == "False"
        peaks.append(int(peak))
    each = (peaks[1] - peaks[0]) / (MANY - FEW)
    assert each < 4 * BYTES_A_RATING, f"{each:.0f} bytes a rating"
