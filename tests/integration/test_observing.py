"""What real servers tell of calls: to a collector, to the access log and to the request log."""

import json
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from integration import open_inference, tf_serving
from integration.collector import Collector, Span, collecting
from integration.scraping import scrape
from integration.server_process import ServerProcess, running_server
from integration.statuses import status_of
from rankserve.v1 import models_pb2, ranking_pb2
from rankserve_client import AsyncRankingClient, InvalidRequest, RankingClient, RankQuery
from rankserve_server.protocols.messages import tf_serving_pb2
from server.two_towers import Published

USER, ITEMS = 36, [5, 10, 15, 20, 25]
RANK = "rankserve.v1.RankingService/Rank"
SECONDS = 30.0


@dataclass
class Observed:
    """A server that tells everything, and where."""

    server: ServerProcess
    collector: Collector
    access_log: Path
    request_log: Path

    def lines(self, path: Path, request_id: str, count: int = 1) -> list[dict[str, Any]]:
        """Waits until a log has so many lines with this id."""
        deadline = time.monotonic() + SECONDS
        while True:
            text = path.read_text() if path.exists() else ""
            entries = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
            found = [entry for entry in entries if entry["request_id"] == request_id]
            if len(found) >= count:
                return found
            assert time.monotonic() < deadline, text
            time.sleep(0.05)


@pytest.fixture(scope="module", params=["direct", "aio"])
def observed(
    request: pytest.FixtureRequest, towers: Published, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Observed]:
    directory = tmp_path_factory.mktemp("observed")
    access_log, request_log = directory / "access.jsonl", directory / "requests.jsonl"
    flags = (
        *("--transport", request.param, "--metrics-port", "0", "--log-format", "json"),
        *("--access-log", str(access_log), "--request-log", str(request_log), "--request-log-sample", "1"),
    )
    with collecting() as collector:
        errors = directory / "errors"
        with running_server(
            towers.models_dir, errors, *flags, "--trace-to", collector.address, "--trace-sample", "0"
        ) as server:
            yield Observed(server, collector, access_log, request_log)


def parent_of(trace_id: str, sampled: bool = True) -> tuple[tuple[str, str], ...]:
    """What a caller sends whose own span has the id `b7ad6b7169203331`."""
    return (("traceparent", f"00-{trace_id}-b7ad6b7169203331-0{int(sampled)}"), ("tracestate", "shop=1"))


def only(spans: dict[str, list[Span]], name: str) -> Span:
    (span,) = spans[name]
    return span


def test_a_traced_call_has_its_queueing_its_computing_and_its_batch(observed: Observed) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    with RankingClient(observed.server.address, metadata=parent_of(trace_id)) as client:
        client.rank(USER, ITEMS, request_id="traced")
    spans = observed.collector.of_trace(trace_id, 3)
    call, queue, compute = only(spans, RANK), only(spans, "queue"), only(spans, "compute")
    (batch,) = observed.collector.found(lambda span: span.name == "batch" and call.span_id in span.links)
    assert (call.parent_id, call.kind, call.service) == ("b7ad6b7169203331", "SPAN_KIND_SERVER", "rankserve")
    assert {queue.parent_id, compute.parent_id} == {call.span_id}
    assert compute.links == {batch.span_id}
    assert batch.trace_id != trace_id
    assert call.start <= queue.start <= queue.end == compute.start <= compute.end <= call.end
    assert call.attributes == {
        "rpc.system.name": "grpc",
        "rpc.method": RANK,
        "rpc.response.status_code": "OK",
        "rankserve.request_id": "traced",
        "rankserve.requests": 1,
        "rankserve.candidates": len(ITEMS),
        "rankserve.model": "towers",
        "rankserve.version": 1,
    }
    assert batch.attributes["rankserve.candidates"] == len(ITEMS)
    assert observed.lines(observed.access_log, "traced")[0]["trace_id"] == trace_id


