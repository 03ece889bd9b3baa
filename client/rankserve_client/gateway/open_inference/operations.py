"""`/v2`: what clients of KServe, Triton and MLServer call."""

from http import HTTPStatus

import msgspec
from starlette.responses import Response

from rankserve_client.gateway.bodies import decoded
from rankserve_client.gateway.calls import Call
from rankserve_client.gateway.open_inference import binary
from rankserve_client.gateway.open_inference.messages import (
    InferRequest,
    InferResponse,
    Live,
    ModelMetadata,
    ModelReady,
    Ready,
    ResponseOutput,
    ServerMetadata,
    TensorMetadata,
)
from rankserve_client.gateway.operations import MODEL, OPEN_INFERENCE, VERSION, Operation
from rankserve_client.gateway.pairs import Selection, model_of, score_pairs, selection_of
from rankserve_client.gateway.problems import invalid
from rankserve_client.gateway.tensors import ITEM, SCORE, USER, Tensor, check_names, from_flat, users_of
from rankserve_client.version import __version__

_DATATYPES = ("INT32", "INT64")
_ANY = -1
_EXAMPLE = {
    "inputs": [
        {"name": USER, "datatype": "INT64", "shape": [1], "data": [42]},
        {"name": ITEM, "datatype": "INT64", "shape": [3], "data": [204, 141, 131]},
    ]
}
_NOT_READY = (HTTPStatus.SERVICE_UNAVAILABLE.value, "Not ready.")


async def live(_call: Call) -> Live:
    """Whether the gateway lives."""
    return Live(live=True)


async def ready(call: Call) -> Response:
    """Whether the server answers; the status says it too."""
    return _told(Ready(ready=await call.upstream.is_serving()))


async def server_metadata(_call: Call) -> ServerMetadata:
    """Who answers."""
    return ServerMetadata("rankserve", __version__, ["binary_tensor_data"])


async def model_ready(call: Call) -> Response:
    """Whether a version answers; the status says it too."""
    model = await model_of(call, _selection(call))
    return _told(ModelReady(name=model.name, ready=model.state == "ready"))


async def model_metadata(call: Call) -> ModelMetadata:
    """What a model takes and gives."""
    asked = await model_of(call, _selection(call))
    models = await call.connection.client.models()
    return ModelMetadata(
        name=asked.name,
        versions=[str(m.version) for m in reversed(models) if (m.name, m.state) == (asked.name, "ready")],
        platform="rankserve",
        inputs=[TensorMetadata(USER, "INT64", [_ANY, 1]), TensorMetadata(ITEM, "INT64", [_ANY, _ANY])],
        outputs=[TensorMetadata(SCORE, "FP32", [_ANY, _ANY])],
    )


async def infer(call: Call) -> Response:
    """Scores pairs of users and items."""
    text, content = binary.split(call)
    request = decoded(text, InferRequest)
    check_names([entry.name for entry in request.inputs])
    for output in request.outputs:
        if output.name != SCORE:
            raise invalid("outputs", f"there is no output {output.name[:40]!r}; there is: {SCORE}")
        if "classification" in output.parameters or "shared_memory_region" in output.parameters:
            raise invalid("outputs", "this server knows neither classification nor shared memory; leave them out")
    users, items = _inputs(request, content)
    scored = await score_pairs(call, users_of(users, items), items.ids, _selection(call))
    response = InferResponse(
        model_name=scored.model_name,
        model_version=str(scored.model_version),
        outputs=[ResponseOutput(SCORE, "FP32", list(items.shape), scored.scores)],
        id=request.id,
    )
    return _binary(response) if _wants_binary(request) else _told(response)


def _inputs(request: InferRequest, content: bytes) -> tuple[Tensor, Tensor]:
    for entry in request.inputs:
        if entry.datatype not in _DATATYPES:
            raise invalid(entry.name, f"its datatype should be INT32 or INT64, got {entry.datatype[:40]!r}")
    tensors = binary.tensors_of(request, content)
    for entry in request.inputs:
        if entry.name not in tensors:
            if entry.data is msgspec.UNSET:
                raise invalid(entry.name, f"should have `data`, or {binary.SIZE} for bytes behind the JSON")
            tensors[entry.name] = from_flat(entry.name, entry.data, entry.shape)
    return tensors[USER], tensors[ITEM]


def _wants_binary(request: InferRequest) -> bool:
    everything = request.parameters.get("binary_data_output") is True
    return any(output.parameters.get("binary_data", everything) is True for output in request.outputs) or (
        everything and not request.outputs
    )


def _binary(response: InferResponse) -> Response:
    (output,) = response.outputs
    if output.data is msgspec.UNSET:
        raise RuntimeError("an answer without its scores")
    scores = binary.encoded(output.data)
    described = ResponseOutput(output.name, output.datatype, output.shape, parameters={binary.SIZE: len(scores)})
    text = msgspec.json.encode(msgspec.structs.replace(response, outputs=[described]))
    headers = {binary.LENGTH_HEADER: str(len(text))}
    return Response(text + scores, headers=headers, media_type="application/octet-stream")


def _told(message: Ready | ModelReady | InferResponse) -> Response:
    is_ready = getattr(message, "ready", True)
    status = HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE
    return Response(msgspec.json.encode(message), status, media_type="application/json")


def _selection(call: Call) -> Selection:
    return selection_of(call.path("model"), call.request.path_params.get("version"))


def _both(suffix: str) -> "tuple[tuple[str, str], tuple[str, str]]":
    """The paths with and without a version, and what is added to the operation's name."""
    return ("/v2/models/{model}" + suffix, ""), ("/v2/models/{model}/versions/{version}" + suffix, "OfVersion")


OPERATIONS = (
    Operation("GET", "/v2", "v2Metadata", "Who answers.", server_metadata, OPEN_INFERENCE, ServerMetadata, open=True),
    Operation("GET", "/v2/health/live", "v2Live", "Whether the gateway lives.", live, OPEN_INFERENCE, Live, open=True),
    Operation(
        "GET",
        "/v2/health/ready",
        "v2Ready",
        "Whether the server answers.",
        ready,
        OPEN_INFERENCE,
        Ready,
        statuses=((200, "Ready."), _NOT_READY),
        open=True,
    ),
    *(
        Operation(
            "GET",
            path,
            f"v2ModelReady{suffix}",
            "Whether a version answers.",
            model_ready,
            OPEN_INFERENCE,
            ModelReady,
            parameters=(MODEL, VERSION) if suffix else (MODEL,),
            statuses=((200, "Ready."), _NOT_READY),
        )
        for path, suffix in _both("/ready")
    ),
    *(
        Operation(
            "GET",
            path,
            f"v2ModelMetadata{suffix}",
            "What a model takes and gives.",
            model_metadata,
            OPEN_INFERENCE,
            ModelMetadata,
            parameters=(MODEL, VERSION) if suffix else (MODEL,),
        )
        for path, suffix in _both("")
    ),
    *(
        Operation(
            "POST",
            path,
            f"v2Infer{suffix}",
            "Score pairs of users and items.",
            infer,
            OPEN_INFERENCE,
            InferResponse,
            InferRequest,
            (MODEL, VERSION) if suffix else (MODEL,),
            _EXAMPLE,
        )
        for path, suffix in _both("/infer")
    ),
)
