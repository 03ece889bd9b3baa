"""The client of KServe, and its stubs where the client has no method."""

import asyncio
from typing import Any

import grpc
from kserve import InferenceGRPCClient, InferInput, InferRequest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc as pb_grpc

from integration.peers.cases import Case, address, cases, print_answers


def request_of(case: Case, raw: bool) -> InferRequest:
    inputs = []
    for name, ids in (("user_id", case.users), ("item_id", case.items)):
        tensor = InferInput(name, list(ids.shape), "INT64", data=None if raw else ids.tolist())
        if raw:
            tensor.set_data_from_numpy(ids, binary_data=True)
        inputs.append(tensor)
    return InferRequest("movielens", inputs)


async def main() -> None:
    async with InferenceGRPCClient(address()) as client:
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready("movielens")
        scores: list[Any] = []
        for raw in (True, False):
            for case in cases():
                response = await client.infer(request_of(case, raw))
                scores.append(response.outputs[0].as_numpy())
    with grpc.insecure_channel(address()) as channel:
        stub = pb_grpc.GRPCInferenceServiceStub(channel)
        loaded = stub.RepositoryModelLoad(pb.RepositoryModelLoadRequest(model_name="movielens"))
        metadata = stub.ModelMetadata(pb.ModelMetadataRequest(name="movielens"))
    print_answers(scores, loaded=loaded.isLoaded, inputs=[tensor.name for tensor in metadata.inputs])


if __name__ == "__main__":
    asyncio.run(main())
