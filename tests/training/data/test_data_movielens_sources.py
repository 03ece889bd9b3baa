"""Where MovieLens comes from when it is not prepared: each source, and what goes wrong with them.

Nothing here leaves the machine: the hosts are local sockets, and the real wheel is the one that preparing the data has
left in TFDS' download directory.
"""

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from rankserve_training.data import DataError, load_movielens
from rankserve_training.data import __main__ as data_command
from rankserve_training.data.grouplens import download, probe
from rankserve_training.data.movielens_builder import MovielensBuilders
from rankserve_training.data.movielens_sets import SETS
from rankserve_training.data.movielens_sources import Sources
from rankserve_training.data.original_files import write_original_files
from rankserve_training.data.recbole_wheel import WHEEL_NAME, WHEEL_SHA256, RecboleFiles, fetch_wheel, read_wheel
from rankserve_training.data.tfds_quiet import quiet_tfds

MOVIELENS_100K = SETS["movielens/100k"]
# Nobody listens on the discard port.
NOBODY = "http://127.0.0.1:9/ml-100k.zip"


@pytest.fixture(autouse=True)
def no_package_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves pip with an index that does not answer, whatever the machine is configured for."""
    for name in list(os.environ):
        if name.startswith("PIP_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")


@contextmanager
def silent_host() -> Iterator[str]:
    """A host that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/ml-100k.zip"


