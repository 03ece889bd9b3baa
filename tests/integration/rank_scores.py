"""What Rank answers to the same pairs: the reference for every other protocol."""

import numpy as np
import numpy.typing as npt

from rankserve.v1 import ranking_pb2, ranking_pb2_grpc


def rank_scores(
    stub: ranking_pb2_grpc.RankingServiceStub, users: npt.ArrayLike, items: npt.ArrayLike
) -> npt.NDArray[np.float32]:
    """float32[n]: the score of each pair, by one request for each user.

    Args:
        stub: of the server.
        users: n ids.
        items: n ids.
    """
    user_ids, item_ids = np.ravel(users), np.ravel(items)
    scores = np.empty(len(item_ids), np.float32)
    for user in np.unique(user_ids).tolist():
        places = np.flatnonzero(user_ids == user)
        request = ranking_pb2.RankRequest(
            user_id=user, candidate_ids=item_ids[places].tolist(), order=ranking_pb2.ORDER_AS_SENT
        )
        scores[places] = stub.Rank(request, timeout=10).scores
    return scores
