"""What real servers count, as a scrape shows it."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from conftest import StartServer
from integration.command_forks import run_forked
from integration.scraping import Scrape, metrics_url, scrape, scrape_until
from integration.server_process import ServerProcess, free_port, running_server
from integration.tower_versions import add, lose_a_file, promise_other_scores, truncate
from rankserve_client import InvalidRequest, ModelNotFound, RankingClient, RankQuery, RollBack, SetAlias, SetShadow
from server.two_towers import Published

RANKING = "rankserve.v1.RankingService"
METRICS = ("--metrics-port", "0")
ITEMS = [5, 10, 15, 20, 25]
USER, STRANGER, UNKNOWN_ITEM = 3, 1, 7


@pytest.fixture(scope="module", params=["direct", "aio"])
def counting(
    request: pytest.FixtureRequest, towers: Published, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    errors = tmp_path_factory.mktemp("counting") / "errors"
    with running_server(towers.models_dir, errors, "--transport", request.param, *METRICS) as server:
        yield server


def handled(found: Scrape, method: str, code: str) -> float:
    return found.value("grpc_server_handled_total", grpc_method=method, grpc_code=code)


def call(server: ServerProcess, method: str, message: bytes = b"") -> grpc.StatusCode:
    """The status of a call of whatever method."""
    with grpc.insecure_channel(server.address) as channel:
        unary: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)
        try:
            unary(message, timeout=10)
        except grpc.RpcError as error:
            status: grpc.StatusCode = error.code()
            return status
    return grpc.StatusCode.OK


def test_calls_are_counted_by_method_and_code(counting: ServerProcess) -> None:
    before = scrape(counting)
    with RankingClient(counting.address) as client:
        for _ in range(3):
            client.rank(USER, ITEMS)
        for _ in range(2):
            with pytest.raises(InvalidRequest):
                client.rank(USER, [UNKNOWN_ITEM], unknown_items="reject")
        client.rank_batch([RankQuery(USER, ITEMS), RankQuery(USER, ITEMS)])
        assert len(list(client.rank_stream(RankQuery(USER, ITEMS) for _ in range(4)))) == 4
        client.models()
        with pytest.raises(ModelNotFound):
            client.model("nobody")
    with grpc.insecure_channel(counting.address) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        health.Check(health_pb2.HealthCheckRequest(), timeout=10)
        watch = health.Watch(health_pb2.HealthCheckRequest(), timeout=10)
        next(watch)
        watch.cancel()
    unread = call(counting, "/rankserve.v1.ModelService/GetModel", b"\xff")
    assert unread is grpc.StatusCode.INVALID_ARGUMENT
    expected: dict[tuple[str, str], int] = {
        ("Rank", "OK"): 3,
        ("Rank", "INVALID_ARGUMENT"): 2,
        ("BatchRank", "OK"): 1,
        ("RankStream", "OK"): 1,
        ("ListModels", "OK"): 1,
        ("Check", "OK"): 1,
        ("Watch", "CANCELLED"): 1,
        ("GetModel", unread.name): 1,
        ("GetModel", "NOT_FOUND"): 1,
    }
    after = scrape_until(
        counting, lambda found: all(handled(found, *key) - handled(before, *key) == n for key, n in expected.items())
    )
    for method, received, sent in (("Rank", 5, 3), ("BatchRank", 1, 1), ("RankStream", 4, 4), ("Watch", 1, 1)):
        for name, count in (("received", received), ("sent", sent)):
            counter = f"grpc_server_msg_{name}_total"
            assert after.value(counter, grpc_method=method) - before.value(counter, grpc_method=method) == count, method
    for method in ("Rank", "BatchRank", "RankStream", "ListModels", "Check", "Watch"):
        ended = after.value("grpc_server_handled_total", grpc_method=method)
        assert after.value("grpc_server_started_total", grpc_method=method) == ended
        assert after.value("grpc_server_handling_seconds_count", grpc_method=method) == ended
        assert after.value("grpc_server_handling_seconds_bucket", grpc_method=method, le="+Inf") == ended
        assert after.value("grpc_server_handling_seconds_sum", grpc_method=method) > 0


def test_calls_of_other_protocols_are_counted_too(counting: ServerProcess) -> None:
    before = scrape(counting)
    calls = {
        "/inference.GRPCInferenceService/ServerLive": grpc.StatusCode.OK,
        "/inference.GRPCInferenceService/RepositoryIndex": grpc.StatusCode.OK,
        "/inference.GRPCInferenceService/ModelInfer": grpc.StatusCode.INVALID_ARGUMENT,
        "/tensorflow.serving.PredictionService/Predict": grpc.StatusCode.INVALID_ARGUMENT,
        "/tensorflow.serving.ModelService/GetModelStatus": grpc.StatusCode.OK,
    }
    assert {method: call(counting, method, b"") for method in calls} == calls
    ended = [(method.rpartition("/")[2], code.name) for method, code in calls.items()]
    scrape_until(counting, lambda found: all(handled(found, *key) - handled(before, *key) == 1 for key in ended))


def test_callers_make_no_labels(counting: ServerProcess) -> None:
    before = scrape(counting)
    for number in range(20):
        assert call(counting, f"/made.up{number}/Method{number}") is grpc.StatusCode.UNIMPLEMENTED
    assert call(counting, f"/{RANKING}/Nothing") is grpc.StatusCode.UNIMPLEMENTED
    with RankingClient(counting.address) as client:
        for number in range(5):
            with pytest.raises(Exception, match="alias"):
                client.rank(USER, ITEMS, alias=f"made-up-{number}")
            with pytest.raises(Exception, match="not served"):
                client.rank(USER, ITEMS, model=f"made-up-{number}")

    def unknown(found: Scrape) -> float:
        return found.value("grpc_server_handled_total", grpc_method="unknown", grpc_code="UNIMPLEMENTED")

    after = scrape_until(counting, lambda found: unknown(found) - unknown(before) == 21)
    assert {str(sorted(s.labels.items())) + s.name for s in after.samples} == {
        str(sorted(s.labels.items())) + s.name for s in before.samples
    }


def test_requests_and_batches_are_counted(counting: ServerProcess) -> None:
    before = scrape(counting)
    with RankingClient(counting.address) as client:
        client.rank(USER, ITEMS)
        client.rank(STRANGER, [*ITEMS, UNKNOWN_ITEM])
    version = {"model": "towers", "version": "1"}

    def more(found: Scrape, name: str, **labels: str) -> float:
        return found.value(name, **labels) - before.value(name, **labels)

    after = scrape_until(counting, lambda found: more(found, "rankserve_requests_total", alias="", **version) == 2)
    assert more(after, "rankserve_request_candidates_count", **version) == 2
    assert more(after, "rankserve_request_candidates_sum", **version) == 11
    assert more(after, "rankserve_unknown_items_total", **version) == 1
    assert more(after, "rankserve_cold_user_requests_total", **version) == 1
    assert more(after, "rankserve_scored_rows_total") == 11
    assert more(after, "rankserve_batch_rows_sum") == 11
    assert more(after, "rankserve_padding_rows_total") == 5  # shapes have multiples of 8 rows
    assert more(after, "rankserve_batch_requests_sum") == 2
    assert more(after, "rankserve_queue_seconds_count") == 2
    assert 0 < more(after, "rankserve_batch_seconds_sum") < 10
    assert after.value("rankserve_scores_count", **version) >= 5
    assert 1 <= after.value("rankserve_scores_sum", **version) / after.value("rankserve_scores_count", **version) <= 5
    assert (after.value("rankserve_requests_in_flight"), after.value("rankserve_queued_candidates")) == (0, 0)


def test_the_process_and_the_load_are_told(counting: ServerProcess) -> None:
    found = scrape(counting)
    assert found.value("rankserve_served_version", model="towers") == 1
    assert found.value("rankserve_version_role", model="towers", version="1", role="current") == 1
    assert found.value("rankserve_load_seconds_count", model="towers", outcome="loaded") == 1
    assert found.value("rankserve_compiled_programs_total") + found.value("rankserve_reused_programs_total") > 0
    assert found.value("process_resident_memory_bytes") > 10_000_000
    assert found.value("process_cpu_seconds_total") > 0
    assert (found.value("rankserve_workers"), found.value("rankserve_workers_wanted")) == (1, 1)


@pytest.mark.parametrize("transport", ["direct", "aio"])
def test_refused_callers_are_counted(
    start_server: StartServer, towers: Published, tmp_path: Path, transport: str
) -> None:
    tokens = str(tmp_path / "tokens.toml")
    assert run_forked("token", "shop", "--tokens-file", tokens).returncode == 0
    server = start_server("--tokens-file", tokens, "--transport", transport, *METRICS, models=towers.models_dir)
    server.wait_until_ready()
    for method in (f"/{RANKING}/Rank", "/rankserve.v1.ModelService/ListModels"):
        assert call(server, method) is grpc.StatusCode.UNAUTHENTICATED
    scrape_until(
        server,
        lambda found: handled(found, "Rank", "UNAUTHENTICATED") == handled(found, "ListModels", "UNAUTHENTICATED") == 1,
    )


def test_versions_that_may_not_serve_are_told_with_what_is_wrong(
    start_server: StartServer, towers: Published, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    add(models, towers, 1)
    add(models, towers, 2)
    for version, change in ((3, truncate), (4, promise_other_scores), (5, lose_a_file)):
        add(models, towers, version, change)
    server = start_server(*METRICS, "--watch-seconds", "0.2", models=models).wait_until_ready()
    expected = {("3", "damaged"), ("4", "scores"), ("5", "damaged")}
    with RankingClient(server.address, timeout=120) as client:
        client.change_serving(SetAlias("stable", 1))
        client.rank(USER, ITEMS, alias="stable")
        client.change_serving(SetShadow(1, 100))
        for user in range(10):
            client.rank(user, ITEMS)
        found = scrape_until(server, lambda seen: seen.value("rankserve_shadow_overlap_at_10_count", version="1") > 0)
        quarantined = found.matching("rankserve_quarantined_version", model="towers")
        assert {(s.labels["version"], s.labels["reason"]) for s in quarantined} == expected
        assert found.value("rankserve_quarantined_versions", model="towers") == 3
        assert found.value("rankserve_load_seconds_count", outcome="damaged") == 2
        assert found.value("rankserve_load_seconds_count", outcome="scores") == 1
        assert found.value("rankserve_requests_total", version="1", alias="stable") == 1
        assert {s.labels["role"] for s in found.matching("rankserve_version_role", version="1")} == {
            "shadow",
            "alias:stable",
        }
        # The same weights rank the same.
        compared = found.value("rankserve_shadow_overlap_at_10_count", version="1")
        assert found.value("rankserve_shadow_overlap_at_10_sum", version="1") == compared
        assert found.value("rankserve_shadow_discordance_sum", version="1") == 0
        client.change_serving(RollBack())
        scrape_until(server, lambda seen: seen.value("rankserve_served_version") == 1)
    server.stop()
    again = start_server(*METRICS, models=models).wait_until_ready()
    quarantined = scrape(again).matching("rankserve_quarantined_version", model="towers")
    assert {(s.labels["version"], s.labels["reason"]) for s in quarantined} == expected


def test_workers_are_added_up_and_a_killed_one_takes_nothing_back(start_server: StartServer, towers: Published) -> None:
    server = start_server("--workers", "2", *METRICS, models=towers.models_dir).wait_until_ready()
    asked = 0

    def ask(connections: int) -> None:
        nonlocal asked
        for _ in range(connections):
            with RankingClient(server.address) as client:
                client.rank(USER, ITEMS)
            asked += 1

    ask(20)  # of which each worker gets some, but for a chance of one in half a million
    before = scrape_until(
        server, lambda found: handled(found, "Rank", "OK") == 20 and found.value("rankserve_workers") == 2
    )
    workers = children_of(server)
    os.kill(workers[0], signal.SIGKILL)
    while_gone = scrape_until(server, lambda found: found.value("rankserve_workers") == 1)
    assert handled(while_gone, "Rank", "OK") == 20
    memory = "process_resident_memory_bytes"
    assert while_gone.value(memory) < 0.75 * before.value(memory)
    assert while_gone.value("process_cpu_seconds_total") >= before.value("process_cpu_seconds_total")
    scrape_until(
        server,
        lambda found: found.value("rankserve_workers") == 2 and found.value("rankserve_worker_restarts_total") == 1,
    )
    ask(10)
    after = scrape_until(server, lambda found: handled(found, "Rank", "OK") == asked)
    assert after.value("rankserve_requests_total", model="towers", version="1") == asked
    assert after.value("rankserve_served_version", model="towers") == 1
    assert server.stop().code == 0


def children_of(server: ServerProcess) -> list[int]:
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text(encoding="utf-8")
    return [int(child) for child in children.split()]


def test_metrics_are_off_unless_they_are_asked_for(start_server: StartServer, towers: Published) -> None:
    server = start_server(models=towers.models_dir).wait_until_ready()
    assert "Metrics are served" not in server.errors
    maps = Path(f"/proc/{server.pid}/task").iterdir()
    assert "rankserve-metri" not in {(task / "comm").read_text(encoding="utf-8").strip() for task in maps}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_that_is_taken_is_said_in_one_line(
    start_server: StartServer, counting: ServerProcess, workers: str
) -> None:
    taken = metrics_url(counting).rpartition(":")[2].removesuffix("/metrics")
    ended = start_server("--metrics-port", taken, "--workers", workers, port=free_port()).wait()
    assert ended.code == 1
    assert ended.errors.count("\n") == 1
    assert f"cannot serve metrics on 127.0.0.1:{taken}" in ended.errors
