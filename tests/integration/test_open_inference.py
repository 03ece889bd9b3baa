"""The Open Inference Protocol on a real server: it answers what Rank answers, and explains what it refuses."""

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from integration.open_inference import Ids, add_input, infer_request, method, scores_of, stream
from integration.rank_scores import rank_scores
from integration.server_process import ServerProcess
from integration.statuses import status_of, violations_of
from rankserve.v1 import ranking_pb2_grpc
from rankserve_server.protocols.messages import open_inference_pb2 as pb

Code = grpc.StatusCode
USER = np.array([42])
ITEMS = np.array([204, 141, 131])


@pytest.fixture(scope="module")
def channel(server: ServerProcess) -> Iterator[grpc.Channel]:
    """One for all: an example of Hypothesis has none of its own."""
    with grpc.insecure_channel(server.address) as opened:
        yield opened


@pytest.fixture(scope="module")
def ranking(channel: grpc.Channel) -> ranking_pb2_grpc.RankingServiceStub:
    return ranking_pb2_grpc.RankingServiceStub(channel)


def infer(channel: grpc.Channel, request: pb.ModelInferRequest) -> pb.ModelInferResponse:
    response: pb.ModelInferResponse = method(channel, "ModelInfer")(request)
    return response


class TestScores:
    @pytest.mark.parametrize("dtype", [np.int32, np.int64])
    @pytest.mark.parametrize("raw", [True, False])
    @pytest.mark.parametrize(
        ("users", "items", "pairs"),
        [
            ([42], [204, 141, 131], [42, 42, 42]),
            (42, [204], [42]),
            ([42, 7, 42], [204, 141, 131], [42, 7, 42]),
            ([[42], [7], [42]], [[204], [141], [131]], [42, 7, 42]),
            ([[42], [7]], [[204, 141], [204, 5_000]], [42, 42, 7, 7]),
            ([42, 7], [[204, 141], [204, -1]], [42, 42, 7, 7]),
            ([[9_999]], [[1, 1, 2]], [9_999, 9_999, 9_999]),
        ],
    )
    def test_are_those_of_rank(
        self,
        channel: grpc.Channel,
        ranking: ranking_pb2_grpc.RankingServiceStub,
        dtype: type[np.int32 | np.int64],
        raw: bool,
        users: npt.ArrayLike,
        items: npt.ArrayLike,
        pairs: list[int],
    ) -> None:
        item_ids = np.array(items, dtype)
        response = infer(channel, infer_request(np.array(users, dtype), item_ids, raw=raw, id="7"))
        assert (response.model_name, response.model_version, response.id) == ("movielens", "1", "7")
        assert bool(response.raw_output_contents) is raw
        scores = scores_of(response)
        assert scores.shape == item_ids.shape
        np.testing.assert_array_equal(scores.ravel(), rank_scores(ranking, pairs, item_ids))

    @settings(max_examples=60)
    @given(data=st.data(), raw=st.booleans(), narrow=st.booleans(), per_row=st.booleans())
    def test_whatever_the_tensors(
        self,
        channel: grpc.Channel,
        ranking: ranking_pb2_grpc.RankingServiceStub,
        data: st.DataObject,
        raw: bool,
        narrow: bool,
        per_row: bool,
    ) -> None:
        dtype: Any = np.int32 if narrow else np.int64
        bounds = np.iinfo(dtype)
        # Mostly known ones, with some that nobody knows.
        ids = st.integers(1, 1_000) | st.integers(int(bounds.min), int(bounds.max))
        shape = data.draw(arrays.array_shapes(min_dims=1, max_dims=2, max_side=12))
        items = data.draw(arrays.arrays(dtype, shape, elements=ids))
        users = data.draw(arrays.arrays(dtype, (shape[0], 1) if per_row else (1,), elements=ids))
        scores = scores_of(infer(channel, infer_request(users, items, raw=raw)))
        pairs = np.broadcast_to(users.reshape(len(users), *[1] * (items.ndim - 1)), items.shape)
        np.testing.assert_array_equal(scores.ravel(), rank_scores(ranking, pairs, items))

    def test_inputs_may_come_in_any_order_and_in_two_widths(self, channel: grpc.Channel) -> None:
        request = pb.ModelInferRequest(model_name="movielens", model_version="1")
        add_input(request, "item_id", ITEMS.astype(np.int32), raw=True)
        add_input(request, "user_id", USER, raw=True)
        request.outputs.add(name="score")
        expected = infer(channel, infer_request(USER, ITEMS))
        assert infer(channel, request).raw_output_contents == expected.raw_output_contents

    def test_of_many_users_in_one_request(
        self, channel: grpc.Channel, ranking: ranking_pb2_grpc.RankingServiceStub
    ) -> None:
        random = np.random.default_rng(5)
        users, items = random.integers(1, 900, 20_000) % 300, random.integers(0, 1_700, 20_000)
        scores = scores_of(infer(channel, infer_request(users, items)))
        np.testing.assert_array_equal(scores, rank_scores(ranking, users, items))


