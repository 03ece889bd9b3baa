"""The calls of ModelService, of the asyncio client."""

# ruff: noqa: ASYNC109  # the timeout is the call's deadline: the server gets to know it, too

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import cached_property
from typing import TypeVar

import grpc.aio

from rankserve.v1 import models_pb2, models_pb2_grpc
from rankserve_client.catalog import Baseline, FoundItems, UserInfo
from rankserve_client.catalog_messages import (
    to_baseline,
    to_baseline_request,
    to_found_items,
    to_items_request,
    to_search_request,
    to_user_info,
    to_user_request,
)
from rankserve_client.messages import to_change, to_model_info, to_selector
from rankserve_client.model_info import ModelInfo
from rankserve_client.query import check_selector
from rankserve_client.serving_changes import ServingChange

_Response = TypeVar("_Response")


class AsyncModelCalls(ABC):
    """What `AsyncRankingClient` asks about models, and does to them."""

    async def models(self, *, timeout: float | None = None) -> list[ModelInfo]:
        """Every version that the server has loaded, tried to load or is loading; by name, newest version first.

        Raises:
            RankServeError: The call failed, as in `rank`.
        """
        response = await self._call(self._models.ListModels, models_pb2.ListModelsRequest(), timeout)
        return [to_model_info(model) for model in response.models]

    async def server_version(self, *, timeout: float | None = None) -> str:
        """The release of rankserve that the server runs, such as "0.1.0"; empty where it is one that cannot tell.

        Raises:
            RankServeError: The call failed, as in `rank`.
        """
        response = await self._call(self._models.ListModels, models_pb2.ListModelsRequest(), timeout)
        return response.server_version

    async def model(
        self,
        name: str | None = None,
        *,
        version: int | None = None,
        alias: str | None = None,
        timeout: float | None = None,
    ) -> ModelInfo:
        """One version of one model; by default the default model in its current version.

        Raises:
            ModelNotFound: The server has no such model, version or alias.
            RankServeError: The call failed, as in `rank`.
        """
        check_selector(name, version, alias)
        request = models_pb2.GetModelRequest(model=to_selector(name, version, alias))
        return to_model_info((await self._call(self._models.GetModel, request, timeout)).model)

    async def reload(
        self, name: str | None = None, *, retry_quarantined: bool = False, timeout: float | None = None
    ) -> list[ModelInfo]:
        """Has the server look for new versions at once, and waits until those that can be served are.

        Needs the admin scope where the server asks for tokens. One that has several workers changes in one of them; the
        others follow when they next look.

        Args:
            name: Of one model; None: all of them.
            retry_quarantined: Tries versions again that were found to be bad, though their files have not changed.
            timeout: Seconds; loading may take more than the client's own deadline allows.

        Returns:
            The versions that there are now.

        Raises:
            ModelNotFound: There is no such model.
            RankServeError: The call failed, as in `rank`.
        """
        request = models_pb2.ReloadRequest(name=name or "", retry_quarantined=retry_quarantined)
        response = await self._call(self._models.Reload, request, timeout)
        return [to_model_info(model) for model in response.models]

    async def change_serving(
        self, change: ServingChange, name: str | None = None, *, timeout: float | None = None
    ) -> list[ModelInfo]:
        """Changes which versions of a model answer: durably, and for every server on the same models directory.

        Needs the admin scope where the server asks for tokens. This server has changed when the call returns; others,
        and other workers, follow when they next look.

        Args:
            change: What to do, such as `Promote(7)` or `RollBack()`.
            name: Of the model; None: the default one.
            timeout: Seconds; loading a version may take more than the client's own deadline allows.

        Returns:
            The versions of the model.

        Raises:
            ModelNotFound: There is no such model or version.
            Conflict: The version cannot be served, or there is nothing to change.
            InvalidRequest: A field is out of its range.
            RankServeError: The call failed, as in `rank`.
        """
        response = await self._call(self._models.ChangeServing, to_change(name, change), timeout)
        return [to_model_info(model) for model in response.models]

    async def items(
        self,
        item_ids: Iterable[int],
        *,
        model: str | None = None,
        version: int | None = None,
        alias: str | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> FoundItems:
        """Items by their ids, with titles and genres.

        Args:
            item_ids: As many as the server takes candidates, at most. Those that the model does not know are left out
                and named.
            model: Whose catalogue, as in `rank`; likewise `version` and `alias`.
            version: See `model`.
            alias: See `model`.
            timeout: See `rank`.
            request_id: See `rank`.

        Raises:
            ModelNotFound: The server has no such model, version or alias.
            InvalidRequest: A field is out of its range.
            RankServeError: The call failed, as in `rank`.
        """
        request = to_items_request(item_ids, model, version, alias)
        return to_found_items(await self._call(self._models.GetItems, request, timeout, request_id))

    async def search_items(
        self,
        text: str = "",
        *,
        limit: int | None = None,
        model: str | None = None,
        version: int | None = None,
        alias: str | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> FoundItems:
        """Items by words of their titles, those with the most ratings first.

        Args:
            text: Words or parts of words, at most 200 characters. A title has to hold each of them, in any order and
                whatever the case. Empty: all items.
            limit: How many items to return, 1 to 100; None, the default, is 20.
            model: See `items`, as for what follows.
            version: See `model`.
            alias: See `model`.
            timeout: See `rank`.
            request_id: See `rank`.

        Raises:
            RankServeError: The call failed, as in `items`.
        """
        request = to_search_request(text, limit, model, version, alias)
        return to_found_items(await self._call(self._models.SearchItems, request, timeout, request_id))

    async def user(
        self,
        user_id: int,
        *,
        limit: int | None = None,
        model: str | None = None,
        version: int | None = None,
        alias: str | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> UserInfo:
        """What a model knows of a user; an unknown one is no error.

        Args:
            user_id: The user.
            limit: How many of the items he has rated to return; None, the default, is 100.
            model: Which model, as in `rank`; by default the one that would rank for this user. Likewise `version` and
                `alias`.
            version: See `model`.
            alias: See `model`.
            timeout: See `rank`.
            request_id: See `rank`.

        Raises:
            RankServeError: The call failed, as in `items`.
        """
        request = to_user_request(user_id, limit, model, version, alias)
        return to_user_info(await self._call(self._models.GetUser, request, timeout, request_id))

    async def baseline(
        self,
        user_id: int,
        item_ids: Iterable[int],
        *,
        history: Mapping[int, float] | Iterable[tuple[int, float]] | None = None,
        model: str | None = None,
        version: int | None = None,
        alias: str | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> Baseline:
        """What means alone would predict: the mean of all ratings, of the item and of the user.

        Args:
            user_id: The user; an unknown one is predicted by his `history`, else as the average one.
            item_ids: As many as the server takes candidates, at most; unknown ones are predicted as the average item.
            history: Ratings that the model was not trained on, as in `rank`.
            model: See `user`, as for what follows.
            version: See `model`.
            alias: See `model`.
            timeout: See `rank`.
            request_id: See `rank`.

        Raises:
            NotSupported: The version does not hold means; see `baseline` of `ModelInfo.abilities`.
            RankServeError: The call failed, as in `items`.
        """
        request = to_baseline_request(user_id, item_ids, history, model, version, alias)
        return to_baseline(await self._call(self._models.GetBaseline, request, timeout, request_id))

    @abstractmethod
    def _opened(self) -> grpc.aio.Channel:
        """The channel; RuntimeError where the client is closed."""

    @cached_property
    def _models(self) -> "models_pb2_grpc.ModelServiceAsyncStub":
        return models_pb2_grpc.ModelServiceStub(self._opened())

    @abstractmethod
    async def _call(
        self,
        method: Callable[..., Awaitable[_Response]],
        request: object,
        timeout: float | None,
        request_id: str | None = None,
    ) -> _Response:
        """Makes a unary call."""
