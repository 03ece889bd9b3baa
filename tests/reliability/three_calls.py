"""The same request by each of the calls."""

from itertools import chain
from typing import TypeAlias

import grpc
from google.rpc import status_pb2

from integration.statuses import status_of
from rankserve.v1 import ranking_pb2
from rankserve.v1.ranking_pb2_grpc import RankingServiceStub

Answer: TypeAlias = ranking_pb2.RankResponse | status_pb2.Status | ranking_pb2.RequestError
# What stands before and behind it, and has to be answered whatever it is.
NEIGHBOUR = ranking_pb2.RankRequest(user_id=6, candidate_ids=[5, 10])
_SECONDS = 30


def answers_of(stub: RankingServiceStub, request: ranking_pb2.RankRequest) -> dict[str, Answer]:
    """What Rank, BatchRank and RankStream answer; that they agree, and that the neighbours are answered, is checked."""
    requests = [NEIGHBOUR, request, NEIGHBOUR]
    batch = stub.BatchRank(ranking_pb2.BatchRankRequest(requests=requests), timeout=_SECONDS).responses
    stream = list(stub.RankStream(iter(requests), timeout=_SECONDS))
    for responses in (batch, stream):
        assert [len(responses), *(len(responses[place].item_ids) for place in (0, -1))] == [3, 2, 2]
    answers = {"Rank": rank(stub, request), "BatchRank": _of(batch[1]), "RankStream": _of(stream[1])}
    assert len({_comparable(answer) for answer in answers.values()}) == 1, answers
    return answers


def rank(stub: RankingServiceStub, request: ranking_pb2.RankRequest) -> Answer:
    """What Rank answers."""
    try:
        return stub.Rank(request, timeout=_SECONDS)
    except grpc.RpcError as error:
        return status_of(error)


def _of(response: ranking_pb2.RankResponse) -> Answer:
    return response.error if response.HasField("error") else response


def _comparable(answer: Answer) -> bytes:
    if isinstance(answer, ranking_pb2.RequestError):
        answer = status_pb2.Status(code=answer.code, message=answer.message, details=chain(answer.details))
    return answer.SerializeToString(deterministic=True)
