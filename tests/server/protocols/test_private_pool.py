"""Whoever imports a client library of one of the protocols beside the server, first or last, meets no clash."""

import os
import subprocess
import sys

import pytest
from google.protobuf import descriptor_pb2

from rankserve_server.protocols.messages import (
    open_inference_pb2,
    tensorflow_error_pb2,
    tensorflow_pb2,
    tf_serving_pb2,
)

# Stands for a client library: the same messages in the default pool, in files of other names.
PROGRAM = """
import sys
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

def ours():
    from rankserve_server.protocols.messages import open_inference_pb2, tf_serving_pb2
    request = open_inference_pb2.ModelInferRequest(model_name="a")
    request.inputs.add(name="b", shape=[1]).contents.int64_contents.append(2)
    assert open_inference_pb2.ModelInferRequest.FromString(request.SerializeToString()) == request
    assert open_inference_pb2.ModelInferRequest.InferInputTensor is type(request.inputs[0])
    spec = tf_serving_pb2.ModelSpec()
    spec.version.value = 3
    assert tf_serving_pb2.ModelSpec.FromString(spec.SerializeToString()).version.value == 3

def theirs(files):
    for file in files:
        descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
    for name in ("inference.ModelInferRequest", "tensorflow.serving.PredictRequest", "tensorflow.TensorProto"):
        message = message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(name))
        message.FromString(message().SerializeToString())

files = descriptor_pb2.FileDescriptorSet.FromString(sys.stdin.buffer.read()).file
for step in sys.argv[1:]:
    ours() if step == "ours" else theirs(files)
"""


@pytest.fixture(scope="module")
def files() -> bytes:
    """Those of the protocols, under other names."""
    found = descriptor_pb2.FileDescriptorSet()
    for module in (open_inference_pb2, tensorflow_pb2, tensorflow_error_pb2, tf_serving_pb2):
        file = found.file.add()
        module.DESCRIPTOR.CopyToProto(file)
        file.name = _other(file.name)
        file.dependency[:] = map(_other, file.dependency)
    return found.SerializeToString()


def _other(name: str) -> str:
    return name.replace("rankserve_server/", "others/")


@pytest.mark.parametrize("order", [("ours", "theirs"), ("theirs", "ours")], ids="-".join)
@pytest.mark.parametrize("implementation", ["upb", "python"])
def test_both_can_be_imported(files: bytes, order: tuple[str, str], implementation: str) -> None:
    # The well-known types that the others import are those of protobuf itself.
    program = "from google.protobuf import any_pb2, wrappers_pb2\n" + PROGRAM
    process = subprocess.run(
        [sys.executable, "-c", program, *order],
        env=os.environ | {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": implementation},
        input=files,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert process.returncode == 0, process.stderr.decode()
