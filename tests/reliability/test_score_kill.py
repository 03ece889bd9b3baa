"""SIGKILL at any moment of `rankserve score`: what the same command leaves in the end is what one run leaves."""

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from integration.server_process import RANKSERVE
from server.two_towers import Published, publish_towers, random_towers

USERS = 20_000
USERS_PER_FILE = 100
# Files that appear before each kill; after the last one, none.
FILES = (1, 3, 10, 2, 15)
SECONDS = 120.0


@pytest.fixture
def published(tmp_path: Path) -> Published:
    return publish_towers(tmp_path / "models", random_towers())


@pytest.mark.reliability
@pytest.mark.timeout(900)
def test_no_gap_and_no_duplicate(published: Published, tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text("".join(f"{user}\n" for user in range(1, USERS + 1)))
    command = [RANKSERVE, "score", "--model", str(published.directory), "--top-k", "5", "--users", str(users)]
    command += ["--users-per-file", str(USERS_PER_FILE), "--processes", "2", "--output"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run([*command, str(whole)], check=True, capture_output=True)
    for more in FILES:
        before = files_in(killed)
        with subprocess.Popen([*command, str(killed)], stdout=subprocess.DEVNULL) as process:
            give_up = time.monotonic() + SECONDS
            while files_in(killed) < before + more:
                assert process.poll() is None
                assert time.monotonic() < give_up
                time.sleep(0.001)
            time.sleep(random.random() / 50)
            process.send_signal(signal.SIGKILL)
        assert not (killed / "_SUCCESS").exists()
        print(f"killed with {files_in(killed)} of {USERS // USERS_PER_FILE} files")
    subprocess.run([*command, str(killed)], check=True, capture_output=True)
    assert contents(killed) == contents(whole)


def files_in(directory: Path) -> int:
    return len(list(directory.glob("part-*.parquet")))


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}
