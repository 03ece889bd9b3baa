"""Files that lines are added to while somebody renames, removes or tears them."""

import fcntl
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from rankserve_server.logs.line_file import LineFile

MIB = 1024 * 1024


def test_lines_are_added_to_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"old\n")
    file = LineFile(path, 0o600)
    assert file.add(b"one\ntwo\n")
    file.close()
    assert path.read_bytes() == b"old\none\ntwo\n"


def test_nothing_is_added_to_half_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b'whole\n{"ha')
    file = LineFile(path, 0o600)
    file.add(b"next\n")
    file.close()
    assert path.read_bytes() == b'whole\n{"ha\nnext\n'


@pytest.mark.parametrize("is_renamed", [True, False])
def test_a_file_that_is_gone_is_opened_anew(tmp_path: Path, is_renamed: bool) -> None:
    path = tmp_path / "log"
    file = LineFile(path, 0o600)
    file.add(b"before\n")
    if is_renamed:
        path.rename(tmp_path / "log.0")
    else:
        path.unlink()
    file.add(b"after\n")
    file.close()
    assert path.read_bytes() == b"after\n"


# Adds often to the file that is named by its argument.
ADD_OFTEN = """
import os, sys
from pathlib import Path
from rankserve_server.logs.line_file import LineFile
file = LineFile(Path(sys.argv[1]), 0o600, max_mib=1)
line = f"{os.getpid()} ".encode() + b"x" * 1_000 + b"\\n"
for _ in range(800):
    file.add(line * 2)
file.close()
"""


def test_several_processes_put_one_file_aside_and_tear_no_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    processes = [subprocess.Popen([sys.executable, "-c", ADD_OFTEN, path]) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    # Of the 3 MiB there are the newest one or two.
    assert {each.name for each in tmp_path.iterdir()} == {"log", "log.1"}
    aside = tmp_path / "log.1"
    assert MIB <= aside.stat().st_size < 1.1 * MIB
    lines = path.read_bytes().splitlines() + aside.read_bytes().splitlines()
    assert {line.partition(b" ")[2] for line in lines} == {b"x" * 1_000}


def test_who_waits_to_put_a_file_aside_finds_that_another_has(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * MIB + b"\n")
    file, other = LineFile(path, 0o600, max_mib=1), os.open(path, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    adding = threading.Thread(target=file.add, args=(b"mine\n",))
    adding.start()
    while not _waits_for_lock(os.fstat(other).st_ino):
        time.sleep(0.01)
    path.rename(tmp_path / "log.1")
    path.write_bytes(b"the other's\n")
    os.close(other)  # and with it the lock
    adding.join()
    file.close()
    assert path.read_bytes() == b"the other's\nmine\n"
    assert (tmp_path / "log.1").stat().st_size == MIB + 1


def _waits_for_lock(inode: int) -> bool:
    locks = Path("/proc/locks").read_text().splitlines()
    return any("->" in lock and lock.split()[6].endswith(f":{inode}") for lock in locks)


def test_what_cannot_be_written_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = LineFile(Path("/dev/full"), 0o600)
    assert not file.add(b"lost\n")
    assert not file.add(b"lost\n")
    file.close()
    assert [record.getMessage() for record in caplog.records] == [
        "Nothing can be added to /dev/full: No space left on device."
    ]
    assert not list(tmp_path.iterdir())


def test_a_reader_who_sleeps_gets_what_fits_and_no_half_line(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    file = LineFile(pipe, 0o600)
    added: list[bool] = []
    lines = b"".join(b"%d " % number + b"x" * 1_000 + b"\n" for number in range(100))
    thread = threading.Thread(target=lambda: added.append(file.add(lines)), daemon=True)
    thread.start()
    thread.join(30)
    assert added == [False]
    file.close()
    read = os.read(reader, 1_000_000)
    os.close(reader)
    assert lines.startswith(read)
    assert read.endswith(b"\n")


def test_a_line_longer_than_a_pipe_holds_up_nobody(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    file = LineFile(pipe, 0o600)
    added: list[bool] = []
    thread = threading.Thread(target=lambda: added.append(file.add(b"x" * 100_000 + b"\n")), daemon=True)
    thread.start()
    thread.join(30)
    assert added == [False]
    file.close()
    os.close(reader)
