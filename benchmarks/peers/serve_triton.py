"""Triton, with the model as a Python callable through pytriton: `python serve_triton.py WEIGHTS PORT LOG`.

Dynamic batching is on, of all that waits; to wait longer for more gained nothing. Metrics are off.
"""

import os
import signal
import sys
import sysconfig
from pathlib import Path

import numpy as np
from plain_model import MOST_REQUESTS, PlainModel
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig
from readiness import Readiness

_WEIGHTS, _PORT, _LOG = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])


def main() -> None:
    """Serves until it is killed."""
    readiness = Readiness(_LOG)
    # Triton's process for Python models looks for libpython: it must be that of this environment.
    libraries = [sysconfig.get_config_var("LIBDIR"), os.environ.get("LD_LIBRARY_PATH")]
    os.environ["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, libraries))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    model = PlainModel(_WEIGHTS)

    @batch
    def score(user, item):
        return {"score": model(user[:, 0], item)}

    config = TritonConfig(
        grpc_address="127.0.0.1",
        grpc_port=_PORT,
        http_address="127.0.0.1",
        http_port=_PORT + 100,  # pytriton asks there whether Triton is ready
        allow_metrics=False,
    )
    with Triton(config=config) as triton:
        triton.bind(
            "movielens",
            score,
            inputs=[Tensor(name="user", dtype=np.int32, shape=(1,)), Tensor(name="item", dtype=np.int32, shape=(-1,))],
            outputs=[Tensor(name="score", dtype=np.float32, shape=(-1,))],
            config=ModelConfig(max_batch_size=MOST_REQUESTS, batcher=DynamicBatcher()),
        )
        triton.run()
        readiness.say()
        signal.pause()


if __name__ == "__main__":
    main()
