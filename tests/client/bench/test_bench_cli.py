"""`rankserve bench` as a user starts it, against a scripted server."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import pytest

from client.scripted_server import RefusedError, ScriptedServer, echo
from integration.command_forks import run_forked
from rankserve.v1 import models_pb2, ranking_pb2

RANKSERVE = str(Path(sys.executable).with_name("rankserve"))
QUICK = ("--candidates", "10", "--warm-up", "0")


def model(**changes: Any) -> models_pb2.Model:
    arguments: dict[str, Any] = {"name": "scripted", "version": 3, "user_count": 50, "item_count": 40}
    return models_pb2.Model(**arguments | changes)


@pytest.fixture
def movies(server: ScriptedServer) -> ScriptedServer:
    """A server with a model."""
    server.models = [model()]
    return server


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "RANKSERVE_SERVER"}


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return run_forked("bench", *arguments, env=environment())


def rank_requests(server: ScriptedServer) -> list[ranking_pb2.RankRequest]:
    return [request for request in server.requests if isinstance(request, ranking_pb2.RankRequest)]


def row(output: str, name: str) -> list[str]:
    (line,) = [line for line in output.splitlines() if line.startswith(name)]
    return line.removeprefix(name).split()


def test_a_closed_loop_in_two_processes(movies: ScriptedServer, tmp_path: Path) -> None:
    files = ("--json", str(tmp_path / "run.json"), "--plot", str(tmp_path / "run.png"))
    process = run(
        "--server", movies.target, "--processes", "2", "--concurrency", "4", "--requests", "60", *QUICK, *files
    )
    assert (process.returncode, process.stderr) == (0, "")
    assert row(process.stdout, "answered")[0] == "60"
    assert row(process.stdout, "wrong answers") == ["0"]
    assert row(process.stdout, "latency") == ["min", "p50", "p90", "p99", "p99.9", "max"]
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")
    document = json.loads((tmp_path / "run.json").read_text())
    assert document["model"] == {"name": "scripted", "version": 3}
    assert document["counts"]["sent"] == document["counts"]["answered"] == 60
    assert len(document["generator"]["cpu_shares"]) == 2
    assert document["settings"]["concurrency"] == 4
    requests = rank_requests(movies)
    assert len(requests) == 62, "60 and one to open each connection"
    assert {request.user_id for request in requests} <= set(range(1, 51))
    assert {item for request in requests for item in request.candidate_ids} == set(range(1, 41))
    help_text = run("--help").stdout
    assert all(key in help_text for key in keys(document))


def keys(document: Any) -> set[str]:
    if isinstance(document, list):
        return set().union(*map(keys, document))
    if isinstance(document, dict):
        return {*document, *itertools.chain.from_iterable(map(keys, document.values()))}
    return set()


def test_an_open_loop_with_every_option(movies: ScriptedServer, tmp_path: Path) -> None:
    movies.answer = lambda request: ranking_pb2.RankResponse(
        item_ids=request.candidate_ids[: request.top_k],
        scores=[3.5] * min(request.top_k, len(request.candidate_ids)),
        user_known=True,
        model_name="scripted",
        model_version=3,
    )
    arguments = "--rate 100 --duration 1 --candidates 3:1,5-9:2 --warm-up 0.2 --connections 2 --max-outstanding 50"
    of_requests = "--users 7-8 --items 100-120 --top-k 4 --model scripted --version 3 --timeout 5 --seed 1"
    file = tmp_path / "run.json"
    process = run("--server", movies.target, *arguments.split(), *of_requests.split(), "--json", str(file))
    assert (process.returncode, process.stderr) == (0, "")
    assert "asked: 100.0 per second" in process.stdout
    document = json.loads(file.read_text())
    assert document["counts"]["sent"] == pytest.approx(100, abs=40)
    assert document["seconds"] == 1.0
    assert document["rates"]["asked"] == 100.0
    assert document["generator"]["lateness_ms"]["p50"] < 100
    assert document["answered_by"] == [{"name": "scripted", "version": 3, "answers": document["counts"]["answered"]}]
    for request in rank_requests(movies):
        assert request.user_id in (7, 8)
        assert set(request.candidate_ids) <= set(range(100, 121))
        assert len(request.candidate_ids) in (3, 5, 6, 7, 8, 9)
        assert request.top_k == 4
        assert (request.model.name, request.model.version) == ("scripted", 3)


def test_wrong_answers_make_it_fail(movies: ScriptedServer) -> None:
    movies.answer = lambda request: ranking_pb2.RankResponse(
        item_ids=request.candidate_ids, scores=range(len(request.candidate_ids)), user_known=True
    )
    process = run("--server", movies.target, "--requests", "20", *QUICK)
    assert (process.returncode, process.stderr) == (1, "Error: 20 of 20 answers were wrong\n")
    assert row(process.stdout, "wrong answers") == ["20", "order", "20"]


def test_a_server_that_refuses_everything_makes_it_fail(movies: ScriptedServer) -> None:
    def refuse(_: ranking_pb2.RankRequest) -> ranking_pb2.RankResponse:
        raise RefusedError(grpc.StatusCode.RESOURCE_EXHAUSTED, "the queue is full")

    movies.answer = refuse
    process = run("--server", movies.target, "--requests", "20", *QUICK)
    assert (process.returncode, process.stderr) == (1, "Error: none of 20 requests was answered\n")
    assert row(process.stdout, "  RESOURCE_EXHAUSTED") == ["20", "the", "queue", "is", "full"]


def test_some_failures_are_only_reported(movies: ScriptedServer) -> None:
    numbers = itertools.count()

    def refuse_one(request: ranking_pb2.RankRequest) -> ranking_pb2.RankResponse:
        if next(numbers) == 5:
            raise RefusedError(grpc.StatusCode.UNAVAILABLE, "draining")
        return echo(request)

    movies.answer = refuse_one
    process = run("--server", movies.target, "--requests", "20", *QUICK)
    assert (process.returncode, process.stderr) == (0, "")
    assert row(process.stdout, "  UNAVAILABLE") == ["1", "draining"]


def test_no_server_is_one_helpful_line() -> None:
    process = run("--server", "127.0.0.1:1")
    assert (process.returncode, process.stdout) == (1, "")
    assert process.stderr == "Error: no server answers at 127.0.0.1:1; start one with: rankserve serve\n"


def test_no_model_is_one_line(server: ScriptedServer) -> None:
    process = run("--server", server.target)
    assert (process.returncode, process.stdout, process.stderr) == (1, "", "Error: no models\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--rate 5 --concurrency 5", "exclude each other"),
        ("--candidates x", "'x' is none of"),
        ("--users 9-5", "5 is below 9"),
        ("--items x", "neither LOW-HIGH nor an id"),
        ("--duration 0", "--duration"),
        ("--rate 0", "--rate"),
        ("--concurrency 2 --processes 3", "--concurrency is shared by the processes"),
        ("--connections 2 --processes 3", "--connections is shared by the processes"),
        ("--json no/such/directory/run.json", "there is no directory"),
        ("--plot .", "is a directory"),
        ("--server nonsense", "--server"),
    ],
)
def test_a_wrong_command_line_is_a_usage_error(arguments: str, words: str) -> None:
    process = run(*arguments.split())
    assert (process.returncode, process.stdout) == (2, "")
    assert words in process.stderr
    assert "Traceback" not in process.stderr


def test_more_candidates_than_items_are_a_usage_error(movies: ScriptedServer) -> None:
    process = run("--server", movies.target, "--candidates", "41")
    assert process.returncode == 2
    assert "41 distinct candidates cannot be chosen from the 40 items 1-40" in process.stderr


def test_a_model_of_unknown_size_needs_ids(movies: ScriptedServer) -> None:
    movies.models = [model(item_count=0)]
    process = run("--server", movies.target)
    assert process.returncode == 2
    assert "give --items" in process.stderr
    assert run("--server", movies.target, "--items", "1-40", "--requests", "5", *QUICK).returncode == 0


def without(module: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    code = f"import sys; sys.modules[{module!r}] = None; from rankserve_client.cli import main; main()"
    command = [sys.executable, "-c", code, "bench", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=60, check=False)


@pytest.mark.parametrize(("module", "arguments"), [("hdrh", ()), ("matplotlib", ("--plot", "run.png"))])
def test_a_missing_extra_is_one_line(module: str, arguments: tuple[str, ...]) -> None:
    process = without(module, *arguments)
    assert (process.returncode, process.stdout) == (1, "")
    assert process.stderr == "Error: rankserve bench needs the bench extra: pip install 'rankserve[bench]'\n"


def test_help_and_a_run_without_a_plot_need_less(movies: ScriptedServer) -> None:
    assert without("hdrh", "--help").returncode == 0
    process = without("matplotlib", "--server", movies.target, "--requests", "5", *QUICK)
    assert (process.returncode, process.stderr) == (0, "")


def test_ctrl_c_ends_all_processes(movies: ScriptedServer) -> None:
    command = [RANKSERVE, "bench", "--server", movies.target, "--processes", "2", "--duration", "50", *QUICK]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, env=environment()
    ) as process:
        give_up = time.monotonic() + 20
        while len(movies.requests) < 50 and time.monotonic() < give_up:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        output, errors = process.communicate(timeout=20)
    assert (process.returncode, output, errors) == (1, "", "Error: interrupted\n")
    give_up = time.monotonic() + 10
    while is_alive(process.pid) and time.monotonic() < give_up:  # Python's own resource tracker ends a little later
        time.sleep(0.05)
    assert not is_alive(process.pid)


def is_alive(process_group: int) -> bool:
    try:
        os.killpg(process_group, 0)
    except ProcessLookupError:
        return False
    return True
