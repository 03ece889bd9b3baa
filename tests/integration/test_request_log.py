"""A request log outlives its server, and is warm-up, load and evidence for others."""

import json
import math
import signal
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import grpc
import numpy as np
import pytest
from click.testing import CliRunner

from integration import open_inference, tf_serving
from integration.command_forks import run_forked
from integration.server_process import ServerProcess, running_server
from rankserve_client import RankingClient, RankQuery, RankServeError
from rankserve_client.bench.command import bench
from rankserve_training.cli.evaluate import evaluate
from server.two_towers import Published

RANKINGS = 12
# Two users of each.
OTHERS = ["inference.GRPCInferenceService/ModelInfer", "tensorflow.serving.PredictionService/Predict"] * 2
USERS = [3, 6, 9]
CANDIDATES = [5 * number for number in range(1, 21)]


@pytest.fixture(scope="module")
def log(towers: Published, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a server leaves that is killed while it answers, after some rankings that are known to be there."""
    directory = tmp_path_factory.mktemp("killed")
    path = directory / "requests.jsonl"
    flags = ("--models-dir", str(towers.models_dir), "--port", "0", "--request-log", str(path))
    server = ServerProcess(*flags, "--request-log-sample", "1", errors=directory / "errors", forked=True)
    try:
        server.wait_until_ready()
        with RankingClient(server.address) as client, grpc.insecure_channel(server.address) as channel:
            for number in range(RANKINGS):
                client.rank(USERS[number % len(USERS)], CANDIDATES[number % 5 :])
            users, items = np.array(USERS[:2]).repeat(10), np.array(CANDIDATES)
            open_inference.method(channel, "ModelInfer")(open_inference.infer_request(users, items))
            tf_serving.method(channel, "Predict")(tf_serving.predict_request(users, items))
            _wait_for_lines(path, RANKINGS + len(OTHERS))
            sending = threading.Thread(target=_rank_until_it_fails, args=(client,))
            sending.start()
            _wait_for_lines(path, 10 * RANKINGS)
            server.signal(signal.SIGKILL)
            sending.join()
    finally:
        server.close()
    return path


@pytest.fixture(scope="module")
def warmed(log: Path, towers: Published, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Another server, warmed up with a log that has some bad lines too."""
    directory = tmp_path_factory.mktemp("warmed")
    damaged = directory / "damaged.jsonl"
    beyond = {"request": {"user_id": 3, "candidate_ids": [5], "top_k": 1_000_000}}
    bad = [b'{"torn', b"[]", b'{"request": {"user": 3}}', json.dumps(beyond).encode()]
    damaged.write_bytes(b"\n".join([*bad, *log.read_bytes().splitlines()]))
    with running_server(
        towers.models_dir, directory / "errors", "--warmup", str(damaged), "--warmup-requests", "25"
    ) as server:
        yield server


def run(*arguments: str | Path) -> None:
    done = run_forked(*map(str, arguments), timeout=120)
    assert done.returncode == 0, done.stderr


def refused(command: click.Command, *arguments: str | Path, exit_code: int) -> str:
    """The last line of a command that fails."""
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert result.exit_code == exit_code, result.output
    return result.stderr.splitlines()[-1]


def test_of_a_server_that_is_killed_at_most_the_last_line_is_torn(log: Path) -> None:
    *whole, last = log.read_bytes().splitlines(keepends=True)
    assert len(whole) >= 10 * RANKINGS - 1
    entries = [json.loads(line) for line in whole]
    assert all(entry["response"]["item_ids"] for entry in entries)
    methods = [entry["method"] for entry in entries[: RANKINGS + len(OTHERS)]]
    assert sorted(methods) == sorted(["rankserve.v1.RankingService/Rank"] * RANKINGS + OTHERS)
    assert last.endswith(b"\n") or not _is_json(last)


def test_a_version_is_warmed_up_and_bad_lines_are_named(warmed: ServerProcess) -> None:
    said = warmed.errors
    assert "damaged.jsonl:1: it is no JSON object with a `request`" in said
    assert "damaged.jsonl:2: it is no JSON object with a `request`" in said
    assert "damaged.jsonl:3: its `request` is no RankRequest: Message type" in said
    assert "towers/1 answered 24 requests of" in said
    assert "before it serves; 1 others it cannot answer, and 3 lines are no requests." in said


def test_it_is_load(warmed: ServerProcess, log: Path, tmp_path: Path) -> None:
    result = tmp_path / "bench.json"
    run("bench", "--replay", log, "--speed", "10", "--server", warmed.address, "--warm-up", "0", "--json", result)
    found = json.loads(result.read_text())
    whole = sum(_is_json(line) for line in log.read_bytes().splitlines())
    assert (found["counts"]["answered"], found["counts"]["failed"], found["counts"]["wrong"]) == (whole, 0, 0)
    assert found["settings"]["replay"] == str(log)


def test_it_is_evidence(log: Path, tmp_path: Path) -> None:
    given = {(user, item): 1.0 + (7 * user + item // 5) % 5 for user in USERS for item in CANDIDATES[::3]}
    outcomes = tmp_path / "outcomes.csv"
    rows = [f"{user},{item},{rating}" for (user, item), rating in {**given, (9_999, 5): 3.0}.items()]
    outcomes.write_text("\n".join(["userId,movieId,rating", *rows]))
    run("evaluate", "--log", log, "--ratings", outcomes, "--json", tmp_path / "evaluation.json")
    found = json.loads((tmp_path / "evaluation.json").read_text())
    (version,) = found["versions"]
    entries = [json.loads(line) for line in log.read_bytes().splitlines() if _is_json(line)]
    errors, gains = [], []
    for entry in entries:
        user, response = entry["request"]["user_id"], entry["response"]
        scored = zip(response["item_ids"], response["scores"], strict=True)
        rated = [(given[user, item], score) for item, score in scored if (user, item) in given]
        errors += [(score - rating) ** 2 for rating, score in rated]
        rated.sort(key=lambda each: -each[1])  # those of other protocols are as sent
        gains.append(_ndcg([rating for rating, _ in rated]))
    assert (version["name"], version["version"], version["rankings"]) == ("towers", 1, len(entries))
    assert version["rows"] == len(errors)
    measures = version["measures"]
    assert measures["rmse"]["value"] == pytest.approx(math.sqrt(statistics.fmean(errors)), rel=1e-6)
    assert measures["ndcg_at_10"]["value"] == pytest.approx(statistics.fmean(gains), rel=1e-6)
    assert measures["ndcg_at_10"]["low"] <= measures["ndcg_at_10"]["value"] <= measures["ndcg_at_10"]["high"]


def test_what_does_not_fit_together_is_said_in_one_line(log: Path, tmp_path: Path) -> None:
    strangers, nothing = tmp_path / "strangers.csv", tmp_path / "nothing.jsonl"
    strangers.write_text("userId,movieId,rating\n1,1,3\n")
    nothing.write_text("{}\n")
    said = refused(evaluate, "--log", log, "--ratings", strangers, exit_code=1)
    assert said.startswith(f"Error: no user has rated anything in {strangers} that was ranked for him in these ")
    said = refused(evaluate, "--log", nothing, "--ratings", strangers, exit_code=1)
    assert said == f"Error: {nothing} holds no ranking: none of its 1 lines is one that `serve --request-log` writes"
    said = refused(evaluate, "--log", log, exit_code=2)
    assert said == "Error: --log needs --ratings: what was rated since"
    said = refused(evaluate, "--log", log, "--model", "models/shop", exit_code=2)
    assert said == "Error: --log says which models have ranked: it excludes --model and --preset"


def test_a_replay_that_cannot_be_is_said_in_one_line(log: Path, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.jsonl"
    nothing.write_text("{}\n")
    said = refused(bench, "--replay", nothing, exit_code=1)
    assert said == f"Error: {nothing} holds no request: none of its 1 lines is one"
    said = refused(bench, "--replay", log, "--users", "1-2", exit_code=2)
    assert said == "Error: --users is for random requests: it excludes --replay."
    assert refused(bench, "--speed", "2", exit_code=2) == "Error: --speed goes with --replay."
    said = refused(bench, "--replay", log, "--speed", "2", "--rate", "5", exit_code=2)
    assert said == "Error: --speed keeps the recorded times: it excludes --rate and --concurrency."


def _rank_until_it_fails(client: RankingClient) -> None:
    with suppress(RankServeError):
        while True:
            client.rank_batch([RankQuery(user, CANDIDATES) for user in USERS])


def _wait_for_lines(path: Path, count: int) -> None:
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        time.sleep(0.02)


def _is_json(line: bytes) -> bool:
    try:
        found: Any = json.loads(line)
    except ValueError:
        return False
    return isinstance(found, dict)


def _ndcg(ratings: list[float]) -> float:
    """Of the ratings in the order of a ranking, by the definition."""

    def dcg(ordered: list[float]) -> float:
        return sum((2**rating - 1) / math.log2(place + 1) for place, rating in enumerate(ordered[:10], start=1))

    return dcg(ratings) / dcg(sorted(ratings, reverse=True))