def test_batches_and_streams_and_failures_are_traced(observed: Observed) -> None:
    batch, stream, failed = ("11" * 16, "22" * 16, "33" * 16)
    with RankingClient(observed.server.address, metadata=parent_of(batch)) as client:
        client.rank_batch([RankQuery(USER, ITEMS), RankQuery(USER, ITEMS[:2])])
    with RankingClient(observed.server.address, metadata=parent_of(stream)) as client:
        assert len(list(client.rank_stream(RankQuery(USER, ITEMS) for _ in range(3)))) == 3
    with RankingClient(observed.server.address, metadata=parent_of(failed)) as client:
        with pytest.raises(InvalidRequest) as raised:
            client.rank(USER, [7], unknown_items="reject")
        client.models()
    call = only(observed.collector.of_trace(batch, 5), "rankserve.v1.RankingService/BatchRank")
    # The requests of one call of BatchRank are one request of it.
    assert (call.attributes["rankserve.requests"], call.attributes["rankserve.candidates"]) == (1, 7)
    spans = observed.collector.of_trace(stream, 7)
    call = only(spans, "rankserve.v1.RankingService/RankStream")
    assert (call.attributes["rankserve.requests"], len(spans["compute"])) == (3, 3)
    spans = observed.collector.of_trace(failed, 2)
    call = only(spans, RANK)
    assert call.attributes["rpc.response.status_code"] == "INVALID_ARGUMENT"
    assert call.attributes["rankserve.request_id"] == raised.value.request_id
    assert not call.is_error  # the caller's, not the server's
    assert only(spans, "rankserve.v1.ModelService/ListModels").attributes["rpc.response.status_code"] == "OK"


def test_who_is_not_sampled_is_not_traced(observed: Observed) -> None:
    unsampled, after = "44" * 16, "55" * 16
    with RankingClient(observed.server.address) as client:
        client.rank(USER, ITEMS)  # of no trace, of which --trace-sample 0 takes none
    with RankingClient(observed.server.address, metadata=parent_of(unsampled, sampled=False)) as client:
        client.rank(USER, ITEMS, request_id="unsampled")
    with RankingClient(observed.server.address, metadata=parent_of(after)) as client:
        client.rank(USER, ITEMS)
    observed.collector.of_trace(after, 3)
    assert not [span for span in observed.collector.spans if span.trace_id == unsampled]
    assert all(span.parent_id for span in observed.collector.spans if span.name == RANK)
    assert observed.lines(observed.access_log, "unsampled")[0]["trace_id"] == unsampled


async def test_the_clients_spans_are_the_servers_parents(observed: Observed) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    with tracer.start_as_current_span("outer") as outer:
        with RankingClient(observed.server.address, tracer_provider=provider) as client:
            client.rank(USER, ITEMS)
            list(client.rank_stream([RankQuery(USER, ITEMS)]))
            with pytest.raises(InvalidRequest):
                client.rank(USER, [7], unknown_items="reject")
        async with AsyncRankingClient(observed.server.address) as client_without:
            await client_without.rank(USER, ITEMS)
            assert [result async for result in client_without.rank_stream([RankQuery(USER, ITEMS)])]
        assert trace.get_current_span() is outer
    made = {f"{span.context.span_id:016x}": span for span in exporter.get_finished_spans() if span.name != "outer"}
    codes = [(span.attributes or {})["rpc.response.status_code"] for span in made.values()]
    assert codes == ["OK", "OK", "INVALID_ARGUMENT"]
    trace_id = f"{outer.get_span_context().trace_id:032x}"
    of_calls = observed.collector.found(lambda s: s.trace_id == trace_id and s.kind == "SPAN_KIND_SERVER", 5)
    outer_id = f"{outer.get_span_context().span_id:016x}"
    assert sorted(span.parent_id for span in of_calls) == sorted([*made, outer_id, outer_id])


def test_a_load_has_its_steps(observed: Observed) -> None:
    (swap,) = observed.collector.found(lambda span: span.name == "swap")
    spans = observed.collector.of_trace(swap.trace_id, 9)
    load = only(spans, "load")
    assert load.attributes == {
        "rankserve.model": "towers",
        "rankserve.version": "1",
        "rankserve.outcome": "loaded",
    }
    steps = ["import libraries", "verify", "read model", "compile", "golden requests", "hand over", "golden requests"]
    children = sorted((s for each in spans.values() for s in each if s is not load), key=lambda span: span.start)
    assert [span.name for span in children] == [*steps, "swap"]
    assert {span.parent_id for span in children} == {load.span_id}
    assert load.start <= children[0].start
    assert children[-2].end <= load.end <= swap.start


