"""The default preset by the commands: trained with checkpoints and logs, killed, gone on with, and evaluated."""

import json
import signal
import subprocess
from pathlib import Path

from rankserve_training.artifact import read_artifact
from rankserve_training.data.synthetic import synthetic_ratings
from training.rankserve_command import RANKSERVE, rankserve
from training.towers.small_world import small_dataset


def write_small_csv(path: Path) -> None:
    """The small data set as a file of ratings."""
    ratings = small_dataset().ratings
    rows = zip(ratings.user_ids.tolist(), ratings.item_ids.tolist(), ratings.values.tolist(), strict=True)
    path.write_text("userId,movieId,rating\n" + "".join(f"{user},{item},{value:g}\n" for user, item, value in rows))


def test_killed_and_gone_on_with(tmp_path: Path) -> None:
    """The version that is published in the end is that of a training that nobody has killed."""
    write_small_csv(tmp_path / "ratings.csv")
    options = ("--ratings", "ratings.csv", "--name", "small", "--models-dir", "m")
    undisturbed = rankserve("train", *options, cwd=tmp_path)
    assert undisturbed.returncode == 0, undisturbed.stderr
    kept = (*options, "--checkpoints", "states", "--tensorboard", "logs")
    command: list[str | Path] = [RANKSERVE, "train", *kept]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any("choices" in line for line in iter(process.stderr.readline, ""))
        process.send_signal(signal.SIGKILL)
    resumed = rankserve("train", *kept, "--html", "report.html", cwd=tmp_path)
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

    other = rankserve("train", *kept, "--seed", "1", cwd=tmp_path)
    assert other.returncode == 1
    assert other.stderr.splitlines()[-1].startswith("Error: states has the checkpoints of another training, whose seed")


def test_every_protocol_on_a_file(tmp_path: Path) -> None:
    """Small, but whole: each trains, tests and says what it did."""
    ratings = synthetic_ratings(60, 40, 1_100, seed=1).ratings
    rows = zip(ratings.user_ids.tolist(), ratings.item_ids.tolist(), ratings.values.tolist(), strict=True)
    (tmp_path / "r.csv").write_text("userId,movieId,rating\n" + "".join(f"{u},{i},{v:g}\n" for u, i, v in rows))
    expected = {
        "folds": "2 random folds; means",
        "time": "the last fifth of the ratings by time",
        "catalogue": "a random quarter of the ratings",
        "new-users": "users hidden from training",
        "new-items": "items hidden from training",
    }
    for protocol, words in expected.items():
        folds = ("--folds", "2") if protocol == "folds" else ()
        arguments = ("--preset", "tutorial", "--ratings", "r.csv", "--protocol", protocol, *folds, "--json", "e.json")
        done = rankserve("evaluate", *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        result = json.loads((tmp_path / "e.json").read_text())
        assert words in result["protocol"]
        assert bool(result["cold_start"]) == (protocol == "new-users")
        assert bool(result["cold_items"]) == (protocol == "new-items")
