"""TF Serving's protocol on a real server: it answers what Rank answers, and explains what it refuses."""

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from integration.rank_scores import rank_scores
from integration.server_process import ServerProcess
from integration.statuses import status_of, violations_of
from integration.tf_serving import (
    example,
    method,
    predict_request,
    scores_of,
    tensor,
    with_context,
    without_context,
)
from rankserve.v1 import ranking_pb2_grpc
from rankserve_server.protocols.messages import tensorflow_pb2 as tf
from rankserve_server.protocols.messages import tf_serving_pb2 as pb

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


class TestPredict:
    @pytest.mark.parametrize("dtype", [np.int32, np.int64])
    @pytest.mark.parametrize("raw", [True, False])
    @pytest.mark.parametrize(
        ("users", "items", "pairs"),
        [
            ([42], [204, 141, 131], [42, 42, 42]),
            (42, [204], [42]),
            (42, 204, [42]),
            ([42, 7, 42], [204, 141, 131], [42, 7, 42]),
            ([[42], [7]], [[204, 141], [204, 5_000]], [42, 42, 7, 7]),
        ],
    )
    def test_scores_are_those_of_rank(
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
        response = method(channel, "Predict")(predict_request(np.array(users, dtype), item_ids, raw=raw))
        scores = scores_of(response)
        assert scores.shape == item_ids.shape
        np.testing.assert_array_equal(scores.ravel(), rank_scores(ranking, pairs, item_ids))
        spec = response.model_spec
        assert (spec.name, spec.version.value, spec.signature_name) == ("movielens", 1, "serving_default")

    @settings(max_examples=40)
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
        ids = st.integers(1, 1_000) | st.integers(int(bounds.min), int(bounds.max))
        items = data.draw(arrays.arrays(dtype, st.integers(1, 20), elements=ids))
        users = data.draw(arrays.arrays(dtype, len(items) if per_row else 1, elements=ids))
        scores = scores_of(method(channel, "Predict")(predict_request(users, items, raw=raw)))
        np.testing.assert_array_equal(scores, rank_scores(ranking, np.broadcast_to(users, items.shape), items))

    def test_one_value_stands_for_all(self, channel: grpc.Channel) -> None:
        request = predict_request(USER, np.full(5, 204))
        request.inputs["item_id"].ClearField("tensor_content")
        request.inputs["item_id"].int64_val.append(204)
        scores = scores_of(method(channel, "Predict")(request))
        assert len(set(scores.tolist())) == 1
        assert scores.shape == (5,)

    @pytest.mark.parametrize("signature", ["serving_default", "predict"])
    def test_its_signatures(self, channel: grpc.Channel, signature: str) -> None:
        request = predict_request(USER, ITEMS, name="movielens", signature_name=signature)
        request.output_filter.append("score")
        assert method(channel, "Predict")(request).model_spec.signature_name == signature

    def test_a_number_as_a_label(self, channel: grpc.Channel) -> None:
        """As perf_analyzer sends a version."""
        request = predict_request(USER, ITEMS, name="movielens", version_label="1")
        assert method(channel, "Predict")(request).model_spec.version.value == 1


class TestExamples:
    @pytest.mark.parametrize(
        ("input_", "users"),
        [
            (with_context(42, ITEMS), [42] * 3),
            (with_context(9_999, ITEMS), [9_999] * 3),
            (without_context([42, 7, 42], ITEMS), [42, 7, 42]),
        ],
    )
    def test_scores_are_those_of_rank(
        self, channel: grpc.Channel, ranking: ranking_pb2_grpc.RankingServiceStub, input_: pb.Input, users: list[int]
    ) -> None:
        expected = rank_scores(ranking, users, ITEMS).tolist()
        regressed = method(channel, "Regress")(pb.RegressionRequest(input=input_))
        assert [each.value for each in regressed.result.regressions] == expected
        classified = method(channel, "Classify")(pb.ClassificationRequest(input=input_))
        classes = [each.classes for each in classified.result.classifications]
        assert [[(c.label, c.score) for c in each] for each in classes] == [
            [(str(item), score)] for item, score in zip(ITEMS, expected, strict=True)
        ]
        for response in (regressed, classified):
            assert (response.model_spec.name, response.model_spec.version.value) == ("movielens", 1)

    def test_a_context_without_the_user_leaves_him_to_the_examples(self, channel: grpc.Channel) -> None:
        plain = without_context([42, 7], [204, 141])
        listed = pb.ExampleListWithContext(context=example(), examples=plain.example_list.examples)
        inputs = (plain, pb.Input(example_list_with_context=listed))
        first, second = (method(channel, "Regress")(pb.RegressionRequest(input=each)) for each in inputs)
        assert first == second


class TestModels:
    def test_signatures(self, channel: grpc.Channel) -> None:
        request = pb.GetModelMetadataRequest(
            model_spec=pb.ModelSpec(name="movielens"), metadata_field=["signature_def"]
        )
        response = method(channel, "GetModelMetadata")(request)
        assert response.model_spec.version.value == 1
        packed = response.metadata["signature_def"]
        assert packed.type_url == "type.googleapis.com/tensorflow.serving.SignatureDefMap"
        signatures = pb.SignatureDefMap.FromString(packed.value).signature_def
        assert set(signatures) == {"serving_default", "predict", "regression", "classification"}
        default = signatures["serving_default"]
        assert default.method_name == "tensorflow/serving/predict"
        for name in ("user_id", "item_id"):
            # The ids fit; and perf_analyzer spoils int64.
            assert default.inputs[name].dtype == tf.DT_INT32
            assert [dimension.size for dimension in default.inputs[name].tensor_shape.dim] == [-1]
        assert default.outputs["score"].dtype == tf.DT_FLOAT

    @pytest.mark.parametrize("fields", [[], ["other"], ["signature_def", "other"]])
    def test_there_is_no_other_metadata(self, channel: grpc.Channel, fields: list[str]) -> None:
        request = pb.GetModelMetadataRequest(metadata_field=fields)
        refused(channel, "GetModelMetadata", request, "metadata_field", "should be 'signature_def', got ")

    def test_status(self, channel: grpc.Channel) -> None:
        for spec in (pb.ModelSpec(name="movielens"), pb.ModelSpec(), pb.ModelSpec(version_label="1")):
            response = method(channel, "GetModelStatus")(pb.GetModelStatusRequest(model_spec=spec))
            (status,) = response.model_version_status
            assert (status.version, status.state) == (1, pb.ModelVersionStatus.AVAILABLE)
            assert not status.status.error_code


def refused(channel: grpc.Channel, name: str, request: Message, field: str, text: str) -> None:
    with pytest.raises(grpc.RpcError, match=text) as caught:
        method(channel, name)(request)
    assert caught.value.code() is Code.INVALID_ARGUMENT
    assert field in [violated for violated, _ in violations_of(status_of(caught.value))]


def with_item(**fields: Any) -> pb.PredictRequest:
    """A good request but for its items."""
    request = predict_request(USER, ITEMS)
    request.inputs["item_id"].CopyFrom(tf.TensorProto(**fields))
    return request


def shape(*sizes: int) -> tf.TensorShapeProto:
    return tf.TensorShapeProto(dim=[tf.TensorShapeProto.Dim(size=size) for size in sizes])


def with_inputs(**inputs: npt.NDArray[np.int64]) -> pb.PredictRequest:
    return pb.PredictRequest(inputs={name: tensor(ids) for name, ids in inputs.items()})


INVALID_PREDICT: dict[str, tuple[pb.PredictRequest, str, str]] = {
    "nothing": (pb.PredictRequest(), "user_id", "is missing; it should be an input of int32 or int64"),
    "no items": (with_inputs(user_id=USER), "item_id", "is missing"),
    "another input": (
        with_inputs(user_id=USER, item_id=ITEMS, examples=USER),
        "inputs",
        "there is no input 'examples'; these are: user_id, item_id",
    ),
    "lengths that do not match": (
        predict_request(np.array([1, 2]), ITEMS),
        "user_id",
        r"got shape \[2\] for item_id of shape \[3\]",
    ),
    "no candidates": (predict_request(USER, ITEMS[:0]), "item_id", "should have one candidate or more, got none"),
    "floats": (
        with_item(dtype=tf.DT_FLOAT, tensor_shape=shape(1), float_val=[1]),
        "item_id",
        "its dtype should be DT_INT32 or DT_INT64, got DT_FLOAT",
    ),
    "a dtype that nobody knows": (with_item(dtype=77), "item_id", "got dtype 77"),
    "no rank": (
        with_item(dtype=tf.DT_INT64, tensor_shape=tf.TensorShapeProto(unknown_rank=True), int64_val=[1]),
        "item_id",
        "its shape should be known",
    ),
    "a negative dimension": (
        with_item(dtype=tf.DT_INT64, tensor_shape=shape(-1), int64_val=[1]),
        "item_id",
        r"its shape should have no negative dimensions, got \[-1\]",
    ),
    "one value for more than there is memory": (
        with_item(dtype=tf.DT_INT64, tensor_shape=shape(2**40), int64_val=[1]),
        "item_id",
        "at most 100000 elements are accepted, got 1099511627776",
    ),
    "values of another type": (
        with_item(dtype=tf.DT_INT64, tensor_shape=shape(2), int_val=[1, 2]),
        "item_id",
        r"its shape \[2\] should have as many elements as were sent in `tensor_content` or `int64_val`: 0",
    ),
    "too few values": (
        with_item(dtype=tf.DT_INT32, tensor_shape=shape(3), int_val=[1, 2]),
        "item_id",
        "as were sent in `tensor_content` or `int_val`: 2",
    ),
    "half an id": (
        with_item(dtype=tf.DT_INT64, tensor_shape=shape(3), tensor_content=ITEMS.tobytes()[:-1]),
        "item_id",
        "its `tensor_content` should be 8 bytes for each element, got 23 bytes",
    ),
    "too many candidates": (
        predict_request(USER, np.ones(10_001, np.int32)),
        "item_id",
        "at most 10000 are accepted, got 10001",
    ),
    "huge contents": (
        predict_request(USER, np.ones(500_000, np.int32)),
        "item_id",
        "at most 100000 elements are accepted, got 500000",
    ),
    "another output": (
        pb.PredictRequest(output_filter=["label"]),
        "outputs",
        "there is no output 'label'; there is: score",
    ),
    "another signature": (
        predict_request(USER, ITEMS, signature_name="regression"),
        "model_spec.signature_name",
        "this method knows the signatures serving_default and predict, got 'regression'",
    ),
}
STRING = tf.Example(features=tf.Features(feature={"item_id": tf.Feature(bytes_list=tf.BytesList(value=[b"204"]))}))
TWO = tf.Example(features=tf.Features(feature={"item_id": tf.Feature(int64_list=tf.Int64List(value=[1, 2]))}))
EMPTY = tf.Example(features=tf.Features(feature={"item_id": tf.Feature()}))
ONE_VALUE = "should be a feature with one value in `int64_list`; "


def of_user(*examples: tf.Example) -> pb.Input:
    listed = pb.ExampleListWithContext(context=example(user_id=42), examples=examples)
    return pb.Input(example_list_with_context=listed)


INVALID_INPUTS: dict[str, tuple[pb.Input, str, str]] = {
    "nothing": (pb.Input(), "item_id", "should have one candidate or more, got none"),
    "no candidates": (with_context(42, []), "item_id", "should have one candidate or more, got none"),
    "no user": (
        pb.Input(example_list=pb.ExampleList(examples=[example(item_id=1)])),
        "examples[0].user_id",
        ONE_VALUE + "it is missing",
    ),
    "no item": (of_user(example(item_id=1), example()), "examples[1].item_id", ONE_VALUE + "it is missing"),
    "the user twice": (
        of_user(example(item_id=1, user_id=2)),
        "examples[0].user_id",
        "is in the context too; it should be in one of the two",
    ),
    "a string": (of_user(STRING), "examples[0].item_id", ONE_VALUE + "got bytes_list"),
    "a context without a number": (
        pb.Input(
            example_list_with_context=pb.ExampleListWithContext(
                context=tf.Example(features=tf.Features(feature={"user_id": tf.Feature()})),
                examples=[example(item_id=1)],
            )
        ),
        "context.user_id",
        ONE_VALUE + "got nothing",
    ),
    "two values": (of_user(TWO), "examples[0].item_id", ONE_VALUE + "got 2"),
    "no value": (of_user(EMPTY), "examples[0].item_id", ONE_VALUE + "got nothing"),
    "too many": (with_context(42, [1] * 10_001), "input.examples", "at most 10000 are accepted, got 10001"),
}


class TestRefusals:
    @pytest.mark.parametrize(("request_", "field", "text"), INVALID_PREDICT.values(), ids=INVALID_PREDICT)
    def test_of_tensors(self, channel: grpc.Channel, request_: pb.PredictRequest, field: str, text: str) -> None:
        refused(channel, "Predict", request_, field, text)

    @pytest.mark.parametrize(("input_", "field", "text"), INVALID_INPUTS.values(), ids=INVALID_INPUTS)
    def test_of_examples(self, channel: grpc.Channel, input_: pb.Input, field: str, text: str) -> None:
        refused(channel, "Regress", pb.RegressionRequest(input=input_), field, text)
        refused(channel, "Classify", pb.ClassificationRequest(input=input_), field, text)

    @pytest.mark.parametrize(
        ("spec", "text"),
        [
            ({"name": "other"}, "model 'other' is not served; these are: movielens"),
            ({"name": "movielens", "version_label": "stable"}, "model 'movielens' has no alias 'stable'"),
            ({"name": "movielens", "version_label": "2"}, "version 2 of model 'movielens' is not served; version 1 is"),
        ],
    )
    def test_unknown_models(self, channel: grpc.Channel, spec: dict[str, Any], text: str) -> None:
        model_spec = pb.ModelSpec(**spec)
        requests: dict[str, Message] = {
            "Predict": predict_request(USER, ITEMS, **spec),
            "Regress": pb.RegressionRequest(model_spec=model_spec, input=with_context(42, [1])),
            "Classify": pb.ClassificationRequest(model_spec=model_spec, input=with_context(42, [1])),
            "GetModelMetadata": pb.GetModelMetadataRequest(model_spec=model_spec, metadata_field=["signature_def"]),
            "GetModelStatus": pb.GetModelStatusRequest(model_spec=model_spec),
        }
        for name, request in requests.items():
            with pytest.raises(grpc.RpcError, match=text) as caught:
                method(channel, name)(request)
            assert caught.value.code() is Code.NOT_FOUND

    def test_unknown_versions(self, channel: grpc.Channel) -> None:
        for version in (0, -1, 2, 2**62):
            request = predict_request(USER, ITEMS, name="movielens")
            request.model_spec.version.value = version
            with pytest.raises(grpc.RpcError, match=f"version {version} of model 'movielens' is not served") as caught:
                method(channel, "Predict")(request)
            assert caught.value.code() is Code.NOT_FOUND

    def test_bytes_that_are_no_request(self, channel: grpc.Channel) -> None:
        call: Any = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        with pytest.raises(grpc.RpcError, match=r"not a tensorflow.serving.PredictRequest") as caught:
            call(b"\xff\xff", timeout=10)
        assert caught.value.code() is Code.INVALID_ARGUMENT
