"""The Open Inference Protocol before a server is ready, while it stops, and while models come and go."""

import threading
from typing import Any

import grpc
import numpy as np
import pytest

from integration.open_inference import infer_request, method, scores_of
from rankserve.v1 import models_pb2
from rankserve_server.protocols.messages import open_inference_pb2 as pb
from server.service.conftest import Health, LocalServer, Serve

GOOD = infer_request(np.array([2]), np.array([1, 4, 7]))


async def readiness(server: LocalServer) -> tuple[bool, bool, bool]:
    """Whether the server lives, is ready, and whether its model is."""
    live = await method(server.channel, "ServerLive")(pb.ServerLiveRequest())
    ready = await method(server.channel, "ServerReady")(pb.ServerReadyRequest())
    model = await method(server.channel, "ModelReady")(pb.ModelReadyRequest(name="small"))
    return live.live, ready.ready, model.ready


async def index(server: LocalServer) -> list[tuple[str, str, str]]:
    response = await method(server.channel, "RepositoryIndex")(pb.RepositoryIndexRequest())
    return [(model.name, model.state, model.reason) for model in response.models]


async def test_it_lives_before_it_is_ready(serve: Serve) -> None:
    loaded = threading.Event()
    async with serve(loaded=loaded) as server:
        assert await readiness(server) == (True, False, False)
        for name, request in (("ModelInfer", GOOD), ("ModelMetadata", pb.ModelMetadataRequest(name="small"))):
            with pytest.raises(grpc.aio.AioRpcError, match="loading its models") as caught:
                await method(server.channel, name)(request)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        loaded.set()
        await server.health_is(Health.SERVING)
        assert await readiness(server) == (True, True, True)


async def test_while_it_stops_it_is_not_ready_and_still_answers(serve: Serve) -> None:
    async with serve(grace_seconds=60.0) as server:
        server.stop()
        await server.health_is(Health.NOT_SERVING)
        assert await readiness(server) == (True, False, False)
        assert scores_of(await method(server.channel, "ModelInfer")(GOOD)).shape == (3,)
        server.stop()  # at once


@pytest.mark.parametrize("field", ["model_name", "repository_name"], ids=["as Triton's clients", "as KServe's clients"])
async def test_a_model_is_unloaded_and_loaded(serve: Serve, field: str) -> None:
    named: dict[str, Any] = {field: "small"}
    async with serve() as server:
        unloaded = await method(server.channel, "RepositoryModelUnload")(pb.RepositoryModelUnloadRequest(**named))
        assert (unloaded.model_name, unloaded.isUnloaded) == ("small", True)
        assert await readiness(server) == (True, True, False)
        assert await index(server) == [("small", "UNAVAILABLE", "unloaded")]
        with pytest.raises(grpc.aio.AioRpcError, match="model 'small' is not served") as caught:
            await method(server.channel, "ModelInfer")(infer_request(np.array([2]), np.array([1]), model_name="small"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        assert not (await server.models.ListModels(models_pb2.ListModelsRequest())).models
        loaded = await method(server.channel, "RepositoryModelLoad")(pb.RepositoryModelLoadRequest(**named))
        assert (loaded.model_name, loaded.isLoaded) == ("small", True)
        assert await readiness(server) == (True, True, True)
        assert await index(server) == [("small", "READY", "")]
        assert scores_of(await method(server.channel, "ModelInfer")(GOOD)).shape == (3,)
