"""Between the client's values and the messages on the wire, in both directions."""

from collections.abc import Iterable
from datetime import UTC
from types import MappingProxyType
from typing import Any

from rankserve.v1 import models_pb2, ranking_pb2
from rankserve_client.model_info import Abilities, DatasetInfo, ModelInfo, ModelState, ShadowReport
from rankserve_client.query import Order, RankBy, RankQuery, UnknownItems, UnknownUser
from rankserve_client.ranking import Ranking, UserBasis
from rankserve_client.serving_changes import (
    DeleteAlias,
    Pin,
    Promote,
    RollBack,
    ServingChange,
    SetAlias,
    SetCanary,
    SetShadow,
    Unpin,
)

# The default of each is the value that takes no bytes.
_ORDER: "dict[Order, ranking_pb2.Order.ValueType]" = {
    "score": ranking_pb2.ORDER_UNSPECIFIED,
    "as_sent": ranking_pb2.ORDER_AS_SENT,
}
_UNKNOWN_USER: "dict[UnknownUser, ranking_pb2.UnknownUser.ValueType]" = {
    "score": ranking_pb2.UNKNOWN_USER_UNSPECIFIED,
    "reject": ranking_pb2.UNKNOWN_USER_REJECT,
}
_UNKNOWN_ITEMS: "dict[UnknownItems, ranking_pb2.UnknownItems.ValueType]" = {
    "score": ranking_pb2.UNKNOWN_ITEMS_UNSPECIFIED,
    "omit": ranking_pb2.UNKNOWN_ITEMS_OMIT,
    "reject": ranking_pb2.UNKNOWN_ITEMS_REJECT,
}
_RANK_BY: "dict[RankBy, ranking_pb2.RankBy.ValueType]" = {
    "default": ranking_pb2.RANK_BY_UNSPECIFIED,
    "rating": ranking_pb2.RANK_BY_RATING,
    "choice": ranking_pb2.RANK_BY_CHOICE,
}

_USER_BASES: dict[int, UserBasis] = {
    ranking_pb2.USER_BASIS_KNOWN: "known",
    ranking_pb2.USER_BASIS_KNOWN_AND_HISTORY: "known+history",
    ranking_pb2.USER_BASIS_HISTORY: "history",
    ranking_pb2.USER_BASIS_FEATURES: "features",
    ranking_pb2.USER_BASIS_HISTORY_AND_FEATURES: "history+features",
    ranking_pb2.USER_BASIS_AVERAGE: "average",
}
_STATES: dict[int, ModelState] = {
    models_pb2.MODEL_STATE_LOADING: "loading",
    models_pb2.MODEL_STATE_READY: "ready",
    models_pb2.MODEL_STATE_FAILED: "failed",
}


def to_request(query: RankQuery) -> ranking_pb2.RankRequest:
    """The message for a query."""
    request = ranking_pb2.RankRequest(
        user_id=query.user_id,
        top_k=query.top_k,
        model=to_selector(query.model, query.version, query.alias),
        exclude_seen=query.exclude_seen,
        order=_ORDER[query.order],
        include_titles=query.titles,
        unknown_user=_UNKNOWN_USER[query.unknown_user],
        unknown_items=_UNKNOWN_ITEMS[query.unknown_items],
        rank_by=_RANK_BY[query.rank_by],
    )
    if query.candidates is not None:
        fill("candidates", request.candidate_ids, query.candidates)
    if query.exclude:
        fill("exclude", request.exclude_ids, query.exclude)
    if query.history:
        items, ratings = zip(*query.history, strict=True)
        fill("history", request.history.item_ids, items)
        fill("history", request.history.ratings, ratings)
    if query.user_features:
        request.user_features.update(query.user_features)
    for item in query.new_items:
        request.new_items.add(item_id=item.item_id, genres=item.genres, year=item.year)
    return request


def to_selector(model: str | None, version: int | None, alias: str | None) -> ranking_pb2.ModelSelector | None:
    """The message that names a model; None, the default model in its current version, is no message at all."""
    if model is None and version is None and alias is None:
        return None
    selector = ranking_pb2.ModelSelector(name=model or "")
    if version is not None:
        selector.version = version
    if alias is not None:
        selector.alias = alias
    return selector


