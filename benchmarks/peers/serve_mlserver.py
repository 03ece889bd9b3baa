"""MLServer: `python serve_mlserver.py WEIGHTS PORT LOG`.

Adaptive batching is on, in MLServer's own process: worker processes cost more than they give, as the model takes less
time than a request takes to be handed over. Neither metrics nor access logs; uvloop, as MLServer's command uses.
"""

import asyncio
import sys
from pathlib import Path

import numpy as np
import uvloop
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse
from plain_model import PlainModel
from readiness import Readiness

_WEIGHTS, _PORT, _LOG = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
_READINESS = Readiness(_LOG)
# Seconds that a batch waits for more requests.
_BATCH_TIME = 0.005
_BATCH_SIZE = 8


class Scores(MLModel):
    """Scores users [n, 1] and items [n, candidates]."""

    async def load(self) -> bool:
        """MLServer may listen before this, but does not answer."""
        self._model = PlainModel(_WEIGHTS)
        _READINESS.say_once_it_listens(_PORT)
        return True

    async def predict(self, payload):
        """Of a whole batch."""
        users, items = (NumpyCodec.decode_input(tensor) for tensor in payload.inputs)
        scores = self._model(users.astype(np.int32)[:, 0], items.astype(np.int32))
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("score", scores)])


async def main() -> None:
    """Serves until it is killed."""
    settings = Settings(
        host="127.0.0.1",
        grpc_port=_PORT,
        http_port=_PORT + 100,  # it cannot be left out
        metrics_endpoint=None,
        parallel_workers=0,
        debug=False,
    )
    model = ModelSettings(
        name="movielens", implementation=Scores, max_batch_size=_BATCH_SIZE, max_batch_time=_BATCH_TIME
    )
    await MLServer(settings).start([model])


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(main())
