"""The default preset by the commands: trained with checkpoints and logs, killed, gone on with, and evaluated."""

import json
import signal
import subprocess
from pathlib import Path

import pytest

from rankserve_training.artifact import read_artifact
from training.rankserve_command import RANKSERVE, rankserve, started_rankserve
from training.towers.small_world import small_dataset


def write_small_csv(path: Path) -> None:
    """The small data set as a file of ratings."""
    ratings = small_dataset().ratings
    rows = zip(ratings.user_ids.tolist(), ratings.item_ids.tolist(), ratings.values.tolist(), strict=True)
    path.write_text("userId,movieId,rating\n" + "".join(f"{user},{item},{value:g}\n" for user, item, value in rows))


@pytest.mark.reliability
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("compiles_anew")
def test_killed_and_gone_on_with(tmp_path: Path) -> None:
    """The version that is published in the end is that of a training that nobody has killed."""
    write_small_csv(tmp_path / "ratings.csv")
    options = ("--ratings", "ratings.csv", "--name", "small", "--models-dir", "m")
    undisturbed = started_rankserve("train", *options, cwd=tmp_path)
    assert undisturbed.returncode == 0, undisturbed.stderr
    kept = (*options, "--checkpoints", "states", "--tensorboard", "logs")
    command: list[str | Path] = [RANKSERVE, "train", *kept]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any("choices" in line for line in iter(process.stderr.readline, ""))
        process.send_signal(signal.SIGKILL)
    resumed = started_rankserve("train", *kept, "--html", "report.html", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert "Published small/2" in resumed.stdout
    # A finished stage is not gone through again.
    assert "ratings 1/" not in resumed.stderr
    first, second = (read_artifact(tmp_path / "m" / "small" / number).manifest for number in ("1", "2"))
    assert first.golden_requests == second.golden_requests
    assert first.golden_newcomers == second.golden_newcomers != []
    assert first.metrics == second.metrics
    assert list((tmp_path / "logs").glob("*/events.out.tfevents.*"))
    assert "<svg" in (tmp_path / "report.html").read_text()

    other = started_rankserve("train", *kept, "--seed", "1", cwd=tmp_path)
    assert other.returncode == 1
    assert other.stderr.splitlines()[-1].startswith("Error: states has the checkpoints of another training, whose seed")

    # As a release before would have left it, whose recipe was another.
    described = tmp_path / "states" / "training.json"
    described.write_text(described.read_text().replace('"members": ', '"members": 1'))
    older = started_rankserve("train", *kept, cwd=tmp_path)
    assert older.returncode == 1
    assert "another training, whose recipe" in older.stderr.splitlines()[-1]


def test_folds_by_the_command(tmp_path: Path) -> None:
    write_small_csv(tmp_path / "r.csv")
    arguments = (
        "--preset",
        "tutorial",
        "--ratings",
        "r.csv",
        "--protocol",
        "folds",
        "--folds",
        "2",
        "--json",
        "e.json",
    )
    done = rankserve("evaluate", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 random folds; means" in done.stdout
    assert json.loads((tmp_path / "e.json").read_text())["protocol"].startswith("2 random folds; means")