def test_request_ids_go_in_and_out(observed: Observed) -> None:
    with grpc.insecure_channel(observed.server.address) as channel:
        method: Any = channel.unary_unary(f"/{RANK}")
        request = ranking_pb2.RankRequest(user_id=USER, candidate_ids=ITEMS).SerializeToString()
        for sent, is_taken in (("a.b:c/1", True), ("", False), ("two words", False), ("x" * 129, False)):
            _, call = method.with_call(request, metadata=(("x-request-id", sent),), timeout=10)
            ((_, back),) = [pair for pair in call.trailing_metadata() if pair[0] == "x-request-id"]
            assert (back == sent) is is_taken, sent
            assert observed.lines(observed.access_log, back)[0]["code"] == "OK"


def test_an_error_names_its_request(observed: Observed) -> None:
    refused = ranking_pb2.RankRequest(user_id=USER, candidate_ids=[7], unknown_items=ranking_pb2.UNKNOWN_ITEMS_REJECT)
    unknown = models_pb2.GetModelRequest(model=ranking_pb2.ModelSelector(name="nobody"))
    failing = (
        (RANK, refused, error_details_pb2.BadRequest),
        ("rankserve.v1.ModelService/GetModel", unknown, error_details_pb2.ResourceInfo),
        ("inference.GRPCInferenceService/ModelInfer", refused, error_details_pb2.BadRequest),
        ("inference.GRPCInferenceService/RepositoryModelUnload", refused, error_details_pb2.ResourceInfo),
    )
    with grpc.insecure_channel(observed.server.address) as channel:
        for name, message, kind in failing:
            method: Any = channel.unary_unary(f"/{name}")
            with pytest.raises(grpc.RpcError) as raised:
                method(message.SerializeToString(), metadata=(("x-request-id", "an/id"),), timeout=10)
            reason, info = status_of(raised.value).details
            assert reason.Is(kind.DESCRIPTOR), name
            named = error_details_pb2.RequestInfo()
            assert info.Unpack(named)
            assert named == error_details_pb2.RequestInfo(request_id="an/id"), name


def test_the_access_log_says_what_a_call_was_and_nothing_of_its_user(observed: Observed) -> None:
    with RankingClient(observed.server.address) as client:
        client.rank(USER, ITEMS, request_id="logged")
        with pytest.raises(InvalidRequest):
            client.rank(USER, [7], unknown_items="reject", request_id="refused")
    (line,) = observed.lines(observed.access_log, "logged")
    assert line.keys() == {
        *("time", "method", "code", "duration_ms", "queue_ms", "requests", "candidates", "model", "version"),
        *("request_id", "trace_id"),
    }
    assert (line["method"], line["code"], line["candidates"]) == (RANK, "OK", len(ITEMS))
    assert (line["model"], line["version"], line["trace_id"]) == ("towers", 1, None)
    assert 0 <= line["queue_ms"] <= line["duration_ms"]
    (line,) = observed.lines(observed.access_log, "refused")
    assert (line["code"], line["model"]) == ("INVALID_ARGUMENT", None)


def test_a_renamed_access_log_is_opened_anew(observed: Observed) -> None:
    moved = observed.access_log.with_name("moved.jsonl")
    with RankingClient(observed.server.address) as client:
        client.rank(USER, ITEMS, request_id="before")
        observed.lines(observed.access_log, "before")
        observed.access_log.rename(moved)
        client.rank(USER, ITEMS, request_id="after")
    observed.lines(observed.access_log, "after")
    assert "after" not in moved.read_text()


def test_the_request_log_has_what_was_asked_and_answered(observed: Observed) -> None:
    with RankingClient(observed.server.address) as client:
        ranking = client.rank(USER, ITEMS, history={5: 4.5}, titles=True, request_id="kept")
        results = client.rank_batch(
            [RankQuery(USER, ITEMS), RankQuery(USER, [7], unknown_items="reject")], request_id="kept-batch"
        )
        list(client.rank_stream([RankQuery(USER, top_k=3), RankQuery(USER, ITEMS)], request_id="kept-stream"))
    (entry,) = observed.lines(observed.request_log, "kept")
    assert entry["request"] == {
        "user_id": USER,
        "candidate_ids": ITEMS,
        "history": {"item_ids": [5], "ratings": [4.5]},
        "include_titles": True,
    }
    response = entry["response"]
    assert (response["item_ids"], response["model_name"], response["model_version"]) == (
        list(ranking.item_ids),
        "towers",
        1,
    )
    assert response["scores"] == pytest.approx(ranking.scores, rel=1e-7)
    assert len(observed.lines(observed.request_log, "kept-batch")) == 1 < len(results)
    assert [e["request"].get("top_k") for e in observed.lines(observed.request_log, "kept-stream", 2)] == [3, None]
    assert stat.S_IMODE(observed.request_log.stat().st_mode) == 0o600


