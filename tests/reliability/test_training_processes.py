"""Training by several processes, on a part of MovieLens 100K: the same as by one, also when killed and gone on with."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from integration.server_process import free_port
from rankserve_training.artifact.columns import read_columns
from rankserve_training.data import load
from session_files import made_once

pytestmark = [pytest.mark.reliability, pytest.mark.timeout(540)]

# So few that no rows are held out to validate on: two fits instead of four.
RATINGS = 600
# So far may a weight be from that of one process: sums over the parts of a batch are added in another order, and each
# step goes on from the last one's result. Weights and optimizer states are at most of the order of 1.
TOLERANCE = 2e-4
_TRAIN = "from rankserve_training.cli.train import train; train(prog_name='rankserve train')"


@pytest.fixture(scope="module")
def ratings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first ratings of users and items with low ids: several for each."""
    data = load("movielens/100k", announce=lambda _: None).ratings
    chosen = np.flatnonzero((data.user_ids <= 60) & (data.item_ids <= 150))[:RATINGS]
    columns = (data.user_ids[chosen], data.item_ids[chosen], data.values[chosen], data.timestamps[chosen])
    lines = [",".join(map(str, row)) for row in zip(*(column.tolist() for column in columns), strict=True)]
    path = tmp_path_factory.mktemp("ratings") / "ratings.csv"
    path.write_text("userId,movieId,rating,timestamp\n" + "\n".join(lines) + "\n")
    return path


def started(ratings: Path, place: Path, *options: str, devices: int = 1) -> "subprocess.Popen[str]":
    """A training, with what it publishes and keeps in `place`."""
    command = [sys.executable, "-c", _TRAIN, "--name", "part", "--ratings", str(ratings), "--epochs", "2"]
    command += ["--models-dir", str(place / "models"), "--checkpoints", str(place / "states"), *options]
    environment = os.environ | {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def finished(training: "subprocess.Popen[str]", code: int = 0, seconds: float = 400) -> str:
    """What it has said on stderr."""
    try:
        _, errors = training.communicate(timeout=seconds)
    finally:
        training.kill()
        training.wait()
    assert training.returncode == code, errors
    assert "Traceback" not in errors
    return errors


def states(place: Path) -> dict[str, list[np.ndarray]]:
    """The weights, optimizer states and random states at the end of each fit."""
    found = {}
    for path in sorted((place / "states").glob("*.npz")):
        with np.load(path) as file:
            names = sorted(name for name in file.files if name != "logs")
        columns = read_columns(path, names)
        found[path.stem] = [columns[name] for name in names]
    return found


def same_states(one: Path, other: Path) -> None:
    """Within the tolerance; tables that are split between processes may end with rows of nobody."""
    ones, others = states(one), states(other)
    assert list(ones) == list(others)
    assert len(ones) == 2
    for stage, values in ones.items():
        for value, like in zip(values, others[stage], strict=True):
            if value.ndim:
                rows = min(len(value), len(like))
                value, like = value[:rows], like[:rows]
            np.testing.assert_allclose(
                value.astype(np.float64), like.astype(np.float64), rtol=0, atol=TOLERANCE, err_msg=stage
            )


def children(process: int) -> list[int]:
    """The processes that it has started, the first of them first."""
    return [int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def wait_for(path: Path, seconds: float = 200) -> None:
    until = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < until, f"{path} has not come"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def by_one(ratings: Path) -> Path:
    """What one process, undisturbed, comes to."""
    return made_once("by_one", lambda place: finished(started(ratings, place)))


@pytest.mark.parametrize("tables", [(), ("--shard-tables",)], ids=["whole", "sharded"])
def test_two_processes_learn_the_same(ratings: Path, by_one: Path, tmp_path: Path, tables: Sequence[str]) -> None:
    finished(started(ratings, tmp_path, "--processes", "2", *tables))
    same_states(by_one, tmp_path)
    assert [each.name for each in (tmp_path / "models" / "part").iterdir() if each.name.isdecimal()] == ["1"]


def test_several_devices_of_one_process_share_the_tables(ratings: Path, by_one: Path, tmp_path: Path) -> None:
    finished(started(ratings, tmp_path, "--shard-tables", devices=4))
    same_states(by_one, tmp_path)


def test_killed_it_ends_with_one_line_and_is_gone_on_with(ratings: Path, by_one: Path, tmp_path: Path) -> None:
    training = started(ratings, tmp_path, "--processes", "2", "--shard-tables")
    wait_for(tmp_path / "states" / "ratings.npz")
    processes = children(training.pid)
    assert len(processes) == 2
    os.kill(processes[1], signal.SIGKILL)
    errors = finished(training, code=1, seconds=30)
    assert errors.splitlines()[-1] == (
        "Error: process 1 of the training was ended by SIGKILL, and the others with it; nothing was published"
    )
    assert not any(Path(f"/proc/{process}").exists() for process in processes)
    assert not list((tmp_path / "models").glob("part/[0-9]*"))
    # Whoever watches them is killed: they end with him.
    training = started(ratings, tmp_path, "--processes", "2", "--shard-tables")
    wait_for(tmp_path / "states" / "choices.npz")
    processes = children(training.pid)
    training.kill()
    training.communicate()
    until = time.monotonic() + 20
    while any(Path(f"/proc/{process}").exists() for process in processes) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(Path(f"/proc/{process}").exists() for process in processes)
    # By one process, which has tables of another number of rows.
    finished(started(ratings, tmp_path))
    same_states(by_one, tmp_path)


def test_ctrl_c_ends_all(ratings: Path, tmp_path: Path) -> None:
    training = started(ratings, tmp_path, "--processes", "2")
    wait_for(tmp_path / "states" / "ratings.npz")
    processes = children(training.pid)
    training.send_signal(signal.SIGINT)
    assert finished(training, code=1, seconds=30).splitlines()[-1] == "Aborted!"
    assert not any(Path(f"/proc/{process}").exists() for process in processes)


def test_process_0_says_whether_tables_are_split(ratings: Path, by_one: Path, tmp_path: Path) -> None:
    """Of two minds they would wait for each other until Gloo gives up, and learn nothing."""
    together = ("--processes", "2", "--coordinator", f"127.0.0.1:{free_port()}", "--process-id")
    other = started(ratings, tmp_path / "other", *together, "1")
    finished(started(ratings, tmp_path / "first", *together, "0", "--shard-tables"))
    finished(other)
    same_states(by_one, tmp_path / "first")
    assert not (tmp_path / "other").exists()


def test_processes_with_other_devices_say_so(ratings: Path, tmp_path: Path) -> None:
    together = ("--processes", "2", "--coordinator", f"127.0.0.1:{free_port()}", "--process-id")
    first = started(ratings, tmp_path, *together, "0")
    errors = finished(started(ratings, tmp_path, *together, "1", devices=2), code=1, seconds=90)
    assert errors.splitlines()[-1] == (
        "Error: process 0 has devices 1 and process 1 has 2: make them the same; nothing was published"
    )
    assert finished(first, code=1, seconds=90).splitlines()[-1].startswith("Error: another process of this training")
    assert not (tmp_path / "models").exists()


def test_a_process_that_never_joins(ratings: Path, tmp_path: Path) -> None:
    options = ("--processes", "2", "--process-id", "0", "--coordinator", "127.0.0.1:47391", "--join-timeout", "3")
    errors = finished(started(ratings, tmp_path, *options), code=1, seconds=60)
    assert errors.splitlines()[-1].startswith("Error: not all processes have joined ")
    assert not (tmp_path / "models").exists()
