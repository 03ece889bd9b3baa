"""What `/metadata` tells: the signatures of a model, in the JSON of their protos."""

from typing import Any

from rankserve_client.gateway.tensors import ITEM, SCORE, USER


def _tensor(name: str, dtype: str) -> dict[str, Any]:
    shape = {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}
    return {"dtype": dtype, "tensor_shape": shape, "name": f"{name}:0"}


def _signature(method: str, inputs: dict[str, str], outputs: dict[str, str]) -> dict[str, Any]:
    return {
        "inputs": {name: _tensor(name, dtype) for name, dtype in inputs.items()},
        "outputs": {name: _tensor(name, dtype) for name, dtype in outputs.items()},
        "method_name": f"tensorflow/serving/{method}",
    }


_PREDICT = _signature("predict", {USER: "DT_INT64", ITEM: "DT_INT64"}, {SCORE: "DT_FLOAT"})
SIGNATURES: dict[str, Any] = {
    "serving_default": _PREDICT,
    "predict": _PREDICT,
    "regression": _signature("regress", {"inputs": "DT_STRING"}, {"outputs": "DT_FLOAT"}),
    "classification": _signature("classify", {"inputs": "DT_STRING"}, {"classes": "DT_STRING", "scores": "DT_FLOAT"}),
}
"""By name; the one of `:predict` is the default one too."""
