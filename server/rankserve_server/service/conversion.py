"""Messages to queries and back."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
from google.protobuf.message import DecodeError, Message

from rankserve.v1 import ranking_pb2
from rankserve_server.errors import InvalidRequestError, Violation
from rankserve_server.limits import Limits
from rankserve_server.loaded_model import LoadedModel
from rankserve_server.ranking import RankBy, Ranking, RankQuery
from rankserve_server.service.status import status_of
from rankserve_server.service.telling import told_of, told_violations
from rankserve_server.told import Ids

# Asking the enums themselves takes 2 us each.
_ORDERS = {number: name for name, number in ranking_pb2.Order.items()}
_UNKNOWN_USERS = {number: name for name, number in ranking_pb2.UnknownUser.items()}
_UNKNOWN_ITEMS = {number: name for name, number in ranking_pb2.UnknownItems.items()}
_RANK_BY = {number: name for name, number in ranking_pb2.RankBy.items()}

_Message = TypeVar("_Message", bound=Message)


def parsed(message_type: type[_Message], message: bytes) -> _Message:
    """The message in these bytes.

    Raises:
        InvalidRequestError: where they are none.
    """
    try:
        return message_type.FromString(message)
    except DecodeError as error:
        raise InvalidRequestError(
            Violation("", f"the request is not a {message_type.DESCRIPTOR.full_name}: {error}")
        ) from error


def query_of(request: ranking_pb2.RankRequest, limits: Limits) -> RankQuery:
    """The query of a request.

    Raises:
        InvalidRequestError: naming every field that is out of its range.
    """
    violations = list(_violations(request, limits))
    if violations:
        raise InvalidRequestError(*violations)
    return RankQuery(
        user_id=request.user_id,
        candidate_ids=_ids(request.candidate_ids),
        top_k=request.top_k,
        exclude_seen=request.exclude_seen,
        exclude_ids=_ids(request.exclude_ids),
        as_sent=request.order == ranking_pb2.ORDER_AS_SENT,
        include_titles=request.include_titles,
        reject_unknown_user=request.unknown_user == ranking_pb2.UNKNOWN_USER_REJECT,
        reject_unknown_items=request.unknown_items == ranking_pb2.UNKNOWN_ITEMS_REJECT,
        omit_unknown_items=request.unknown_items == ranking_pb2.UNKNOWN_ITEMS_OMIT,
        rank_by=RankBy(request.rank_by),
        told=told_of(request),
    )


def response_of(ranking: Ranking, model: LoadedModel) -> ranking_pb2.RankResponse:
    """The response that carries a ranking."""
    return ranking_pb2.RankResponse(
        item_ids=ranking.item_ids.tolist(),
        scores=ranking.scores.tolist(),
        choice_scores=() if ranking.choice_scores is None else ranking.choice_scores.tolist(),
        titles=ranking.titles or (),
        unknown_item_ids=ranking.unknown_item_ids,
        described_item_ids=ranking.described_item_ids,
        user_known=ranking.user_known,
        user_basis=ranking_pb2.UserBasis.ValueType(ranking.user_basis),
        model_name=model.name,
        model_version=model.version,
    )


def refusal_of(error: Exception) -> ranking_pb2.RankResponse:
    """The response that stands for a refused request among several."""
    status = status_of(error)
    return ranking_pb2.RankResponse(
        error=ranking_pb2.RequestError(code=status.code, message=status.message, details=status.details)
    )


def encoded_refusal(_message: bytes, error: Exception) -> bytes:
    """The same, serialised; whatever the request was."""
    return refusal_of(error).SerializeToString()


def _ids(field: Sequence[int]) -> Ids | None:
    return np.array(field, np.int64) if len(field) else None


def _violations(request: ranking_pb2.RankRequest, limits: Limits) -> Iterator[Violation]:
    """What the message alone shows to be wrong, whichever model answers."""
    candidates = len(request.candidate_ids)
    if candidates > limits.max_candidates:
        yield Violation("candidate_ids", f"at most {limits.max_candidates} are accepted, got {candidates}")
    if request.top_k < 0:
        yield Violation("top_k", f"should be 0 (for all) or more, got {request.top_k}")
    elif request.top_k > limits.max_top_k:
        yield Violation("top_k", f"at most {limits.max_top_k} is accepted, got {request.top_k}")
    elif request.top_k == 0 and candidates == 0:
        yield Violation(
            "top_k", "should be 1 or more where `candidate_ids` is empty, which means the whole catalogue, got 0"
        )
    if len(request.exclude_ids) > limits.max_candidates:
        yield Violation("exclude_ids", f"at most {limits.max_candidates} are accepted, got {len(request.exclude_ids)}")
    if request.order or request.unknown_user or request.unknown_items or request.rank_by:
        yield from _enum_violations(request)
    if request.model.WhichOneof("choice") == "version" and request.model.version < 1:
        yield Violation("model.version", f"should be 1 or more, got {request.model.version}")
    yield from told_violations(request, limits)


def _enum_violations(request: ranking_pb2.RankRequest) -> Iterator[Violation]:
    # proto3 enums are open: a number without a name arrives as it was sent.
    for field, value, names in (
        ("order", request.order, _ORDERS),
        ("unknown_user", request.unknown_user, _UNKNOWN_USERS),
        ("unknown_items", request.unknown_items, _UNKNOWN_ITEMS),
        ("rank_by", request.rank_by, _RANK_BY),
    ):
        if value not in names:
            yield Violation(field, f"should be one of {', '.join(names.values())}, got {value}")