class TestStream:
    def test_answers_in_order_and_goes_on_after_a_refusal(self, channel: grpc.Channel) -> None:
        requests = [infer_request(np.array([user]), ITEMS, id=str(user)) for user in range(1, 101)]
        requests[50].model_name = "other"
        answers = stream(channel, requests)
        assert [answer.infer_response.id for answer in answers] == [request.id for request in requests]
        assert [place for place, answer in enumerate(answers) if answer.error_message] == [50]
        assert "model 'other' is not served" in answers[50].error_message
        alone = infer(channel, requests[99])
        assert answers[99].infer_response == alone

    def test_may_be_empty(self, channel: grpc.Channel) -> None:
        assert stream(channel, []) == []


class TestDescriptions:
    def test_the_server(self, channel: grpc.Channel) -> None:
        assert method(channel, "ServerLive")(pb.ServerLiveRequest()).live
        assert method(channel, "ServerReady")(pb.ServerReadyRequest()).ready
        metadata = method(channel, "ServerMetadata")(pb.ServerMetadataRequest())
        assert metadata.name == "rankserve"
        assert metadata.version
        assert set(metadata.extensions) == {"model_repository", "model_configuration", "statistics"}

    @pytest.mark.parametrize(
        ("name", "version", "ready"),
        [("movielens", "", True), ("movielens", "1", True), ("movielens", "2", False), ("x", "", False)],
    )
    def test_whether_a_model_is_ready(self, channel: grpc.Channel, name: str, version: str, ready: bool) -> None:
        assert method(channel, "ModelReady")(pb.ModelReadyRequest(name=name, version=version)).ready is ready

    def test_the_calls_of_perf_analyzer(self, channel: grpc.Channel) -> None:
        """In its order; it works out from them what to send."""
        assert method(channel, "ServerMetadata")(pb.ServerMetadataRequest()).extensions
        metadata = method(channel, "ModelMetadata")(pb.ModelMetadataRequest(name="movielens"))
        config = method(channel, "ModelConfig")(pb.ModelConfigRequest(name="movielens")).config
        assert (metadata.name, list(metadata.versions), config.name) == ("movielens", ["1"], "movielens")
        # Where there are batches, the metadata has their dimension and the configuration does not.
        assert config.max_batch_size >= 1
        assert {t.name: list(t.shape)[1:] for t in metadata.inputs} == {t.name: list(t.dims) for t in config.input}
        assert {t.name: list(t.shape)[1:] for t in metadata.outputs} == {t.name: list(t.dims) for t in config.output}
        before = self._statistics(channel)
        for user in range(1, 11):
            infer(channel, infer_request(np.array([[user]]), ITEMS[None], model_name="movielens"))
        after = self._statistics(channel)
        assert after.inference_count - before.inference_count == 10
        assert after.execution_count - before.execution_count == 10
        success = after.inference_stats.success
        parts = ("queue", "compute_input", "compute_infer", "compute_output")
        assert success.count - before.inference_stats.success.count == 10
        assert success.ns == sum(getattr(after.inference_stats, part).ns for part in parts) > 0
        assert after.last_inference >= before.last_inference

    def _statistics(self, channel: grpc.Channel) -> pb.ModelStatistics:
        request = pb.ModelStatisticsRequest(name="movielens", version="1")
        (found,) = method(channel, "ModelStatistics")(request).model_stats
        assert isinstance(found, pb.ModelStatistics)
        return found

    def test_statistics_of_all_models(self, channel: grpc.Channel) -> None:
        (found,) = method(channel, "ModelStatistics")(pb.ModelStatisticsRequest()).model_stats
        assert (found.name, found.version) == ("movielens", "1")

    def test_the_repository(self, channel: grpc.Channel) -> None:
        (found,) = method(channel, "RepositoryIndex")(pb.RepositoryIndexRequest(ready=True)).models
        assert (found.name, found.version, found.state) == ("movielens", "1", "READY")

    @pytest.mark.parametrize(
        ("name", "request_type"),
        [
            ("ModelMetadata", pb.ModelMetadataRequest),
            ("ModelConfig", pb.ModelConfigRequest),
            ("ModelStatistics", pb.ModelStatisticsRequest),
        ],
    )
    @pytest.mark.parametrize(
        ("model", "version", "text"),
        [
            ("other", "", "model 'other' is not served; these are: movielens"),
            ("movielens", "2", "version 2 of model 'movielens' is not served; version 1 is"),
            ("movielens", "stable", "model 'movielens' has no alias 'stable'"),
            ("movielens", "9" * 5_000, "model 'movielens' has no alias '999"),
        ],
    )
    def test_of_what_is_not_there(
        self, channel: grpc.Channel, name: str, request_type: Any, model: str, version: str, text: str
    ) -> None:
        with pytest.raises(grpc.RpcError, match=text) as caught:
            method(channel, name)(request_type(name=model, version=version))
        assert caught.value.code() is Code.NOT_FOUND


