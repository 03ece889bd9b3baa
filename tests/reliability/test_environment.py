"""A machine that misbehaves: clocks that jump, nowhere to write to, no memory."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from conftest import StartServer
from integration.raw_connection import DATA, END_STREAM, RawConnection, frame, headers_of, message, messages_of
from integration.server_process import RANKSERVE, ServerProcess, free_port
from rankserve.v1 import ranking_pb2, ranking_pb2_grpc
from reliability.wall_clock import WallClock
from server.tower_answers import assert_answers
from server.two_towers import Published

REQUEST = ranking_pb2.RankRequest(user_id=3, candidate_ids=[5, 10, 15])
DEADLINE_EXCEEDED, CANCELLED = 4, 1
# From the true time.
JUMPS = ["+6h", "-6h", "+8760h", "+0"]


@pytest.mark.reliability
@pytest.mark.parametrize("transport", ["direct", "aio"])
def test_a_wall_clock_that_jumps_changes_no_deadline(
    start_server: StartServer, published: Published, tmp_path: Path, transport: str
) -> None:
    """By hours and a year, forwards and backwards: with calls in flight, before them, and as the server stops."""
    clock = WallClock(tmp_path / "clock")
    server = start_server("--transport", transport, env=clock.env()).wait_until_ready()
    body = message(REQUEST.SerializeToString())
    with RawConnection(server.address) as connection, grpc.insecure_channel(server.address) as channel:
        stub = ranking_pb2_grpc.RankingServiceStub(channel)
        for jump in JUMPS:
            # The clock moves between the deadline's arrival and the request's.
            open_calls = [connection.open(headers_of(method, "20S")) for method in ("Rank", "RankStream")]
            short_call = connection.open(headers_of("Rank", "400m"))
            connection.flush()
            _answer(server, published)
            clock.set(jump)
            for stream in open_calls:
                connection.queue(frame(DATA, END_STREAM, stream, body))
            answers = _over(connection, {*open_calls, short_call})
            for stream in open_calls:
                assert answers[stream][0] == 0, f"{jump}: status {answers[stream][0]} in flight"
                (content,) = messages_of(answers[stream][1])
                assert_answers(REQUEST, ranking_pb2.RankResponse.FromString(content), published.towers)
            assert answers[short_call][0] in (DEADLINE_EXCEEDED, CANCELLED, -1), f"{jump}: its deadline has gone"
            for _ in range(50):
                assert_answers(REQUEST, stub.Rank(REQUEST, timeout=5), published.towers)
            assert len(list(stub.RankStream(iter([REQUEST] * 20), timeout=5))) == 20
        clock.set("-6h")
        started = time.monotonic()
        ended = server.stop()
    assert time.monotonic() - started < 10
    assert ended.code == 0, ended.errors
    assert "in flight" not in ended.errors


def _over(connection: RawConnection, streams: set[int]) -> dict[int, tuple[int, bytes]]:
    """Statuses and bodies, once all of these calls are over."""
    over: dict[int, tuple[int, bytes]] = {}
    while streams - over.keys():
        connection.flush()
        over |= {stream: (answer.status, answer.body) for stream, answer in connection.receive()}
    return over


def test_a_server_that_can_write_nowhere_serves_and_stops_well(published: Published, read_only: Path) -> None:
    """Models, home and the place for temporary files are read-only, the log is full, nobody reads its stdout."""
    process, address = _start_without_output(read_only)
    try:
        with grpc.insecure_channel(address) as channel:
            stub = ranking_pb2_grpc.RankingServiceStub(channel)
            assert_answers(REQUEST, _answer_once_it_has_loaded(stub), published.towers)
            # This one is logged, or would be.
            with pytest.raises(grpc.RpcError):
                stub.Rank(ranking_pb2.RankRequest(), timeout=10)
        assert process.poll() is None
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def read_only(published: Published, tmp_path: Path) -> Iterator[Path]:
    """A MODELS_DIR on a disk that cannot be written; where none can be mounted, one whose directories say so."""
    place = tmp_path / "read-only"
    place.mkdir()
    with _mounted(place) as mounted:
        subprocess.run(["cp", "-r", f"{published.models_dir}/.", place], check=True)
        if mounted:
            subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        else:
            for path in (place, *place.rglob("*")):
                path.chmod(0o555)
        yield place


@contextmanager
def _mounted(place: Path) -> Iterator[bool]:
    """A small disk there, if this process may mount one."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", place], check=True)


def _start_without_output(read_only: Path) -> tuple[subprocess.Popen[bytes], str]:
    """A server whose stdout is a pipe that nobody has open any more, and whose stderr is a device that is full."""
    port = free_port()
    reader, writer = os.pipe()
    os.close(reader)
    with Path("/dev/full").open("wb") as full:
        process = subprocess.Popen(
            [RANKSERVE, "serve", "--models-dir", str(read_only), "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=full,
            env=os.environ | {"HOME": str(read_only), "TMPDIR": str(read_only)},
        )
    os.close(writer)
    return process, f"127.0.0.1:{port}"


def test_a_ready_line_that_cannot_be_written_is_no_failure() -> None:
    """A supervisor writes it, too. Neither when it is written nor when the process ends."""
    code = "from rankserve_server.starting import READY, print_ready; print_ready(READY)"
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        0,
        "The ready line cannot be written to stdout: No space left on device.\n",
    )


def _answer_once_it_has_loaded(stub: ranking_pb2_grpc.RankingServiceStub) -> ranking_pb2.RankResponse:
    until = time.monotonic() + 60
    while True:
        try:
            return stub.Rank(REQUEST, timeout=60, wait_for_ready=True)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE or time.monotonic() > until:
                raise
        time.sleep(0.1)


def _answer(server: ServerProcess, published: Published) -> None:
    with grpc.insecure_channel(server.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        answer = ranking_pb2_grpc.RankingServiceStub(channel).Rank(REQUEST, timeout=10)
    assert_answers(REQUEST, answer, published.towers)
