"""The first thing that one tries: grpc.aio, and `keras.Model.predict` for each request."""

import asyncio
import sys
from pathlib import Path

import grpc
import numpy as np
import uvloop

from rankserve.v1 import ranking_pb2, ranking_pb2_grpc
from rankserve_training.artifact import read_artifact, resolve_version


class Predicting(ranking_pb2_grpc.RankingServiceServicer):
    """Scores the candidates of a request and sorts them."""

    def __init__(self, model) -> None:
        self._model = model

    async def Rank(self, request, _context):
        """Ids are rows of the tables here, as in MovieLens 100K."""
        ids = np.array(request.candidate_ids, np.int32)
        users = np.full(len(ids), request.user_id, np.int32)
        scores = self._model.predict({"user": users, "item": ids}, batch_size=len(ids), verbose=0)[:, 0]
        order = np.argsort(-scores)
        return ranking_pb2.RankResponse(item_ids=ids[order].tolist(), scores=scores[order].tolist())


async def main(models_dir: Path, port: int) -> None:
    """Serves until it is killed."""
    model = read_artifact(resolve_version(models_dir / "movielens")).load_keras_model()
    server = grpc.aio.server()
    ranking_pb2_grpc.add_RankingServiceServicer_to_server(Predicting(model), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    print("ready", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