def to_ranking(response: ranking_pb2.RankResponse, titles: bool) -> Ranking:
    """The ranking in a response; `titles` says whether the query asked for them."""
    choice_scores, unknown_items, known = response.choice_scores, response.unknown_item_ids, response.user_known
    return Ranking(
        taken(response.item_ids),
        taken(response.scores),
        taken(response.titles) if titles else None,
        taken(unknown_items) if unknown_items else (),
        known,
        response.model_name,
        response.model_version,
        taken(choice_scores) if choice_scores else None,
        # An older server sets no basis, a newer one perhaps one that this release does not know.
        _USER_BASES.get(response.user_basis) or ("known" if known else "average"),
        taken(response.described_item_ids) if unknown_items else (),
    )


def to_model_info(model: models_pb2.Model) -> ModelInfo:
    """The description in a model message."""
    dataset = model.dataset
    return ModelInfo(
        name=model.name,
        version=model.version,
        state=_STATES.get(model.state, "unknown"),
        state_message=model.state_message,
        is_default=model.is_default,
        aliases=tuple(model.aliases),
        created=model.create_time.ToDatetime(UTC) if model.HasField("create_time") else None,
        preset=model.preset,
        dataset=DatasetInfo(dataset.name, dataset.fingerprint, dataset.rating_count)
        if model.HasField("dataset")
        else None,
        user_count=model.user_count,
        item_count=model.item_count,
        rating_min=model.rating_min,
        rating_max=model.rating_max,
        metrics=MappingProxyType(dict(sorted(model.metrics.items()))),
        library_versions=MappingProxyType(dict(sorted(model.library_versions.items()))),
        abilities=_to_abilities(model.abilities),
        is_current=model.is_current,
        is_pinned=model.is_pinned,
        canary_percent=model.canary_percent,
        shadow_percent=model.shadow_percent,
        shadow_report=_to_shadow_report(model.shadow_report) if model.HasField("shadow_report") else None,
    )


def to_change(name: str | None, change: ServingChange) -> models_pb2.ChangeServingRequest:
    """The message for a change of which versions of a model answer.

    Raises:
        ValueError: A number is out of the range of its field.
    """
    request = models_pb2.ChangeServingRequest(name=name or "")
    match change:
        case Promote(version):
            request.promote.version = version
        case RollBack():
            request.roll_back.SetInParent()
        case Pin(version):
            request.pin.SetInParent()
            if version is not None:
                request.pin.version = version
        case Unpin():
            request.unpin.SetInParent()
        case SetAlias(alias, version):
            request.set_alias.alias, request.set_alias.version = alias, version
        case DeleteAlias(alias):
            request.delete_alias.alias = alias
        case SetCanary(version, percent):
            request.set_canary.version, request.set_canary.percent = version, percent
        case SetShadow(version, percent):
            request.set_shadow.version, request.set_shadow.percent = version, percent
    return request


def _to_shadow_report(report: models_pb2.ShadowReport) -> ShadowReport:
    return ShadowReport(
        compared=report.compared,
        left_out=report.left_out,
        failed=report.failed,
        overlap_at_10=report.overlap_at_10,
        kendall_tau=report.kendall_tau,
        score_difference=report.score_difference,
        absolute_score_difference=report.absolute_score_difference,
    )


def _to_abilities(abilities: models_pb2.Abilities) -> Abilities:
    return Abilities(
        history=abilities.history,
        user_features=tuple(abilities.user_features),
        new_items=abilities.new_items,
        choice=abilities.choice,
        baseline=abilities.baseline,
    )


def taken(column: Any) -> tuple[Any, ...]:
    """The values of a column. A slice takes them all at once, far faster than one by one."""
    return tuple(column[:])


def fill(name: str, column: Any, values: Iterable[Any]) -> None:
    """Copies values into a column. protobuf checks each of them, and far faster than Python could."""
    try:
        column.extend(values)
    except (TypeError, ValueError) as error:
        raise type(error)(f"`{name}` has a value that is not allowed: {error}") from None