def test_the_request_log_has_the_calls_of_other_protocols_as_rank_for_each_user(observed: Observed) -> None:
    users, items = np.array([USER, 9_999, USER]), np.array([10, 7, 5])
    streamed_requests = [
        open_inference.infer_request(users[1:], items[1:], model_name="towers", model_version="1"),
        open_inference.infer_request(users[:1], items, model_version="other"),
    ]
    regress = tf_serving_pb2.RegressionRequest(input=tf_serving.with_context(USER, items.tolist()))
    classify = tf_serving_pb2.ClassificationRequest(input=tf_serving.without_context(users.tolist(), items.tolist()))
    with grpc.insecure_channel(observed.server.address) as channel, RankingClient(observed.server.address) as client:
        answer = open_inference.method(channel, "ModelInfer")(
            open_inference.infer_request(users, items), metadata=(("x-request-id", "infer"),)
        )
        streamed_id = (("x-request-id", "stream-infer"),)
        _, refused = open_inference.stream(channel, streamed_requests, metadata=streamed_id)
        assert refused.error_message
        for name, request in (
            ("Predict", tf_serving.predict_request(users, items, version_label="1")),
            ("Regress", regress),
            ("Classify", classify),
        ):
            tf_serving.method(channel, name)(request, metadata=(("x-request-id", name.lower()),))
        known, stranger = client.rank(USER, [10, 5], order="as_sent"), client.rank(9_999, [7], order="as_sent")
    scores = open_inference.scores_of(answer).tolist()
    assert scores == [known.scores[0], stranger.scores[0], known.scores[1]]
    first, second = observed.lines(observed.request_log, "infer", 2)
    assert first["method"] == "inference.GRPCInferenceService/ModelInfer"
    assert first["request"] == {"user_id": USER, "candidate_ids": [10, 5], "order": "ORDER_AS_SENT"}
    assert first["response"] == {
        "item_ids": [10, 5],
        "scores": [pytest.approx(score, rel=1e-7) for score in known.scores],
        "user_known": True,
        "model_name": "towers",
        "model_version": 1,
        "user_basis": "USER_BASIS_KNOWN",
    }
    assert second["request"] == {"user_id": 9_999, "candidate_ids": [7], "order": "ORDER_AS_SENT"}
    assert second["response"]["unknown_item_ids"] == [7]
    assert second["response"]["user_basis"] == "USER_BASIS_AVERAGE"
    streamed = observed.lines(observed.request_log, "stream-infer", 2)
    assert [(e["request"]["user_id"], e["request"]["candidate_ids"]) for e in streamed] == [(9_999, [7]), (USER, [5])]
    assert streamed[0]["request"]["model"] == {"name": "towers", "version": 1}
    predicted = observed.lines(observed.request_log, "predict", 2)
    assert [e["response"]["scores"] for e in predicted] == [e["response"]["scores"] for e in (first, second)]
    assert predicted[0]["request"]["model"] == {"version": 1}
    (regressed,) = observed.lines(observed.request_log, "regress")
    assert regressed["request"]["candidate_ids"] == items.tolist()
    assert regressed["method"] == "tensorflow.serving.PredictionService/Regress"
    classified = observed.lines(observed.request_log, "classify", 2)
    assert [e["request"]["candidate_ids"] for e in classified] == [[10, 5], [7]]


def test_nothing_is_missing_and_the_servers_own_log_is_json(observed: Observed) -> None:
    dropped = scrape(observed.server).matching("rankserve_dropped_observations_total")
    assert {sample.labels["reason"]: sample.value for sample in dropped} == {"queue_full": 0, "write": 0}
    lines = [json.loads(line) for line in observed.server.errors.splitlines()]
    assert {"time", "level", "logger", "process", "message"} == set(lines[0])
