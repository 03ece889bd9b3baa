"""The tensors of ModelInfer: ids in, scores out, as raw bytes or as typed contents."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rankserve_server.engine.engine import Scores
from rankserve_server.protocols.id_tensors import ITEM, SCORE, USER, IdTensor, check_names, shown, size_of, wrong
from rankserve_server.protocols.messages import open_inference_pb2 as pb
from rankserve_server.told import Ids

_DTYPES: dict[str, "npt.DTypeLike"] = {"INT32": "<i4", "INT64": "<i8"}
_CONTENTS = {"INT32": "int_contents", "INT64": "int64_contents"}
_SHARED_MEMORY = "shared_memory_region"


def users_and_items(request: pb.ModelInferRequest) -> tuple[IdTensor, IdTensor]:
    """The two inputs of a request.

    Raises:
        InvalidRequestError: where they are not two tensors of ids.
    """
    check_names([tensor.name for tensor in request.inputs])
    if request.raw_input_contents:
        _check_raw(request)
        raws: Sequence[bytes | None] = request.raw_input_contents
    else:
        raws = (None,) * len(request.inputs)
    found = {tensor.name: _decoded(tensor, raw) for tensor, raw in zip(request.inputs, raws, strict=True)}
    return found[USER], found[ITEM]


def add_scores(response: pb.ModelInferResponse, scores: Scores, shape: Sequence[int], raw: bool) -> None:
    """Adds the output, as the client has sent its inputs: its library may read nothing else."""
    output = response.outputs.add(name=SCORE, datatype="FP32", shape=shape)
    if raw:
        response.raw_output_contents.append(scores.astype("<f4", copy=False).tobytes())
    else:
        output.contents.fp32_contents.extend(scores.tolist())


def _check_raw(request: pb.ModelInferRequest) -> None:
    inputs, raws = len(request.inputs), len(request.raw_input_contents)
    if raws != inputs:
        raise wrong("raw_input_contents", f"should have one entry for each of the {inputs} inputs, got {raws}")
    for tensor in request.inputs:
        if tensor.HasField("contents"):
            raise wrong(tensor.name, "should have no `contents` where the request has `raw_input_contents`")


def _decoded(tensor: pb.ModelInferRequest.InferInputTensor, raw: bytes | None) -> IdTensor:
    name, datatype = tensor.name, tensor.datatype
    if _SHARED_MEMORY in tensor.parameters:
        raise wrong(name, "this server takes no shared memory; send the contents in the request")
    if datatype not in _DTYPES:
        raise wrong(name, f"its datatype should be INT32 or INT64, got {datatype!r}")
    size = size_of(name, tensor.shape)
    ids = _typed(tensor) if raw is None else _raw(name, datatype, raw)
    if len(ids) != size:
        raise wrong(name, f"its shape {shown(tensor.shape)} should have as many elements as were sent: {len(ids)}")
    return IdTensor(ids, tuple(tensor.shape))


def _raw(name: str, datatype: str, raw: bytes) -> Ids:
    dtype = np.dtype(_DTYPES[datatype])
    if len(raw) % dtype.itemsize:
        raise wrong(name, f"its raw contents should be {dtype.itemsize} bytes for each element, got {len(raw)} bytes")
    return np.frombuffer(raw, dtype).astype(np.int64)


def _typed(tensor: pb.ModelInferRequest.InferInputTensor) -> Ids:
    field = _CONTENTS[tensor.datatype]
    for other, _ in tensor.contents.ListFields():
        if other.name != field:
            raise wrong(tensor.name, f"its contents are {tensor.datatype}, to be sent as `{field}`, got `{other.name}`")
    return np.array(getattr(tensor.contents, field), np.int64)
