"""Our messages have the names, numbers and types that the libraries of others were generated with."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from integration.peers.conftest import RunProgram
from integration.peers.descriptions import described
from rankserve_server.protocols.messages import open_inference_pb2, tf_serving_pb2

pytestmark = pytest.mark.peers
APIS = "tensorflow_serving.apis"
# Where KServe's differ from Triton's, whose numbers are ours; the server understands both.
TRITONS = {
    f"inference.RepositoryModel{verb}{kind}"
    for verb in ("Load", "Unload")
    for kind in ("Request", "Request.ParametersEntry")
}
# Where Triton's are empty and KServe's are ours.
KSERVES = {f"inference.RepositoryModel{verb}Response" for verb in ("Load", "Unload")}


def differences(ours: dict[str, Any], theirs: dict[str, Any]) -> Iterator[str]:
    """What we declare otherwise; what they have beyond that does not count."""
    for name, members in ours.items():
        if name not in theirs:
            yield f"{name}: only ours"
            continue
        for member, content in members.items():
            if theirs[name].get(member) != content:
                yield f"{name}.{member}: {content}, theirs is {theirs[name].get(member)}"


def ours_of(module: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(described(module.DESCRIPTOR)))
    return found


def test_those_of_triton(run_program: RunProgram) -> None:
    theirs = run_program("descriptors", "tritonclient", "tritonclient.grpc.service_pb2")
    ours = {name: members for name, members in ours_of(open_inference_pb2).items() if name not in KSERVES}
    assert list(differences(ours, theirs)) == []


def test_those_of_kserve(run_program: RunProgram) -> None:
    theirs = run_program("descriptors", "kserve", "kserve.protocol.grpc.grpc_predict_v2_pb2")
    service = theirs["inference.GRPCInferenceService"]
    ours = {name: members for name, members in ours_of(open_inference_pb2).items() if name in theirs.keys() - TRITONS}
    ours["inference.GRPCInferenceService"] = {
        name: method for name, method in ours["inference.GRPCInferenceService"].items() if name in service
    }
    assert ours.keys() > KSERVES
    # Triton has added to these two since.
    assert list(differences(ours, theirs)) == [
        "inference.InferParameter.double_param: [4, 1, False, 'parameter_choice'], theirs is None",
        "inference.InferParameter.uint64_param: [5, 4, False, 'parameter_choice'], theirs is None",
    ]


def test_those_of_tf_serving(run_program: RunProgram) -> None:
    modules = ("prediction_service_pb2", "model_service_pb2")
    theirs = run_program("descriptors", "tensorflow_serving", *(f"{APIS}.{module}" for module in modules))
    assert list(differences(ours_of(tf_serving_pb2), theirs)) == []