@contextmanager
def web_host(content: bytes, stalls: bool = False) -> Iterator[str]:
    """A host that answers every request with this content, or with half of it and then silence."""
    enough = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            if stalls:
                enough.wait(30)
            else:
                self.wfile.write(content[len(content) // 2 :])

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/ml-100k.zip"
    finally:
        enough.set()
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_probe() -> None:
    with web_host(b"zip") as url:
        assert probe(url, 5) is None
    assert "refused" in str(probe(NOBODY, 5))
    assert probe("http://host.invalid/ml-100k.zip", 5) is not None
    assert probe("no url at all", 5) is not None


def test_the_probe_gives_up_in_time() -> None:
    with silent_host() as url:
        started = time.monotonic()
        assert probe(url, 0.5) is not None
        assert time.monotonic() - started < 2


def test_a_download(tmp_path: Path) -> None:
    content = b"archive" * 10_000
    target = tmp_path / "manual" / "ml-100k.zip"
    with web_host(content) as url:
        with pytest.raises(DataError, match=r"has SHA-256 [0-9a-f]{64}, expected 0000"):
            download(url, target, "0" * 64, 5)
        assert list(target.parent.iterdir()) == []
        download(url, target, hashlib.sha256(content).hexdigest(), 5)
    assert target.read_bytes() == content
    assert list(target.parent.iterdir()) == [target]


def test_a_download_that_stalls(tmp_path: Path) -> None:
    with web_host(b"archive" * 1000, stalls=True) as url, pytest.raises(DataError, match="timed out"):
        download(url, tmp_path / "ml-100k.zip", "0" * 64, 0.5)
    assert list(tmp_path.iterdir()) == []


def test_neither_source(tmp_path: Path) -> None:
    lines: list[str] = []
    with silent_host() as url, pytest.raises(DataError) as caught:
        load_movielens(data_dir=tmp_path, announce=lines.append, sources=Sources(url, probe_seconds=0.5))
    message = str(caught.value)
    assert "\n" not in message
    assert "neither from 127.0.0.1 (" in message
    assert "nor from the package index (pip download recbole==1.2.1: No matching distribution found" in message
    assert "TFDS_DATA_DIR" in message
    assert "--ratings FILE" in message
    assert lines == [
        "MovieLens 100K: 127.0.0.1 cannot be reached, rebuilding it from recbole==1.2.1 (package index)",
    ]
    assert [path.name for path in (tmp_path / "downloads").iterdir()] == ["movielens-100k.lock"]


@pytest.mark.parametrize(("name", "archive"), [("movielens/1m", "ml-1m.zip"), ("movielens/25m", "ml-25m.zip")])
def test_there_is_no_second_source_for_the_larger_ones(tmp_path: Path, name: str, archive: str) -> None:
    lines: list[str] = []
    with pytest.raises(DataError) as caught:
        load_movielens(name, data_dir=tmp_path, announce=lines.append, sources=Sources(NOBODY))
    assert str(caught.value) == (
        f"{SETS[name].title} cannot be fetched from 127.0.0.1 ([Errno 111] Connection refused): either download "
        f"{NOBODY} by hand and put it at {tmp_path}/downloads/manual/{archive}, or train on a file of your own with "
        "--ratings FILE"
    )
    assert lines == []


def test_a_wrong_archive_of_a_larger_one_is_not_used(tmp_path: Path) -> None:
    lines: list[str] = []
    with web_host(b"not the archive") as url, pytest.raises(DataError) as caught:
        load_movielens("movielens/1m", data_dir=tmp_path, announce=lines.append, sources=Sources(url))
    assert lines == ["MovieLens 1M: downloading from 127.0.0.1"]
    assert "\n" not in str(caught.value)
    assert f"{url} has SHA-256 " in str(caught.value)
    assert "expected a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20" in str(caught.value)
    archive = tmp_path / "downloads" / "manual" / "ml-1m.zip"
    assert not archive.exists()
    archive.write_bytes(b"put there by hand")
    with pytest.raises(DataError, match=r"manual/ml-1m\.zip has SHA-256"):
        load_movielens("movielens/1m", data_dir=tmp_path)


def test_where_the_larger_ones_come_from() -> None:
    with quiet_tfds() as tfds:
        urls = [MovielensBuilders(tfds, movielens_set).archive_url for movielens_set in SETS.values()]
    assert urls == [
        f"https://files.grouplens.org/datasets/movielens/ml-{size}.zip"
        for size in ("100k", "1m", "20m", "25m", "latest-small")
    ]


def test_a_wrong_archive_is_not_used(tmp_path: Path) -> None:
    lines: list[str] = []
    with (
        web_host(b"not the archive") as url,
        pytest.raises(DataError, match=r"neither from 127\.0\.0\.1 .* has SHA-256"),
    ):
        load_movielens(data_dir=tmp_path, announce=lines.append, sources=Sources(url))
    assert lines[0] == "MovieLens 100K: downloading from 127.0.0.1"
    archive = tmp_path / "downloads" / "manual" / "ml-100k.zip"
    assert not archive.exists()
    archive.write_bytes(b"put there by hand")
    with pytest.raises(DataError, match=r"manual/ml-100k\.zip has SHA-256"):
        load_movielens(data_dir=tmp_path)


def test_a_wrong_wheel_is_not_used(tmp_path: Path) -> None:
    index = tmp_path / "index"
    index.mkdir()
    with zipfile.ZipFile(index / WHEEL_NAME, "w") as wheel:
        info = "recbole-1.2.1.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: recbole\nVersion: 1.2.1\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    cache = tmp_path / "cache"
    options = ["--no-index", f"--find-links={index}"]
    with pytest.raises(DataError, match=f"{WHEEL_NAME} has SHA-256 [0-9a-f]+, expected {WHEEL_SHA256}"):
        fetch_wheel(cache, pip_options=options)
    assert list(cache.iterdir()) == []
    expected = hashlib.sha256((index / WHEEL_NAME).read_bytes()).hexdigest()
    assert fetch_wheel(cache, expected, options) == cache / WHEEL_NAME
    assert fetch_wheel(cache, expected) == cache / WHEEL_NAME  # from the cache: there is no index now


def test_the_command_fails_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = partial(load_movielens, data_dir=tmp_path, sources=Sources(NOBODY))
    monkeypatch.setattr(data_command, "load_movielens", nowhere)
    assert data_command.main() == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("MovieLens 100K cannot be fetched, ")
    assert printed.err.count("\n") == printed.out.count("\n") == 1


def test_damage_is_noticed(tmp_path: Path) -> None:
    with quiet_tfds() as tfds:
        prepared = MovielensBuilders(tfds, MOVIELENS_100K).root / "movielens"
    shutil.copytree(prepared, tmp_path / "movielens")
    (records,) = (tmp_path / "movielens" / "100k-ratings").glob("*/*tfrecord*")
    records.write_bytes(records.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"the prepared data set is damaged .*; delete this directory and retry"):
        load_movielens(data_dir=tmp_path)


def test_the_rebuilt_lines(tmp_path: Path) -> None:
    files = RecboleFiles(
        inter=b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n196\t242\t3\t881250949\n",
        item="i\tt\ty\tc\n1\tToy Story\t1995\tAnimation Children's Comedy\n267\tunkonwn\tunkonwn\tunknown\n"
        "543\tMisérables, Les\t1995\tDrama Musical\n1635\tTwo Friends\t1986\tDrama\n".encode(),
        user=b"user_id:token\tage:token\n1\t24\tM\ttechnician\t85711\n",
    )
    write_original_files(files, tmp_path / "ml-100k")
    assert (tmp_path / "ml-100k" / "u.data").read_bytes() == b"196\t242\t3\t881250949\n"
    assert (tmp_path / "ml-100k" / "u.user").read_bytes() == b"1|24|M|technician|85711\n"
    assert (tmp_path / "ml-100k" / "u.item").read_bytes().splitlines() == [
        b"1|Toy Story (1995)||||0|0|0|1|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0",
        b"267|unknown||||1|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0",
        b"543|Mis\xe9rables, Les (1995)||||0|0|0|0|0|0|0|0|1|0|0|0|1|0|0|0|0|0|0",
        b"1635|Two Friends (1986) ||||0|0|0|0|0|0|0|0|1|0|0|0|0|0|0|0|0|0|0",
    ]


@pytest.fixture
def wheel() -> Path:
    with quiet_tfds() as tfds:
        path = MovielensBuilders(tfds, MOVIELENS_100K).root / "downloads" / WHEEL_NAME
    if not path.is_file():
        pytest.skip(f"the data was not prepared from the wheel, so there is no {WHEEL_NAME} to rebuild it from")
    return path


def test_the_original_sizes(wheel: Path, tmp_path: Path) -> None:
    """u.data and u.user have the sizes that they have in GroupLens' archive."""
    write_original_files(read_wheel(wheel), tmp_path / "ml-100k")
    assert (tmp_path / "ml-100k" / "u.data").stat().st_size == 1_979_173
    assert (tmp_path / "ml-100k" / "u.user").stat().st_size == 22_628


@pytest.mark.reliability
def test_killed_then_prepared_by_two_processes_at_once(wheel: Path, tmp_path: Path) -> None:
    (tmp_path / "downloads").mkdir()
    shutil.copy(wheel, tmp_path / "downloads")
    code = f"""if True:
        from pathlib import Path
        from rankserve_training.data import load_movielens
        from rankserve_training.data.movielens_sources import Sources
        data = load_movielens(data_dir=Path({str(tmp_path)!r}), announce=print, sources=Sources({NOBODY!r}))
        print(data.source)
    """
    command = [sys.executable, "-c", code]

    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as killed:
        deadline = time.monotonic() + 240
        while not list(tmp_path.glob("movielens/100k-ratings/incomplete*/*")):
            assert killed.poll() is None, "it was over before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        killed.send_signal(signal.SIGKILL)
    with quiet_tfds() as tfds:
        assert not MovielensBuilders(tfds, MOVIELENS_100K, tmp_path).is_prepared

    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = sorted(process.communicate(timeout=120) for process in both)
    assert [process.returncode for process in both] == [0, 0]
    announced = "MovieLens 100K: 127.0.0.1 cannot be reached, rebuilding it from recbole==1.2.1 (package index)\n"
    loaded = "TFDS, rebuilt from recbole==1.2.1\n"
    # One of them did it, the other waited and read.
    assert outputs == sorted([(announced + loaded, ""), (loaded, "")])

    found = load_movielens(data_dir=tmp_path)
    usual = load_movielens()
    assert found.ratings.fingerprint() == usual.ratings.fingerprint()
    assert found.ratings.user_ids.tolist() == usual.ratings.user_ids.tolist()
    assert found.ratings.item_ids.tolist() == usual.ratings.item_ids.tolist()
    assert (found.items.titles, found.items.genres) == (usual.items.titles, usual.items.genres)
    assert found.users.features == usual.users.features
