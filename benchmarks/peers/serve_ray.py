"""Ray Serve: `python serve_ray.py WEIGHTS PORT LOG`.

Its gRPC ingress with requests batched in two replicas, in the mode that Ray documents for high throughput: HAProxy in
place of the Python proxy, and user code on the replica's own event loop.
"""

import os
import signal
import sys
from pathlib import Path

# Read by Ray as it is imported, and by the processes that it starts.
os.environ["RAY_SERVE_ENABLE_HA_PROXY"] = "1"
os.environ["RAY_SERVE_THROUGHPUT_OPTIMIZED"] = "1"
os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[2] / "protos"), str(Path(__file__).parent)])
sys.path.insert(0, str(Path(__file__).parents[2] / "protos"))

import numpy as np
import ray
from ray import serve
from ray.serve.config import HTTPOptions, gRPCOptions
from readiness import Readiness

from rankserve.v1 import ranking_pb2

_WEIGHTS, _PORT, _LOG = Path(sys.argv[1]).resolve(), int(sys.argv[2]), Path(sys.argv[3])
_REPLICAS = 2
# Seconds that a batch waits for more requests. Its size at most: what half of the callers can send.
_BATCH_TIME = 0.01
_BATCH_SIZE = 32


@serve.deployment(num_replicas=_REPLICAS, max_ongoing_requests=256, ray_actor_options={"num_cpus": 0.5})
class Ranking:
    """Scores the candidates of a request and sorts them."""

    def __init__(self) -> None:
        from plain_model import PlainModel

        self._model = PlainModel(_WEIGHTS)

    async def Rank(self, request):
        """Ids are rows of the tables here, as in MovieLens 100K."""
        ids = np.array(request.candidate_ids, np.int32)
        scores = await self._score((request.user_id, ids))
        order = np.argsort(-scores)
        return ranking_pb2.RankResponse(item_ids=ids[order].tolist(), scores=scores[order].tolist())

    @serve.batch(max_batch_size=_BATCH_SIZE, batch_wait_timeout_s=_BATCH_TIME)
    async def _score(self, requests):
        users, items = zip(*requests, strict=True)
        return list(self._model(np.array(users, np.int32), np.stack(items)))


def main() -> None:
    """Serves until it is killed."""
    readiness = Readiness(_LOG)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=100 * 2**20)
    try:
        functions = ["rankserve.v1.ranking_pb2_grpc.add_RankingServiceServicer_to_server"]
        serve.start(
            http_options=HTTPOptions(host="127.0.0.1", port=_PORT + 100),
            grpc_options=gRPCOptions(port=_PORT, grpc_servicer_functions=functions),
        )
        serve.run(Ranking.bind(), name="movielens")
        readiness.say()
        signal.pause()
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main()
