"""The asyncio client."""

# ruff: noqa: ASYNC109  # the timeout is the call's deadline: the server gets to know it, too

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
import grpc.aio

from rankserve.v1 import ranking_pb2, ranking_pb2_grpc
from rankserve_client.async_model_calls import AsyncModelCalls
from rankserve_client.async_stream import client_closed, is_cancelled_from_outside, stream_results
from rankserve_client.error_decoding import from_rpc_error
from rankserve_client.messages import to_ranking, to_request
from rankserve_client.policies import Keepalive, RetryPolicy
from rankserve_client.query import NewItem, Order, RankBy, RankQuery, UnknownItems, UnknownUser
from rankserve_client.ranking import Ranking
from rankserve_client.results import RankResult, to_results
from rankserve_client.settings import (
    DEFAULT_KEEPALIVE,
    DEFAULT_MAX_MESSAGE_BYTES,
    DEFAULT_RETRY,
    DEFAULT_TIMEOUT,
    Metadata,
    client_settings,
)
from rankserve_client.tls import Tls
from rankserve_client.tracing import current_context

_Response = TypeVar("_Response")


class AsyncRankingClient(AsyncModelCalls):
    """Ranks items over gRPC in asyncio. Share it between tasks: it holds the connections.

    It belongs to the event loop of its first call. It connects with that call and again by itself after a server was
    away. Every call has a deadline; cancelling a task also cancels its call at the server.

    >>> import asyncio
    >>> from rankserve_client import AsyncRankingClient
    >>> async def main():
    ...     async with AsyncRankingClient("127.0.0.1:50051") as client:
    ...         one, other = await asyncio.gather(client.rank(42, [204, 141]), client.rank(7, [204, 141]))
    ...         print(one.item_ids, other.item_ids)
    >>> asyncio.run(main())  # doctest: +SKIP

    Args:
        target: Where the server is: `"host:port"`, or one of gRPC's schemes (`dns:`, `ipv4:`, `ipv6:`, `unix:`). Calls
            are spread over all addresses that a host name resolves to, and over all of a sequence, which takes IP
            addresses (or `unix:` sockets) only.
        timeout: Seconds that a call may take, retries included; `math.inf` for no deadline. Every call can override it.
        retry: How calls that fail with UNAVAILABLE are repeated; None: not at all.
        keepalive: How lost connections are noticed; None: only by deadlines.
        tls: True for TLS with the authorities that this machine trusts, a `Tls` for others; False is plaintext.
        token: Sent with every call, as `authorization: Bearer TOKEN`. Refused over plaintext to another machine.
        token_file: Holds the token instead; it is read again when it changes.
        insecure_token: Sends the token over plaintext all the same.
        credentials: gRPC's own, such as of `grpc.ssl_channel_credentials()`, instead of `tls`.
        authority: The name that the server's certificate is checked against, where it is not the host of `target`.
        metadata: Pairs that are sent with every call.
        send_user: Sends the user of a `rank`, `user` or `baseline` as `x-rankserve-user` too, for a proxy that keeps
            users to servers.
        tracer_provider: A `TracerProvider` of OpenTelemetry, for a span of each call. Without one, a call still belongs
            to the span that is current when it is made.
        max_message_bytes: The largest message, sent or received.
        channel: A channel to use instead of an own one to `target`. It is not closed with the client, and it brings its
            own retries, keepalive, credentials, authority and limits. A token is sent whether or not it encrypts.

    Raises:
        ValueError: An argument is out of its range, or `target` is an address that gRPC cannot use.
        OSError: A file of `tls` or `token_file` cannot be read.
    """

    def __init__(
        self,
        target: str | Sequence[str] | None = None,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        retry: RetryPolicy | None = DEFAULT_RETRY,
        keepalive: Keepalive | None = DEFAULT_KEEPALIVE,
        tls: Tls | bool = False,
        token: str | None = None,
        token_file: str | Path | None = None,
        insecure_token: bool = False,
        credentials: grpc.ChannelCredentials | None = None,
        authority: str | None = None,
        metadata: Metadata = (),
        max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES,
        channel: grpc.aio.Channel | None = None,
        tracer_provider: Any = None,
        send_user: bool = False,
    ) -> None:
        if channel is not None and not isinstance(channel, grpc.aio.Channel):
            raise ValueError(f"`channel` must be a grpc.aio.Channel. Received: `channel` = {channel!r}")
        self._settings = client_settings(
            target,
            channel,
            timeout=timeout,
            retry=retry,
            keepalive=keepalive,
            credentials=credentials,
            authority=authority,
            metadata=metadata,
            max_message_bytes=max_message_bytes,
            tls=tls,
            token=token,
            token_file=token_file,
            insecure_token=insecure_token,
            tracer_provider=tracer_provider,
            send_user=send_user,
        )
        self._owns_channel = channel is None
        self._closed = False
        # Opened by the first call: a channel binds itself to the loop that runs when it is made.
        self._channel = channel

    @property
    def target(self) -> str:
        """The address or addresses that were given."""
        return self._settings.target

    async def rank(
        self,
        user_id: int,
        candidates: Iterable[int] | None = None,
        *,
        top_k: int = 0,
        model: str | None = None,
        version: int | None = None,
        alias: str | None = None,
        history: Mapping[int, float] | Iterable[tuple[int, float]] | None = None,
        exclude_seen: bool = False,
        exclude: Iterable[int] = (),
        order: Order = "score",
        titles: bool = False,
        unknown_user: UnknownUser = "score",
        unknown_items: UnknownItems = "score",
        rank_by: RankBy = "default",
        user_features: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
        new_items: Iterable[NewItem] = (),
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> Ranking:
        """Orders candidates for a user; see `RankQuery` for the arguments and for what they raise.

        Args:
            timeout: Seconds that this call may take; None is the client's, `math.inf` none.
            request_id: Finds the call in the server's logs and traces, such as the id of your own caller's request;
                None leaves it to the server. `RankServeError.request_id` says which it was.

        Raises:
            InvalidRequest: The server objects to a field, such as too many candidates.
            ModelNotFound: The server has no such model, version or alias.
            NotSupported: The model cannot do what is asked for by `history`, `rank_by`, `user_features` or `new_items`;
                see `ModelInfo.abilities`.
            Overloaded: The server has more work than it accepts; `retry_after` says when to come back.
            DeadlineExceeded: No answer within `timeout`.
            Unavailable: The server is not ready, or (`Unreachable`) there is none.
            RankServeError: Any other status; the base of all of these.
            RuntimeError: The client is closed.
        """
        query = RankQuery(
            user_id,
            candidates,
            top_k=top_k,
            model=model,
            version=version,
            alias=alias,
            history=history,
            exclude_seen=exclude_seen,
            exclude=exclude,
            order=order,
            titles=titles,
            unknown_user=unknown_user,
            unknown_items=unknown_items,
            rank_by=rank_by,
            user_features=user_features,
            new_items=new_items,
        )
        return to_ranking(await self._call(self._ranking.Rank, to_request(query), timeout, request_id), titles)

    async def rank_batch(
        self, queries: Iterable[RankQuery], *, timeout: float | None = None, request_id: str | None = None
    ) -> list[RankResult]:
        """Ranks several queries, usually of different users, in one call; the results are in their order.

        A query that the server refuses has in its place the error that `rank` would have raised, and does not touch
        its neighbours. No queries, no call.

        >>> async def main():
        ...     async with AsyncRankingClient("127.0.0.1:50051") as client:
        ...         for result in await client.rank_batch([RankQuery(42, [204, 131]), RankQuery(7, [131])]):
        ...             print(result.item_ids if isinstance(result, Ranking) else f"refused: {result}")
        >>> asyncio.run(main())  # doctest: +SKIP

        Raises:
            RankServeError: The whole call failed, as in `rank`; also for more queries than the server takes at once.
        """
        queries = list(queries)
        if not queries:
            return []
        request = ranking_pb2.BatchRankRequest(requests=map(to_request, queries))
        response = await self._call(self._ranking.BatchRank, request, timeout, request_id)
        return to_results(queries, response.responses, self.target)

    def rank_stream(
        self,
        queries: Iterable[RankQuery] | AsyncIterable[RankQuery],
        *,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> AsyncGenerator[RankResult, None]:
        """Ranks any number of queries over one call, while they are being produced; the results are in their order.

        Results are as in `rank_batch`. `queries` is iterated in another task, at most 64 ahead of the results, and an
        exception that it raises is raised here. `aclose()` of the generator ends the call, and so does leaving the
        loop, though only when the event loop gets to it (`contextlib.aclosing` makes it certain).

        Args:
            timeout: Seconds to wait for each answer, not for the whole stream; None is the client's, `math.inf` no end.
            request_id: Of the whole call; see `rank`.

        Raises:
            RankServeError: The call failed, as in `rank`, when the iteration reaches the failure.
        """
        self._check_open()
        return self._streamed(queries, self._settings.deadline(timeout), self._settings.metadata_of(request_id))

    async def close(self) -> None:
        """Ends the calls that are under way (they raise `Cancelled`) and the connections; twice does no harm."""
        self._closed = True
        if self._owns_channel and self._channel is not None:
            await self._channel.close()

    async def __aenter__(self) -> Self:
        self._check_open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def _opened(self) -> grpc.aio.Channel:
        self._check_open()
        if self._channel is None:
            self._channel = self._settings.open_async_channel()
        return self._channel

    @cached_property
    def _ranking(self) -> "ranking_pb2_grpc.RankingServiceAsyncStub":
        return ranking_pb2_grpc.RankingServiceStub(self._opened())

    async def _call(
        self,
        method: Callable[..., Awaitable[_Response]],
        request: object,
        timeout: float | None,
        request_id: str | None = None,
    ) -> _Response:
        self._check_open()
        seconds = self._settings.deadline(timeout)
        metadata = self._settings.metadata_of(request_id, request)
        try:
            with self._settings.spans.unary(request):
                metadata += current_context()
                return await _unless_closed(lambda: method(request, timeout=seconds, metadata=metadata))
        except grpc.RpcError as error:
            raise from_rpc_error(error, self.target, seconds) from error
        except asyncio.CancelledError as error:
            if is_cancelled_from_outside():
                raise
            raise client_closed(self.target) from error

    async def _streamed(
        self,
        queries: Iterable[RankQuery] | AsyncIterable[RankQuery],
        seconds: float | None,
        metadata: tuple[tuple[str, str | bytes], ...],
    ) -> AsyncGenerator[RankResult, None]:
        with self._settings.spans.stream() as context:

            def start() -> Any:
                return _unless_closed(lambda: self._ranking.RankStream(metadata=(*metadata, *context)))

            async with aclosing(stream_results(start, queries, self.target, seconds)) as results:
                async for result in results:
                    yield result

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the client is closed")


def _unless_closed(call: Callable[[], _Response]) -> _Response:
    """Tells a closed channel from other misuse: another task or its owner may have closed it."""
    try:
        return call()
    except grpc.aio.UsageError as error:
        raise RuntimeError("the client is closed") from error
