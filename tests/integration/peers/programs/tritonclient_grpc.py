"""The client of Triton, by whatever it has for models like ours."""

import queue
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from integration.peers.cases import Case, address, cases, print_answers

MODEL = "movielens"


def inputs_of(case: Case) -> list[Any]:
    found = []
    for name, ids in (("user_id", case.users), ("item_id", case.items)):
        tensor = triton.InferInput(name, ids.shape, {4: "INT32", 8: "INT64"}[ids.dtype.itemsize])
        tensor.set_data_from_numpy(ids)
        found.append(tensor)
    return found


def streamed(client: Any) -> list[Any]:
    """The scores of all cases by one stream."""
    answers: queue.Queue[Any] = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    for case in cases():
        client.async_stream_infer(MODEL, inputs_of(case))
    found = []
    for _ in cases():
        result, error = answers.get(timeout=10)
        assert error is None, error
        found.append(result.as_numpy("score"))
    client.stop_stream()
    return found


def refusal(client: Any, model: str) -> str:
    try:
        client.infer(model, inputs_of(cases()[0]))
    except InferenceServerException as error:
        return str(error.status())
    return "OK"


def main() -> None:
    client = triton.InferenceServerClient(address())
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(MODEL)
    assert not client.is_model_ready("other")
    scores = [client.infer(MODEL, inputs_of(case)).as_numpy("score") for case in cases()]
    narrow = [
        client.infer(MODEL, inputs_of(case), compression_algorithm="gzip").as_numpy("score") for case in cases(np.int32)
    ]
    config = client.get_model_config(MODEL, as_json=True)["config"]
    metadata = client.get_model_metadata(MODEL, as_json=True)
    statistics = client.get_inference_statistics(MODEL, as_json=True)["model_stats"]
    client.load_model(MODEL)
    index = client.get_model_repository_index(as_json=True)["models"]
    print_answers(
        [*scores, *narrow, *streamed(client)],
        extensions=list(client.get_server_metadata().extensions),
        inputs=[tensor["name"] for tensor in metadata["inputs"]],
        configured=[tensor["name"] for tensor in config["input"]],
        counted=[entry["name"] for entry in statistics],
        index=[(entry["name"], entry["state"]) for entry in index],
        refusal=refusal(client, "other"),
    )


if __name__ == "__main__":
    main()