def changed(**changes: Any) -> pb.ModelInferRequest:
    """A good request with changes of its fields."""
    request = infer_request(USER, ITEMS)
    for path, value in changes.items():
        *parents, name = path.split("__")
        target: Any = request
        for parent in parents:
            target = target[int(parent)] if parent.isdigit() else getattr(target, parent)
        if isinstance(value, list):
            del getattr(target, name)[:]
            getattr(target, name).extend(value)
        else:
            setattr(target, name, value)
    return request


def with_contents() -> pb.ModelInferRequest:
    request = infer_request(USER, ITEMS)
    request.inputs[1].contents.int64_contents.extend([1, 2, 3])
    return request


def typed(**contents: list[Any]) -> pb.ModelInferRequest:
    """Typed, with these contents of `item_id`."""
    request = infer_request(USER, ITEMS, raw=False)
    request.inputs[1].ClearField("contents")
    for name, values in contents.items():
        getattr(request.inputs[1].contents, name).extend(values)
    return request


def with_parameter(field: str, name: str) -> pb.ModelInferRequest:
    request = infer_request(USER, ITEMS)
    if field == "outputs":
        request.outputs.add(name="score")
    getattr(request, field)[0].parameters[name].string_param = "x"
    return request


def with_inputs(*inputs: tuple[str, Ids]) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest()
    for name, ids in inputs:
        add_input(request, name, ids, raw=True)
    return request


INVALID: dict[str, tuple[pb.ModelInferRequest, str, str]] = {
    "nothing": (pb.ModelInferRequest(), "user_id", "is missing; it should be an input of int32 or int64"),
    "no user": (with_inputs(("item_id", ITEMS)), "user_id", "is missing"),
    "no items": (with_inputs(("user_id", USER)), "item_id", "is missing"),
    "another input": (
        with_inputs(("user_id", USER), ("item_id", ITEMS), ("age", USER)),
        "inputs",
        "there is no input 'age'; these are: user_id, item_id",
    ),
    "an input twice": (
        with_inputs(("user_id", USER), ("item_id", ITEMS), ("user_id", USER)),
        "user_id",
        "should be there once",
    ),
    "no candidates": (infer_request(USER, ITEMS[:0]), "item_id", "should have one candidate or more, got none"),
    "no users": (infer_request(USER[:0], ITEMS), "user_id", r"got shape \[0\] for item_id of shape \[3\]"),
    "lengths that do not match": (
        infer_request(np.array([1, 2]), ITEMS),
        "user_id",
        r"should have one element, one for each of item_id, or one for each row of it; got shape \[2\] for item_id of "
        r"shape \[3\]",
    ),
    "a column of users for a row of items": (
        infer_request(np.array([1, 2]), ITEMS[None]),
        "user_id",
        r"got shape \[2\] for item_id of shape \[1, 3\]",
    ),
    "a negative dimension": (
        changed(inputs__1__shape=[-3, -1]),
        "item_id",
        r"its shape should have no negative dimensions, got \[-3, -1\]",
    ),
    "a shape of something else": (
        changed(inputs__1__shape=[2, 2]),
        "item_id",
        r"its shape \[2, 2\] should have as many elements as were sent: 3",
    ),
    "a shape beyond all memory": (
        changed(inputs__1__shape=[2**62, 2**62]),
        "item_id",
        "should have as many elements as were sent: 3",
    ),
    "more dimensions than anybody has": (changed(inputs__1__shape=[3] * 1_000), "item_id", "and 992 more"),
    "floats": (changed(inputs__1__datatype="FP32"), "item_id", "its datatype should be INT32 or INT64, got 'FP32'"),
    "no datatype": (changed(inputs__0__datatype=""), "user_id", "its datatype should be INT32 or INT64, got ''"),
    "half an id": (
        changed(raw_input_contents=[USER.tobytes(), ITEMS.tobytes()[:-1]]),
        "item_id",
        "its raw contents should be 8 bytes for each element, got 23 bytes",
    ),
    "too few raw contents": (
        changed(raw_input_contents=[USER.tobytes()]),
        "raw_input_contents",
        "should have one entry for each of the 2 inputs, got 1",
    ),
    "both kinds of contents": (with_contents(), "item_id", "should have no `contents` where"),
    "no contents": (typed(), "item_id", "as many elements as were sent: 0"),
    "contents of another type": (
        typed(fp32_contents=[1.0, 2.0, 3.0]),
        "item_id",
        "its contents are INT64, to be sent as `int64_contents`, got `fp32_contents`",
    ),
    "contents of another width": (typed(int_contents=[1, 2, 3]), "item_id", "got `int_contents`"),
    "too many candidates": (
        infer_request(USER, np.ones(10_001, np.int64)),
        "item_id",
        "at most 10000 are accepted, got 10001",
    ),
    "huge raw contents": (
        infer_request(USER, np.ones(500_000, np.int32)),
        "item_id",
        "at most 10000 are accepted, got 500000",
    ),
    "too many of one user": (
        infer_request(np.array([1] * 10_001 + [2]), np.ones(10_002, np.int64)),
        "item_id",
        "at most 10000 are accepted for one user, got 10001 for user 1",
    ),
    "too many together": (
        infer_request(np.arange(100_001, dtype=np.int32), np.ones(100_001, np.int32)),
        "item_id",
        "at most 100000 are accepted together, got 100001",
    ),
    "too many users": (
        infer_request(np.arange(1_001), np.ones(1_001, np.int64)),
        "user_id",
        "at most 1000 different users are accepted, got 1001",
    ),
    "another output": (
        changed(outputs=[pb.ModelInferRequest.InferRequestedOutputTensor(name="label")]),
        "outputs",
        "there is no output 'label'; there is: score",
    ),
    "classification": (with_parameter("outputs", "classification"), "score", "knows no 'classification'"),
    "shared memory": (
        with_parameter("inputs", "shared_memory_region"),
        "user_id",
        "takes no shared memory; send the contents in the request",
    ),
}


