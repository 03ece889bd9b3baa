"""Whoever is told of calls, and however slow: calls go on, and a server ends."""

import json
import os
import socket
import threading
from pathlib import Path

import grpc
import pytest

from integration.collector import collecting
from rankserve.v1 import models_pb2, ranking_pb2
from rankserve_server.observing.observing_config import ObservingConfig
from server.service.conftest import Serve

REQUEST = ranking_pb2.RankRequest(user_id=2, candidate_ids=[1, 4])


async def test_a_collector_that_never_answers_holds_up_nobody(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        to = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with serve(observing=ObservingConfig(trace_to=to)) as server:
            for _ in range(50):
                response = await server.ranking.Rank(REQUEST, timeout=10)
                assert len(response.item_ids) == 2
            await server.stopped()
    # It was given up, and not waited for until it gives up itself.
    assert "The collector of spans does not answer; the last ones are lost." in caplog.messages
    # The thread that waits for the collector is a daemon, and is the last one.
    assert not [t for t in threading.enumerate() if t.name == "rankserve-observer"]


async def test_a_file_that_takes_nothing_holds_up_nobody(serve: Serve, tmp_path: Path) -> None:
    full = Path("/dev/full")
    async with serve(
        observing=ObservingConfig(access_log=full, request_log=tmp_path / "log", request_log_sample=1.0)
    ) as server:
        for _ in range(20):
            await server.ranking.Rank(REQUEST, timeout=10)
    assert len((tmp_path / "log").read_text().splitlines()) == 20


async def test_a_reader_of_a_pipe_who_sleeps_holds_up_nobody(serve: Serve, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        async with serve(observing=ObservingConfig(access_log=pipe)) as server:
            # 64 KiB fit into a pipe, and a line has 250 bytes.
            for _ in range(600):
                await server.ranking.Rank(REQUEST, timeout=10)
            assert await server.stopped() < 15
        assert os.read(reader, 100).startswith(b'{"time":')
    finally:
        os.close(reader)


async def test_failures_are_logged_whatever_the_sample(serve: Serve, tmp_path: Path) -> None:
    log = tmp_path / "access.jsonl"
    async with serve(observing=ObservingConfig(access_log=log, access_log_sample=0.0)) as server:
        await server.ranking.Rank(REQUEST, timeout=10)
        with pytest.raises(grpc.aio.AioRpcError):
            await server.ranking.Rank(ranking_pb2.RankRequest(user_id=1), timeout=10)
        unnamed = models_pb2.GetModelRequest(model=ranking_pb2.ModelSelector(name="nobody"))
        with pytest.raises(grpc.aio.AioRpcError):
            await server.models.GetModel(unnamed, timeout=10)
        nothing: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = server.channel.unary_unary("/no.Such/Method")
        with pytest.raises(grpc.aio.AioRpcError):
            await nothing(b"", timeout=10)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    # A call that a thread answers may be noted after the next one.
    assert sorted((line["method"].rpartition("/")[2], line["code"]) for line in lines) == [
        ("GetModel", "NOT_FOUND"),
        ("Method", "UNIMPLEMENTED"),
        ("Rank", "INVALID_ARGUMENT"),
    ]


async def test_the_id_of_a_failure_of_our_own_is_in_the_log(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(observing=ObservingConfig(access_log=tmp_path / "access.jsonl")) as server:
        server.engine.poisoned = {1}
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await server.ranking.Rank(REQUEST, timeout=10, metadata=(("x-request-id", "find-me"),))
    assert raised.value.code() is grpc.StatusCode.INTERNAL
    assert "A request failed (find-me)." in [record.getMessage() for record in caplog.records]


async def test_a_server_that_stops_sends_its_last_spans(serve: Serve) -> None:
    with collecting() as collector:
        async with serve(observing=ObservingConfig(trace_to=f"http://{collector.address}")) as server:
            await server.ranking.Rank(REQUEST, timeout=10)
        assert [span for span in collector.spans if span.kind == "SPAN_KIND_SERVER"]
