"""What a request leaves behind is freed at once: whatever waits for the collector stops all others when it runs."""

import gc
from collections import Counter
from collections.abc import Iterator

import grpc
import numpy as np
import pytest

from integration import open_inference, tf_serving
from rankserve.v1 import ranking_pb2
from rankserve_server.protocols.messages import tf_serving_pb2 as pb
from server.service.conftest import LocalServer, Serve

Request = ranking_pb2.RankRequest
OURS, ERRORS = "rankserve_server.", "rankserve_server.errors."
GOOD = Request(user_id=2, candidate_ids=[1, 2, 3])
USERS, ITEMS = np.array([2, 5, 2]), np.array([1, 2, 3])
PAIRS = open_inference.infer_request(USERS, ITEMS)
PREDICTION = tf_serving.predict_request(USERS, ITEMS)
CLASSIFICATION = pb.ClassificationRequest(input=tf_serving.with_context(2, ITEMS))
BROKEN = Request(user_id=2, candidate_ids=range(20_000))


@pytest.fixture
def collector_off() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


def garbage() -> "Counter[str]":
    """Our own objects that only the collector frees, by type; but for errors, which grpc.aio's `abort` holds on to."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    names = Counter(f"{type(thing).__module__}.{type(thing).__qualname__}" for thing in gc.garbage)
    return Counter(
        {name: count for name, count in names.items() if name.startswith(OURS) and not name.startswith(ERRORS)}
    )


async def answer_all(server: LocalServer) -> None:
    for _ in range(50):
        await server.ranking.Rank(GOOD)
        await server.ranking.BatchRank(ranking_pb2.BatchRankRequest(requests=[GOOD, BROKEN, GOOD]))
        with pytest.raises(grpc.aio.AioRpcError):
            await server.ranking.Rank(BROKEN)
        await open_inference.method(server.channel, "ModelInfer")(PAIRS)
        await tf_serving.method(server.channel, "Predict")(PREDICTION)
        await tf_serving.method(server.channel, "Classify")(CLASSIFICATION)
    stream = server.ranking.RankStream(iter([GOOD, BROKEN] * 50))
    assert len([response async for response in stream]) == 100


@pytest.mark.usefixtures("collector_off")
async def test_requests_leave_no_garbage(serve: Serve) -> None:
    async with serve() as server:
        await answer_all(server)
        gc.collect()  # what starting and connecting have left
        await answer_all(server)
        assert not garbage()
