"""What ModelService tells of the items and users of a version."""

from collections.abc import Sequence

import numpy as np

from rankserve.v1 import catalog_pb2, ranking_pb2
from rankserve_server.errors import InvalidRequestError, UnsupportedError, Violation
from rankserve_server.item_search import Rows
from rankserve_server.limits import Limits
from rankserve_server.loaded_model import LoadedModel
from rankserve_server.service.selector import selection_of
from rankserve_server.service.telling import told_of, told_violations
from rankserve_server.told import check_told
from rankserve_server.versions.repository import Repository

_FOUND = 20
_MOST_FOUND = 100
_SEEN = 100
_LONGEST_TEXT = 200


class CatalogAnswers:
    """Answers the requests of a repository's models."""

    def __init__(self, repository: Repository, limits: Limits) -> None:
        self._repository = repository
        self._limits = limits

    def items(self, request: catalog_pb2.GetItemsRequest) -> catalog_pb2.GetItemsResponse:
        """Items by their ids.

        Raises:
            RequestError: where the model is not served, or there are no ids or too many.
        """
        self._check_ids(request.item_ids)
        model = self._repository.select(**selection_of(request.model))
        ids = np.array(request.item_ids, np.int64)
        rows = model.catalog.index.rows(ids)
        return catalog_pb2.GetItemsResponse(
            items=_items(model, rows[rows > 0]),
            unknown_item_ids=dict.fromkeys(ids[rows == 0].tolist()),
            model_name=model.name,
            model_version=model.version,
        )

    def search(self, request: catalog_pb2.SearchItemsRequest) -> catalog_pb2.SearchItemsResponse:
        """Items by words of their titles.

        Raises:
            RequestError: where the model is not served, or a field is out of its range.
        """
        if len(request.text) > _LONGEST_TEXT:
            text = f"at most {_LONGEST_TEXT} characters are accepted, got {len(request.text)}"
            raise InvalidRequestError(Violation("text", text))
        limit = _limit(request.limit, _FOUND, _MOST_FOUND)
        model = self._repository.select(**selection_of(request.model))
        rows = model.item_search.find(request.text, limit)
        return catalog_pb2.SearchItemsResponse(
            items=_items(model, rows), model_name=model.name, model_version=model.version
        )

    def user(self, request: catalog_pb2.GetUserRequest) -> catalog_pb2.GetUserResponse:
        """What a version knows of a user.

        Raises:
            RequestError: where the model is not served, or a field is out of its range.
        """
        limit = _limit(request.limit, _SEEN, self._limits.max_candidates)
        model = self._repository.select(**selection_of(request.model), user_id=request.user_id)
        row = model.users.index.row(request.user_id)
        seen = model.users.seen(row)
        return catalog_pb2.GetUserResponse(
            known=row != 0,
            seen_count=len(seen),
            seen_items=_items(model, model.item_search.most_rated(seen)[:limit]),
            model_name=model.name,
            model_version=model.version,
        )

    def baseline(self, request: catalog_pb2.GetBaselineRequest) -> catalog_pb2.GetBaselineResponse:
        """What means alone predict.

        Raises:
            RequestError: where the model is not served or does not hold them, or a field is out of its range.
        """
        self._check_ids(request.item_ids)
        # It tells of its user what a request to rank does.
        telling = ranking_pb2.RankRequest(user_id=request.user_id, history=request.history)
        violations = list(told_violations(telling, self._limits))
        if violations:
            raise InvalidRequestError(*violations)
        model = self._repository.select(**selection_of(request.model), user_id=request.user_id)
        if model.newcomers is None:
            preset = model.manifest.training.preset
            raise UnsupportedError(
                f"{model.name}/{model.version} holds no means to predict from: its preset is {preset!r}"
            )
        rated, ratings = np.zeros(0, np.int32), np.zeros(0, np.float32)
        told = told_of(telling)
        if told is not None:
            check_told(told, model)
            rows = model.catalog.index.rows(told.history_ids)
            rated, ratings = rows[rows > 0], told.history_ratings[rows > 0]
        candidates = model.catalog.index.rows(np.array(request.item_ids, np.int64))
        scores = model.newcomers.from_means(candidates, rated, ratings, model.users.index.row(request.user_id))
        scale = model.manifest.rating_scale
        return catalog_pb2.GetBaselineResponse(
            scores=scores.clip(scale.minimum, scale.maximum).tolist(),
            model_name=model.name,
            model_version=model.version,
        )

    def _check_ids(self, ids: Sequence[int]) -> None:
        if not 1 <= len(ids) <= self._limits.max_candidates:
            raise InvalidRequestError(
                Violation("item_ids", f"1 to {self._limits.max_candidates} are accepted, got {len(ids)}")
            )


def _items(model: LoadedModel, rows: Rows) -> list[catalog_pb2.Item]:
    catalog, counts = model.catalog, model.item_search.rating_counts[rows].tolist()
    return [
        catalog_pb2.Item(
            item_id=item_id, title=catalog.titles[row - 1], genres=catalog.genres[row - 1], rating_count=count
        )
        for item_id, row, count in zip(catalog.ids[rows - 1].tolist(), rows.tolist(), counts, strict=True)
    ]


def _limit(asked: int, default: int, most: int) -> int:
    if not 0 <= asked <= most:
        raise InvalidRequestError(Violation("limit", f"should be 1 to {most}, or 0 for {default}, got {asked}"))
    return asked or default
