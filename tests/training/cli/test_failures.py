"""What users get wrong: one line that says what to do, before any work is done, and nothing published."""

from pathlib import Path

import pytest

from training.conftest import Training
from training.rankserve_command import error_line, rankserve, usage_error
from training.small_version import publish_small

CSV = "userId,movieId,rating,timestamp\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "0"], "Invalid value for '--epochs': 0 is not in the range"),
        (["--epochs", "many"], "Invalid value for '--epochs': 'many' is not a valid integer"),
        (["--seed", "-1"], "Invalid value for '--seed': -1 is not in the range"),
        (["--no-such-option"], "No such option"),
        (["argument"], "Got unexpected extra argument (argument)"),
        (["--json", "none/result.json"], "Invalid value for --json: none/result.json cannot be written: there is no "),
        (["--json", "."], "Invalid value for --json: . cannot be written: it is a directory"),
        (["--ratings", "two.csv"], "--ratings needs --name: what is the model to be called?"),
        (["--ratings", "two.csv", "--dataset", "movielens/100k"], "--dataset and --ratings exclude each other"),
    ],
)
def test_a_wrong_command_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    assert usage_error(rankserve("train", *arguments, cwd=tmp_path)).startswith(message)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "large"], "there is no preset 'large'; known: two-tower, tutorial"),
        (["--dataset", "netflix"], "there is no data set 'netflix'; known: movielens/100k"),
        (["--name", "../models"], "'../models' is not a model name: use 1 to 128 letters, digits"),
        (["--models-dir", "bad.csv"], "nothing can be published in bad.csv: "),
        (["--name", "own", "--ratings", "none.csv"], "none.csv: there is no such file"),
        (["--name", "own", "--ratings", "bad.csv"], "bad.csv:3: rating 'good' is not a number"),
        (["--name", "own", "--ratings", "one.csv"], "one.csv: every rating is 3, so there is no scale to rank on"),
        (["--items", "bad.csv"], "items can only be given together with a file of ratings (--ratings FILE)"),
        (
            ["--name", "own", "--ratings", "two.csv", "--test-ratings", "two.csv"],
            "two.csv:2: user 1's rating of item 1 is also in ",
        ),
    ],
)
def test_a_training_that_cannot_be(tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "bad.csv").write_text(f"{CSV}1,1,4,0\n1,2,good,0\n")
    (tmp_path / "one.csv").write_text(f"{CSV}1,1,3,0\n")
    (tmp_path / "two.csv").write_text(f"{CSV}1,1,3,0\n1,2,4,0\n")
    assert error_line(rankserve("train", *arguments, cwd=tmp_path)).startswith(message)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.csv", "one.csv", "two.csv"]


def test_a_model_that_cannot_be_evaluated(tmp_path: Path) -> None:
    version = publish_small(tmp_path / "models")
    (version / "users.npz").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    for model, message in (
        ("none", "none is not a directory; give MODELS_DIR/NAME or MODELS_DIR/NAME/VERSION"),
        ("empty", "empty holds no version; publish one with: rankserve train --models-dir ."),
        ("models/small/2", "models/small/2 is not a directory; give"),
        ("models/small", f"{version}/users.npz has 0 bytes, but the manifest says "),
        ("models", "models holds no version; publish one with:"),
    ):
        assert error_line(rankserve("evaluate", "--model", model, cwd=tmp_path)).startswith(message)


def test_an_evaluation_without_ratings(tmp_path: Path) -> None:
    publish_small(tmp_path)
    line = error_line(rankserve("evaluate", "--model", "small", cwd=tmp_path))
    assert line == "small/1 was trained on small.csv, a file; give it, or other ratings to test on, with --ratings"


def test_a_model_that_is_no_keras_model(tmp_path: Path) -> None:
    """Its hash is right, so that only Keras' own reader can tell."""
    publish_small(tmp_path)
    (tmp_path / "new.csv").write_text(f"{CSV}9,4,5,0\n")
    line = error_line(rankserve("evaluate", "--model", "small", "--ratings", "new.csv", cwd=tmp_path))
    assert line.startswith(f"{tmp_path}/small/1/model.keras is not a Keras model file: ")


def test_ratings_off_the_scale(from_files: Training, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text(f"{CSV}3,1,4.5,0\n")
    arguments = ("--model", from_files.artifact.directory, "--ratings", "new.csv")
    line = error_line(rankserve("evaluate", *arguments, cwd=tmp_path))
    assert line == "new.csv:2: rating 4.5 is off the scale, 0.5 to 4"


def test_usage_of_evaluate(tmp_path: Path) -> None:
    missing = "give --model, to test it, --preset, to train and test by it, or --log, to test what was ranked"
    assert usage_error(rankserve("evaluate", cwd=tmp_path)) == missing
    both = rankserve("evaluate", "--model", "m", "--preset", "tutorial", cwd=tmp_path)
    assert usage_error(both) == "--model and --preset exclude each other"
    folds = rankserve("evaluate", "--model", "m", "--folds", "3", cwd=tmp_path)
    assert usage_error(folds) == "--folds goes with --preset, not with --model"
    folds = rankserve("evaluate", "--preset", "tutorial", "--folds", "3", cwd=tmp_path)
    assert usage_error(folds) == "--folds goes with --protocol folds"
    arguments = ("--model", "none", "--json", "none/result.json")
    assert "cannot be written: there is no directory" in usage_error(rankserve("evaluate", *arguments, cwd=tmp_path))


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_help_has_examples_and_the_keys_of_the_json(tmp_path: Path, command: str) -> None:
    done = rankserve(command, "--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    examples = done.stdout[done.stdout.index("Examples:") :].splitlines()[1:3]
    assert all(line.startswith(f"  {' ' * 2}rankserve {command} --") for line in examples)
    for key in ("name", "version", "metrics"):
        assert key in done.stdout[done.stdout.index("--json writes one object: ") :]
