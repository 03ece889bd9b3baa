"""Requests of other protocols whose bytes were damaged are answered or refused: no fault comes of it."""

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from integration import open_inference, tf_serving
from rankserve_server.config import ServerConfig
from rankserve_server.protocols.messages import open_inference_pb2, tf_serving_pb2
from reliability.threaded_server import threaded_server

Code = grpc.StatusCode
USERS, ITEMS = np.array([2, 5, 2], np.int32), np.array([1, 4, 7])
REQUESTS: dict[str, Message] = {
    "/inference.GRPCInferenceService/ModelInfer": open_inference.infer_request(USERS, ITEMS, model_name="small"),
    "/inference.GRPCInferenceService/ModelConfig": open_inference_pb2.ModelConfigRequest(name="small", version="3"),
    "/tensorflow.serving.PredictionService/Predict": tf_serving.predict_request(USERS, ITEMS, raw=False, name="small"),
    "/tensorflow.serving.PredictionService/Regress": tf_serving_pb2.RegressionRequest(
        input=tf_serving.with_context(2, ITEMS)
    ),
    "/tensorflow.serving.PredictionService/GetModelMetadata": tf_serving_pb2.GetModelMetadataRequest(
        model_spec=tf_serving_pb2.ModelSpec(name="small"), metadata_field=["signature_def"]
    ),
}


@pytest.fixture(scope="module", params=["aio", "direct"])
def channel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[grpc.Channel]:
    models = tmp_path_factory.mktemp("damaged") / "models"
    with (
        threaded_server(ServerConfig(transport=request.param), models) as address,
        grpc.insecure_channel(address) as opened,
    ):
        yield opened


@st.composite
def damaged(draw: st.DrawFn, message: bytes) -> bytes:
    """With up to four bytes replaced, and perhaps an end that is missing."""
    content = bytearray(message)
    for place, byte in draw(
        st.lists(st.tuples(st.integers(0, len(message) - 1), st.integers(0, 255)), min_size=1, max_size=4)
    ):
        content[place] = byte
    return bytes(content[: draw(st.just(len(content)) | st.integers(0, len(content)))])


@pytest.mark.parametrize("path", REQUESTS)
@settings(max_examples=150)
@given(data=st.data())
def test_it_is_answered_or_refused(channel: grpc.Channel, path: str, data: st.DataObject) -> None:
    call: Any = channel.unary_unary(path)
    ended = call.future(data.draw(damaged(REQUESTS[path].SerializeToString())), timeout=10)
    assert ended.code() in {Code.OK, Code.INVALID_ARGUMENT, Code.NOT_FOUND}, ended.details()
