"""What the programs of this folder should get."""

from typing import Any

import grpc
import numpy as np

from integration.peers.cases import cases
from integration.rank_scores import rank_scores
from rankserve.v1 import ranking_pb2_grpc


def expected_scores(address: str) -> list[Any]:
    """What Rank says of each case."""
    with grpc.insecure_channel(address) as channel:
        stub = ranking_pb2_grpc.RankingServiceStub(channel)
        return [
            rank_scores(stub, np.broadcast_to(case.users, case.items.shape), case.items).tolist() for case in cases()
        ]
