"""Both clients behind one awaitable surface, so that one test covers them both."""

import asyncio
from collections.abc import Iterable
from typing import Any, Literal

from rankserve_client import AsyncRankingClient, ModelInfo, Ranking, RankingClient, RankQuery, RankResult

Kind = Literal["blocking", "asyncio"]


class AnyClient:
    """A client of either kind; the blocking one is called on threads."""

    def __init__(self, kind: Kind, *arguments: Any, **options: Any) -> None:
        self.client: RankingClient | AsyncRankingClient
        if kind == "blocking":
            self.client = RankingClient(*arguments, **options)
        else:
            self.client = AsyncRankingClient(*arguments, **options)

    async def rank(self, *arguments: Any, **options: Any) -> Ranking:
        if isinstance(self.client, RankingClient):
            return await asyncio.to_thread(self.client.rank, *arguments, **options)
        return await self.client.rank(*arguments, **options)

    async def rank_batch(self, queries: Iterable[RankQuery], **options: Any) -> list[RankResult]:
        if isinstance(self.client, RankingClient):
            return await asyncio.to_thread(self.client.rank_batch, queries, **options)
        return await self.client.rank_batch(queries, **options)

    async def rank_stream(self, queries: Any, **options: Any) -> list[RankResult]:
        if isinstance(self.client, RankingClient):
            stream = self.client.rank_stream(queries, **options)
            return await asyncio.to_thread(list, stream)
        return [result async for result in self.client.rank_stream(queries, **options)]

    async def models(self, **options: Any) -> list[ModelInfo]:
        if isinstance(self.client, RankingClient):
            return await asyncio.to_thread(self.client.models, **options)
        return await self.client.models(**options)

    async def model(self, *arguments: Any, **options: Any) -> ModelInfo:
        if isinstance(self.client, RankingClient):
            return await asyncio.to_thread(self.client.model, *arguments, **options)
        return await self.client.model(*arguments, **options)

    async def reload(self, *arguments: Any, **options: Any) -> list[ModelInfo]:
        if isinstance(self.client, RankingClient):
            return await asyncio.to_thread(self.client.reload, *arguments, **options)
        return await self.client.reload(*arguments, **options)

    async def change_serving(self, *arguments: Any, **options: Any) -> list[ModelInfo]:
        if isinstance(self.client, RankingClient):
            return await asyncio.to_thread(self.client.change_serving, *arguments, **options)
        return await self.client.change_serving(*arguments, **options)

    async def call(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Calls a method by its name."""
        method = getattr(self.client, name)
        if isinstance(self.client, RankingClient):
            return await asyncio.to_thread(method, *arguments, **options)
        return await method(*arguments, **options)

    async def close(self) -> None:
        if isinstance(self.client, RankingClient):
            self.client.close()
        else:
            await self.client.close()
