"""A disk that takes a tenth of a second for each file: versions take long, callers do not."""

import os
import time
from pathlib import Path

import grpc
import pytest

from conftest import StartServer
from integration.versions import copy_version
from rankserve.v1 import ranking_pb2, ranking_pb2_grpc
from server.tower_answers import assert_answers
from server.two_towers import Published

SECONDS = 0.1
# The process that serves opens each of the eight files of a version too: who waited for that would wait longer.
LONGEST_ANSWER_SECONDS = 0.7
REQUEST = ranking_pb2.RankRequest(user_id=3, candidate_ids=[5, 10, 15])


@pytest.mark.reliability
@pytest.mark.parametrize("transport", ["direct", "aio"])
def test_nobody_waits_for_a_slow_disk(
    start_server: StartServer, published: Published, models: Path, transport: str
) -> None:
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent / "slow_disk"), os.environ.get("PYTHONPATH", "")]),
        "SLOW_DIRECTORY": str(models),
        "SLOW_SECONDS": str(SECONDS),
    }
    flags = ("--transport", transport, "--watch-seconds", "0.2")
    server = start_server(*flags, models=models, env=env).wait_until_ready()
    with grpc.insecure_channel(server.address) as channel:
        stub = ranking_pb2_grpc.RankingServiceStub(channel)
        copy_version(published.directory, models, "towers", 2)
        started = time.monotonic()
        answers, slowest, version = 0, 0.0, 1
        while version == 1:
            before = time.monotonic()
            answer = stub.Rank(REQUEST, timeout=30)
            slowest = max(slowest, time.monotonic() - before)
            assert_answers(REQUEST, answer, published.towers)
            answers, version = answers + 1, answer.model_version
            time.sleep(0.002)
            assert before - started < 120, server.errors
    took = time.monotonic() - started
    print(f"\n{transport}: a version in {took:.1f} s, {answers} answers meanwhile, the slowest in {slowest:.2f} s")
    assert took > 2 * LONGEST_ANSWER_SECONDS, "the disk was not slow"
    assert slowest < LONGEST_ANSWER_SECONDS
    ended = server.stop()
    assert (ended.code, ended.errors.count("Traceback")) == (0, 0), ended.errors
