"""From the responses of each call to what the clients return, the same for both of them."""

from collections.abc import Sequence

import grpc

from rankserve.v1 import ranking_pb2
from rankserve_client.error_decoding import from_refusal
from rankserve_client.errors import DeadlineExceeded, RankServeError, ServerError
from rankserve_client.messages import to_ranking
from rankserve_client.query import RankQuery
from rankserve_client.ranking import Ranking

RankResult = Ranking | RankServeError
"""The place of one query among several: its ranking, or why the server refused it."""


def to_result(response: ranking_pb2.RankResponse, titles: bool, target: str) -> RankResult:
    """One of several answers; a refusal becomes the error that `rank` would have raised."""
    if response.HasField("error"):
        return from_refusal(response.error, target)
    return to_ranking(response, titles)


def to_results(
    queries: Sequence[RankQuery], responses: Sequence[ranking_pb2.RankResponse], target: str
) -> list[RankResult]:
    """The answers of a batch, in the order of its queries."""
    if len(responses) != len(queries):
        raise broken_promise(f"{target} gave {len(responses)} answers to {len(queries)} queries", target)
    return [to_result(response, query.titles, target) for query, response in zip(queries, responses, strict=True)]


def broken_promise(message: str, target: str) -> ServerError:
    """The error for an answer that no rankserve server gives."""
    return ServerError(message, grpc.StatusCode.INTERNAL, target=target)


def overdue(target: str, seconds: float) -> DeadlineExceeded:
    """The error for a stream whose next answer does not come."""
    return DeadlineExceeded(
        f"no answer from {target} within {seconds:g} s", grpc.StatusCode.DEADLINE_EXCEEDED, target=target
    )