class TestRefusals:
    @pytest.mark.parametrize(("request_", "field", "text"), INVALID.values(), ids=INVALID)
    def test_what_is_wrong_is_said(
        self, channel: grpc.Channel, request_: pb.ModelInferRequest, field: str, text: str
    ) -> None:
        with pytest.raises(grpc.RpcError, match=text) as caught:
            infer(channel, request_)
        status = status_of(caught.value)
        assert caught.value.code() is Code.INVALID_ARGUMENT
        assert field in [violated for violated, _ in violations_of(status)]
        (answer,) = stream(channel, [request_])
        assert answer.error_message == status.message

    def test_bytes_that_are_no_request(self, channel: grpc.Channel) -> None:
        call: Any = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        with pytest.raises(grpc.RpcError, match=r"not a inference.ModelInferRequest") as caught:
            call(b"\xff\xff", timeout=10)
        assert caught.value.code() is Code.INVALID_ARGUMENT

    @pytest.mark.parametrize(("model", "version"), [("other", ""), ("movielens", "7"), ("movielens", "stable")])
    def test_unknown_models(self, channel: grpc.Channel, model: str, version: str) -> None:
        with pytest.raises(grpc.RpcError, match=r"is not served|has no alias") as caught:
            infer(channel, infer_request(USER, ITEMS, model_name=model, model_version=version))
        assert caught.value.code() is Code.NOT_FOUND

    def test_loading_what_is_not_there(self, channel: grpc.Channel) -> None:
        for name in ("RepositoryModelLoad", "RepositoryModelUnload"):
            with pytest.raises(grpc.RpcError, match="model 'other' is not served") as caught:
                method(channel, name)(pb.RepositoryModelLoadRequest(model_name="other"))
            assert caught.value.code() is Code.NOT_FOUND
            with pytest.raises(grpc.RpcError, match="should name a model"):
                method(channel, name)(pb.RepositoryModelLoadRequest())

    def test_loading_with_a_configuration_of_the_clients(self, channel: grpc.Channel) -> None:
        request = pb.RepositoryModelLoadRequest(model_name="movielens")
        request.parameters["config"].string_param = "{}"
        with pytest.raises(grpc.RpcError, match="without: config") as caught:
            method(channel, "RepositoryModelLoad")(request)
        assert caught.value.code() is Code.INVALID_ARGUMENT
