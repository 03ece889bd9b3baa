"""ModelService, with versions that cannot be served and several models."""

import json
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import code_pb2

from conftest import StartServer
from integration.statuses import status_of
from integration.versions import copy_version, cut_short
from rankserve.v1 import models_pb2, models_pb2_grpc, ranking_pb2, ranking_pb2_grpc

Request = ranking_pb2.RankRequest
Selector = ranking_pb2.ModelSelector


def listed(channel: grpc.Channel) -> list[models_pb2.Model]:
    stub = models_pb2_grpc.ModelServiceStub(channel)
    return list(stub.ListModels(models_pb2.ListModelsRequest(), timeout=10).models)


def got(channel: grpc.Channel, **selector: Any) -> models_pb2.Model:
    request = models_pb2.GetModelRequest(model=Selector(**selector))
    return models_pb2_grpc.ModelServiceStub(channel).GetModel(request, timeout=10).model


def test_a_version_is_described_as_its_manifest_does(channel: grpc.Channel, models_dir: Path) -> None:
    manifest = json.loads((models_dir / "movielens" / "1" / "manifest.json").read_text(encoding="utf-8"))
    (model,) = listed(channel)
    assert (model.name, model.version, model.state, model.state_message) == (
        "movielens",
        1,
        models_pb2.MODEL_STATE_READY,
        "",
    )
    assert model.is_default
    assert model.create_time.ToJsonString() == manifest["created"]
    assert model.preset == "tutorial"
    assert (model.user_count, model.item_count, model.rating_min, model.rating_max) == (943, 1_682, 1, 5)
    dataset = manifest["dataset"]
    assert (model.dataset.name, model.dataset.fingerprint) == ("movielens/100k", dataset["fingerprint"])
    assert model.dataset.rating_count == 100_000
    assert dict(model.metrics) == manifest["metrics"]
    assert dict(model.library_versions) == manifest["library_versions"]
    assert not model.aliases
    for selector in ({}, {"name": "movielens"}, {"version": 1}, {"name": "movielens", "version": 1}):
        assert got(channel, **selector) == model


@pytest.mark.parametrize("selector", [{"name": "other"}, {"version": 2}, {"version": 0}, {"alias": "best"}])
def test_what_is_not_there_is_not_found(channel: grpc.Channel, selector: dict[str, str | int]) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        got(channel, **selector)
    assert status_of(caught.value).code == code_pb2.NOT_FOUND


@pytest.mark.parametrize("transport", ["aio", "direct"])
def test_bytes_that_are_no_message_are_refused(start_server: StartServer, transport: str) -> None:
    server = start_server("--transport", transport).wait_until_ready()
    with grpc.insecure_channel(server.address) as channel:
        for method in models_pb2.DESCRIPTOR.services_by_name["ModelService"].methods:
            call: Any = channel.unary_unary(f"/{method.containing_service.full_name}/{method.name}")
            with pytest.raises(grpc.RpcError) as caught:
                call(b"\xff\xff\xff\x07", timeout=10)
            status = status_of(caught.value)
            assert status.code == code_pb2.INVALID_ARGUMENT, method.name
            assert f"is not a {method.input_type.full_name}" in status.message
    assert "Traceback" not in server.stop().errors


@pytest.fixture
def models(models_dir: Path, tmp_path: Path) -> Path:
    """`a` in version 2, its newest one broken, `b` in version 7, and `c` broken."""
    directory = tmp_path / "models"
    source = models_dir / "movielens" / "1"
    for name, version in (("a", 1), ("a", 2), ("a", 10), ("b", 7), ("c", 1)):
        copy_version(source, directory, name, version)
    for broken in ("a/10", "c/1"):
        cut_short(directory / broken)
    (directory / "a" / ".publishing-left-behind").mkdir()
    (directory / "README").write_text("not a model", encoding="utf-8")
    return directory


def described(models: list[models_pb2.Model]) -> list[tuple[str, str, bool]]:
    return [
        (f"{model.name}/{model.version}", models_pb2.ModelState.Name(model.state), model.is_default) for model in models
    ]


def test_broken_versions_are_listed_and_an_older_one_answers(models: Path, start_server: StartServer) -> None:
    server = start_server("--default-model", "a", models=models).wait_until_ready()
    assert server.served == "a/2 (943 users, 1,682 items), b/7 (943 users, 1,682 items)"
    with grpc.insecure_channel(server.address) as channel:
        found = listed(channel)
        assert described(found) == [
            ("a/10", "MODEL_STATE_FAILED", False),
            ("a/2", "MODEL_STATE_READY", True),
            ("b/7", "MODEL_STATE_READY", False),
            ("c/1", "MODEL_STATE_FAILED", False),
        ]
        for model in (found[0], found[3]):
            assert "cut short or changed" in model.state_message
            assert got(channel, name=model.name, version=model.version) == model
        assert got(channel) == found[1]
        assert got(channel, name="b") == found[2]
        stub = ranking_pb2_grpc.RankingServiceStub(channel)
        answers = [
            stub.Rank(Request(user_id=42, candidate_ids=[204, 141], model=selector), timeout=10)
            for selector in (Selector(), Selector(version=2), Selector(name="b"), Selector(name="b", version=7))
        ]
        assert [(answer.model_name, answer.model_version) for answer in answers] == [("a", 2)] * 2 + [("b", 7)] * 2
        assert len({tuple(answer.scores) for answer in answers}) == 1, "they are copies of one model"
        for selector in (Selector(name="c"), Selector(version=10), Selector(version=1)):
            with pytest.raises(grpc.RpcError) as caught:
                stub.Rank(Request(candidate_ids=[1], model=selector), timeout=10)
            assert status_of(caught.value).code == code_pb2.NOT_FOUND
    ended = server.stop()
    assert ended.code == 0
    assert "a/10 cannot be served" in ended.errors
    assert "c/1 cannot be served" in ended.errors


def test_of_several_models_one_has_to_be_named(models: Path, start_server: StartServer) -> None:
    """And what was loaded is served whatever happens to the files afterwards."""
    server = start_server(models=models).wait_until_ready()
    for path in (models / "a" / "2").iterdir():
        path.unlink()
    with grpc.insecure_channel(server.address) as channel:
        assert not any(model.is_default for model in listed(channel))
        stub = ranking_pb2_grpc.RankingServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Rank(Request(candidate_ids=[1]), timeout=10)
        status = status_of(caught.value)
        assert status.code == code_pb2.NOT_FOUND
        assert status.message == "no model was named and there is no default one; name one of: a, b"
        request = Request(candidate_ids=[1], model=Selector(name="a"), include_titles=True)
        answer = stub.Rank(request, timeout=10)
        assert (answer.model_version, list(answer.titles)) == (2, ["Toy Story (1995)"])
