"""KServe's Python SDK: `python serve_kserve.py WEIGHTS PORT LOG`.

One process, as its gRPC server has only one, on uvloop, without a log line for each request. Not batched: KServe's
batcher is a container of its own that speaks HTTP only.
"""

import asyncio
import logging
import sys
from pathlib import Path

import uvloop
from kserve import InferOutput, InferResponse, Model, ModelServer
from plain_model import PlainModel
from readiness import Readiness

_WEIGHTS, _PORT, _LOG = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])


class Scores(Model):
    """Scores users [1, 1] and items [1, candidates]."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._model = PlainModel(_WEIGHTS)
        self.ready = True

    async def predict(self, payload, *_headers, **_more_headers):
        """Of one request."""
        users, items = (tensor.as_numpy() for tensor in payload.inputs)
        scores = self._model(users[:, 0], items)
        output = InferOutput("score", list(scores.shape), "FP32")
        output.set_data_from_numpy(scores)
        return InferResponse(payload.id, self.name, [output], use_binary_outputs=True)


def main() -> None:
    """Serves until it is killed."""
    readiness = Readiness(_LOG)
    # Its HTTP server cannot be left out.
    server = ModelServer(grpc_port=_PORT, http_port=_PORT + 100, enable_latency_logging=False)
    logging.getLogger("kserve").setLevel(logging.WARNING)
    models = [Scores("movielens")]
    readiness.say_once_it_listens(_PORT)
    server.start(models)


if __name__ == "__main__":
    uvloop.install()
    # Set here, as KServe takes it before it runs its own.
    asyncio.set_event_loop(asyncio.new_event_loop())
    main()
