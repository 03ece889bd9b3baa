"""The server that one writes by hand: grpc.aio on uvloop, and one jitted call of the plain model for each request."""

import asyncio
import sys
from pathlib import Path

import grpc
import jax
import jax.numpy as jnp
import numpy as np
import uvloop

from rankserve.v1 import ranking_pb2, ranking_pb2_grpc
from rankserve_training.artifact import read_artifact, resolve_version


def plain_model(keras_model):
    """The tutorial's model as one jitted function of one user and n items; padded by the caller."""
    (users,) = keras_model.get_layer("user_embedding").get_weights()
    (items,) = keras_model.get_layer("item_embedding").get_weights()
    layers = [keras_model.get_layer(name).get_weights() for name in ("hidden_1", "hidden_2", "label")]

    @jax.jit
    def predict(user, rows):
        user_vectors = jnp.broadcast_to(users[user], (rows.shape[0], users.shape[1]))
        hidden = jnp.concatenate([user_vectors, jnp.asarray(items)[rows]], axis=1)
        for kernel, bias in layers[:-1]:
            hidden = jax.nn.relu(hidden @ kernel + bias)
        return 1.0 + 4.0 * (hidden @ layers[-1][0] + layers[-1][1])[:, 0]

    users = jnp.asarray(users)
    return predict


class HandWritten(ranking_pb2_grpc.RankingServiceServicer):
    """Scores the candidates of a request and sorts them."""

    def __init__(self, predict) -> None:
        self._predict = predict

    async def Rank(self, request, _context):
        """Ids are rows of the tables here, as in MovieLens 100K."""
        ids = np.array(request.candidate_ids, np.int32)
        scores = np.asarray(self._predict(np.int32(request.user_id), ids))
        order = np.argsort(-scores)
        return ranking_pb2.RankResponse(item_ids=ids[order].tolist(), scores=scores[order].tolist())


async def main(models_dir: Path, port: int) -> None:
    """Serves until it is killed."""
    predict = plain_model(read_artifact(resolve_version(models_dir / "movielens")).load_keras_model())
    for rows in (100, 500, 2_048):
        predict(np.int32(1), np.zeros(rows, np.int32)).block_until_ready()
    server = grpc.aio.server()
    ranking_pb2_grpc.add_RankingServiceServicer_to_server(HandWritten(predict), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    print("ready", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
