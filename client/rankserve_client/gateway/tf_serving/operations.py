"""`/v1/models`: what clients of TensorFlow Serving call."""

from typing import Any

import grpc
from msgspec import UNSET

from rankserve_client.errors import ModelNotFound
from rankserve_client.gateway.calls import Call, integer
from rankserve_client.gateway.operations import MODEL, TF_SERVING, Operation, Parameter
from rankserve_client.gateway.pairs import Scored, Selection, model_of, score_pairs
from rankserve_client.gateway.problems import invalid, shown
from rankserve_client.gateway.tensors import INPUTS, ITEM, USER, check_names, from_nested, to_nested, users_of
from rankserve_client.gateway.tf_serving.messages import (
    ClassifyResponse,
    ExamplesRequest,
    MetadataResponse,
    ModelSpec,
    PredictRequest,
    PredictResponse,
    RegressResponse,
    State,
    Status,
    StatusResponse,
    VersionStatus,
)
from rankserve_client.gateway.tf_serving.signatures import SIGNATURES
from rankserve_client.model_info import ModelInfo

_DEFAULT_SIGNATURE = "serving_default"
_VERSION = Parameter("version", "A version's number.", {"type": "integer", "minimum": 1}, where="path")
_LABEL = Parameter("label", "An alias.", where="path")
_PLACES = (
    ("/v1/models/{model}", "", (MODEL,)),
    ("/v1/models/{model}/versions/{version}", "OfVersion", (MODEL, _VERSION)),
    ("/v1/models/{model}/labels/{label}", "OfLabel", (MODEL, _LABEL)),
)
_STATES: dict[str, State] = {"loading": "LOADING", "ready": "AVAILABLE", "failed": "END", "unknown": "UNKNOWN"}
_EXAMPLES = {"context": {USER: 42}, "examples": [{ITEM: 204}, {ITEM: 141}, {ITEM: 131}]}


async def predict(call: Call) -> PredictResponse:
    """Scores pairs, row by row or column by column."""
    request = call.decoded(PredictRequest)
    _check_signature(request.signature_name, "predict")
    if request.instances is UNSET and request.inputs is not UNSET:
        columns = request.inputs
    elif request.instances is not UNSET and request.inputs is UNSET:
        columns = _columns(request.instances)
    else:
        raise invalid("instances", "should be given, or `inputs` instead of it: exactly one of them")
    check_names(list(columns))
    users, items = from_nested(USER, columns[USER]), from_nested(ITEM, columns[ITEM])
    scored = await score_pairs(call, users_of(users, items), items.ids, _selection(call))
    nested = to_nested(scored.scores, items.shape)
    return PredictResponse(outputs=nested) if request.instances is UNSET else PredictResponse(predictions=nested)


async def regress(call: Call) -> RegressResponse:
    """Scores each example."""
    scored, _ = await _scored_examples(call, "regression")
    return RegressResponse(scored.scores)


async def classify(call: Call) -> ClassifyResponse:
    """Scores each example; its class is its item."""
    scored, items = await _scored_examples(call, "classification")
    return ClassifyResponse([[(str(item), score)] for item, score in zip(items, scored.scores, strict=True)])


async def status(call: Call) -> StatusResponse:
    """How a version is, or every version of a model."""
    selection = _selection(call)
    if selection["version"] is None and selection["alias"] is None:
        models = [model for model in await call.connection.client.models() if model.name == selection["model"]]
    else:
        models = [await model_of(call, selection)]
    if not models:
        raise ModelNotFound(f"there is no model {selection['model'][:80]!r}", grpc.StatusCode.NOT_FOUND)
    return StatusResponse([_status(model) for model in models])


async def metadata(call: Call) -> MetadataResponse:
    """The signatures of a version."""
    model = await model_of(call, _selection(call))
    spec = ModelSpec(model.name, "", str(model.version))
    return MetadataResponse(spec, {"signature_def": {"signature_def": SIGNATURES}})


def _columns(instances: list[dict[str, Any]]) -> dict[str, Any]:
    """The inputs of rows, which all have to have the same ones."""
    if not instances:
        raise invalid("instances", "should have one or more, got none")
    for place, instance in enumerate(instances):
        if instance.keys() != set(INPUTS):
            raise invalid(f"instances[{place}]", f"should have {USER} and {ITEM}, got {shown(instance)}")
    return {name: [instance[name] for instance in instances] for name in INPUTS}


async def _scored_examples(call: Call, signature: str) -> tuple[Scored, list[int]]:
    request = call.decoded(ExamplesRequest)
    _check_signature(request.signature_name, signature)
    users, items = [], []
    for place, example in enumerate(request.examples):
        features = request.context | example
        if features.keys() != set(INPUTS):
            raise invalid(f"examples[{place}]", f"should have {USER} and {ITEM}, got {shown(features)}")
        users.append(_single(f"examples[{place}].{USER}", features[USER]))
        items.append(_single(f"examples[{place}].{ITEM}", features[ITEM]))
    return await score_pairs(call, users, items, _selection(call)), items


def _single(name: str, value: Any) -> int:
    """A feature's only value, which may stand in a list."""
    ids = from_nested(name, value).ids
    if len(ids) != 1:
        raise invalid(name, f"should be one integer, got {shown(value)}")
    return ids[0]


def _check_signature(name: str, own: str) -> None:
    if name not in ("", _DEFAULT_SIGNATURE, own):
        raise invalid("signature_name", f"should be {_DEFAULT_SIGNATURE} or {own}, got {name[:40]!r}")


def _selection(call: Call) -> Selection:
    parts = call.request.path_params
    version = integer("version", parts["version"], low=1) if "version" in parts else None
    return {"model": parts["model"], "version": version, "alias": parts.get("label")}


def _status(model: ModelInfo) -> VersionStatus:
    failed = model.state == "failed"
    said = Status("UNKNOWN" if failed else "OK", model.state_message if failed else "")
    return VersionStatus(str(model.version), _STATES[model.state], said)


OPERATIONS = (
    *(
        Operation(
            "POST",
            f"{path}:predict",
            f"v1Predict{suffix}",
            "Score pairs of users and items.",
            predict,
            TF_SERVING,
            PredictResponse,
            PredictRequest,
            parameters,
            {"inputs": {USER: [42], ITEM: [204, 141, 131]}},
        )
        for path, suffix, parameters in _PLACES
    ),
    *(
        Operation(
            "POST",
            f"{path}:regress",
            f"v1Regress{suffix}",
            "Score examples.",
            regress,
            TF_SERVING,
            RegressResponse,
            ExamplesRequest,
            parameters,
            _EXAMPLES,
        )
        for path, suffix, parameters in _PLACES
    ),
    *(
        Operation(
            "POST",
            f"{path}:classify",
            f"v1Classify{suffix}",
            "Score examples, each as a class of its own.",
            classify,
            TF_SERVING,
            ClassifyResponse,
            ExamplesRequest,
            parameters,
            _EXAMPLES,
        )
        for path, suffix, parameters in _PLACES
    ),
    *(
        Operation(
            "GET",
            path,
            f"v1Status{suffix}",
            "How versions are.",
            status,
            TF_SERVING,
            StatusResponse,
            parameters=parameters,
        )
        for path, suffix, parameters in _PLACES
    ),
    *(
        Operation(
            "GET",
            f"{path}/metadata",
            f"v1Metadata{suffix}",
            "The signatures.",
            metadata,
            TF_SERVING,
            MetadataResponse,
            parameters=parameters,
        )
        for path, suffix, parameters in _PLACES
    ),
)
