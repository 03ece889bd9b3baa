"""What was asked and what was answered, as messages of Rank, whatever the protocol: so the request log has it.

They are made when they are taken, on the thread that writes them, and not while the caller waits.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from rankserve.v1 import ranking_pb2
from rankserve_server.loaded_model import LoadedModel
from rankserve_server.ranking import Ranking, RankQuery
from rankserve_server.service.conversion import response_of
from rankserve_server.service.selector import Selection, selector_of


class Exchange(NamedTuple):
    """A request with its response."""

    request: ranking_pb2.RankRequest
    response: ranking_pb2.RankResponse


def of_rank(message: bytes, answer: bytes) -> Iterator[Exchange]:
    """Of Rank, or of one request of RankStream."""
    yield Exchange(ranking_pb2.RankRequest.FromString(message), ranking_pb2.RankResponse.FromString(answer))


def of_batch(message: bytes, answer: bytes) -> Iterator[Exchange]:
    """Of BatchRank: those of its requests that were not refused."""
    requests = ranking_pb2.BatchRankRequest.FromString(message).requests
    responses = ranking_pb2.BatchRankResponse.FromString(answer).responses
    for request, response in zip(requests, responses, strict=True):
        if not response.HasField("error"):
            yield Exchange(request, response)


def of_users(
    answered: Iterable[tuple[RankQuery, Ranking]], selection: Selection, model: LoadedModel
) -> Iterator[Exchange]:
    """Of a request for pairs: what Rank would have been asked for each of its users.

    Args:
        answered: the users with their candidates, as sent, and what they got.
        selection: of the version that was asked for.
        model: the version that has answered.
    """
    selector = selector_of(selection)
    for query, ranking in answered:
        request = ranking_pb2.RankRequest(
            user_id=query.user_id,
            candidate_ids=() if query.candidate_ids is None else query.candidate_ids.tolist(),
            model=selector,
            order=ranking_pb2.ORDER_AS_SENT,
        )
        yield Exchange(request, response_of(ranking, model))
