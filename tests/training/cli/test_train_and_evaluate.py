"""`rankserve train` and `rankserve evaluate`: one of each as a process, the others in the tests' own."""

import json
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rankserve_training.artifact import read_artifact
from training.conftest import Training
from training.rankserve_command import RANKSERVE, rankserve, started_rankserve
from training.rating_files import TEST_ITEM, write_gappy_files


@dataclass(frozen=True)
class Trained:
    """What `rankserve train` left in its directory."""

    directory: Path
    output: str
    progress: str
    result: dict[str, Any]


@pytest.fixture(scope="module")
def trained(trained_dir: Path) -> Trained:
    """The training whose model most tests share; see `trained_dir` for its command."""
    output, progress = ((trained_dir / name).read_text(encoding="utf-8") for name in ("stdout", "stderr"))
    return Trained(trained_dir, output, progress, json.loads((trained_dir / "train.json").read_text()))


def test_training_says_what_it_does_and_has_done(trained: Trained) -> None:
    progress = trained.progress.splitlines()
    assert " ".join(progress[:-2]).startswith("Training preset tutorial on 100,000 ratings of movielens/100k (")
    assert [line.split("  ")[0] for line in progress[-2:]] == ["epoch 1/2", "epoch 2/2"]
    metrics = trained.result["metrics"]
    assert "RMSE on 20,000 held-out ratings" in trained.output
    for name in ("test_rmse", "bias_only_rmse", "global_mean_rmse"):
        assert f" {metrics[name]:.4f} " in trained.output
        assert f" {metrics[name] / 4:.4f} " in trained.output
    assert trained.output.endswith("\nPublished movielens/1 in models/movielens/1\n")


def test_the_json_of_a_training(trained: Trained) -> None:
    result = dict(trained.result)
    manifest = read_artifact(trained.directory / "models" / "movielens" / "1").manifest
    assert result.pop("seconds") == manifest.training.seconds > 0
    metrics = result.pop("metrics")
    assert metrics == manifest.metrics
    assert list(metrics) == [
        "test_rmse",
        "test_mae",
        "test_rmse_label",
        "global_mean_rmse",
        "bias_only_rmse",
        "test_ndcg_at_5",
        "test_ndcg_at_10",
        "test_mrr",
        "test_pairwise_accuracy",
        "test_catalogue_ndcg_at_10",
        "test_recall_at_10",
        "test_coverage",
    ]
    assert result == {
        "name": "movielens",
        "version": 1,
        "directory": "models/movielens/1",
        "dataset": {
            "name": "movielens/100k",
            "fingerprint": manifest.dataset.fingerprint,
            "rating_count": 100_000,
        },
        "preset": "tutorial",
        "seed": 7,
        "split_seed": 42,
        "epochs": 2,
        "train_rows": 80_000,
        "test_rows": 20_000,
    }


def test_evaluating_gives_the_figures_of_the_training(trained: Trained, tmp_path: Path) -> None:
    result = tmp_path / "evaluated.json"
    done = rankserve("evaluate", "--model", "models/movielens", "--json", result, cwd=trained.directory)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(result.read_text())
    measured = found.pop("evaluation")
    assert [model["name"] for model in measured["models"]] == [
        "movielens/1",
        "biases",
        "item mean",
        "global mean",
        "popularity",
    ]
    assert found == {
        "name": "movielens",
        "version": 1,
        "protocol": "held-out ratings",
        "rows": 20_000,
        "metrics": trained.result["metrics"],
    }
    table = trained.output[: trained.output.index("Held-out")]
    assert done.stdout.startswith(f"movielens/1, trained on movielens/100k\n{table}movielens/1 on 20,000 ratings of")
    assert f": nDCG@10 {metrics_of(trained)['test_ndcg_at_10']:.4f} (biases 0.8206)\n" in trained.output


def metrics_of(trained: Trained) -> dict[str, float]:
    found: dict[str, float] = trained.result["metrics"]
    return found


def test_own_files(tmp_path: Path) -> None:
    """`u.data` split at random, then CSV with a test file in RecBole's format; ids up to the largest; one name."""
    files = write_gappy_files(tmp_path)
    options = ("--name", "shop", "--preset", "tutorial", "--models-dir", "m", "--epochs", "1", "--json", "result.json")
    first = rankserve("train", "--ratings", files.u_data, "--split-seed", "3", *options, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["version"], result["split_seed"], result["train_rows"], result["test_rows"]) == (1, 3, 13, 3)

    files_given = ("--ratings", files.csv, "--test-ratings", files.inter, "--items", files.items)
    second = rankserve("train", *files_given, *options, cwd=tmp_path)
    assert second.returncode == 0, second.stderr
    assert second.stdout.endswith("\nPublished shop/2 in m/shop/2\n")
    result, before = json.loads((tmp_path / "result.json").read_text()), result
    assert (result["version"], result["split_seed"], result["train_rows"], result["test_rows"]) == (2, 0, 16, 2)
    assert result["dataset"] == before["dataset"] | {"name": "shop.csv"}
    artifact = read_artifact(tmp_path / "m" / "shop" / "2")
    assert artifact.catalog.title(40) == "Forty, or so"
    assert artifact.catalog.index.row(TEST_ITEM) > 0


def test_evaluating_on_a_file(from_files: Training, tmp_path: Path) -> None:
    version = from_files.artifact.directory
    new = tmp_path / "new.csv"
    new.write_text("userId,movieId,rating\n3,1,4\n8,8,0.5\n")
    done = started_rankserve("evaluate", "--model", version, "--ratings", new, "--json", "evaluated.json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("own/1, trained on shop.csv\nRMSE on 2 ratings of new.csv")
    result = json.loads((tmp_path / "evaluated.json").read_text())
    assert (result["protocol"], result["rows"]) == ("ratings of new.csv", 2)
    assert list(result["metrics"]) == ["test_rmse", "test_mae", "test_rmse_label"]


def test_an_interrupted_training_publishes_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(
        [RANKSERVE, "train", "--preset", "tutorial", "--epochs", "1000"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert any(line.startswith("epoch 1/1000") for line in iter(process.stderr.readline, ""))
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (1, "")
    lines = errors.splitlines()
    assert lines[-1] == "Error: interrupted"
    assert all(line.startswith("epoch ") for line in lines[:-1])
    assert list(tmp_path.rglob("*")) == []
