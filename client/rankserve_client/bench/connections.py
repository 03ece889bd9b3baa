"""The connections of one process: bytes in, bytes out.

Measured on two cores that other work kept busy, 100 candidates, CPU of the client for a request, medians of runs taken
in turn. 16 requests under way: `future` with a callback 114 us, `grpc.aio` 106 us (with uvloop 82-93 us), a blocking
call in each of 16 threads 124 us. 500 a second, where waking up costs most: `future` 470 us, with a thread that stays
(see `_hold_thread`) 340 us, `grpc.aio` 370 us. The asyncio of these sends 0.5 ms late in the median, as its timers wait
in whole milliseconds, where `time.sleep` in a thread of its own is 0.1 ms late. So: `future`.

All of the generator, the check of the answers included, takes 130 us of CPU for a request of 100 candidates and 340 us
for one of 1,000 in a closed loop, 250 us in an open one of 2,000 a second and 360 us in one of 500.
"""

from collections.abc import Iterator, Sequence
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self

import grpc

from rankserve_client.bench.workload import AnyRequest
from rankserve_client.security import NO_SECURITY, Security
from rankserve_client.settings import DEFAULT_MAX_MESSAGE_BYTES, client_settings

_RANK = "/rankserve.v1.RankingService/Rank"
_RANK_STREAM = "/rankserve.v1.RankingService/RankStream"


class Connections:
    """Channels to a server. Without retries: one call is one request and one answer.

    Args:
        servers: Their addresses.
        count: How many channels.
        timeout: Seconds that a call may take.
        often_idle: Whether there are times without a call under way, which are then made cheaper.
        security: What lets them in.
    """

    def __init__(
        self,
        servers: Sequence[str],
        count: int,
        timeout: float,
        *,
        often_idle: bool = False,
        security: Security = NO_SECURITY,
    ) -> None:
        self._settings = settings = client_settings(
            servers,
            None,
            timeout=timeout,
            retry=None,
            keepalive=None,
            credentials=None,
            authority=None,
            metadata=(),
            max_message_bytes=DEFAULT_MAX_MESSAGE_BYTES,
            **security.arguments(),
        )
        self._timeout = timeout
        self._often_idle = often_idle
        self._closing: SimpleQueue[None] = SimpleQueue()
        self._idle_streams: list[object] = []
        self._channels = [settings.open_channel() for _ in range(count)]
        self._methods: list[Any] = [channel.unary_unary(_RANK) for channel in self._channels]

    def __len__(self) -> int:
        return len(self._methods)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for channel in self._channels:
            self._closing.put(None)
            channel.close()

    def open(self, request: AnyRequest) -> None:
        """Connects all of them, with a call each; one that fails is for the run to count."""
        for method in self._methods:
            try:
                method(request.payload, timeout=self._timeout, metadata=self._settings.metadata, wait_for_ready=True)
            except grpc.RpcError:
                continue
        if self._often_idle:
            for channel in self._channels:
                self._hold_thread(channel)

    def call(self, number: int, request: AnyRequest) -> Any:
        """Starts a call on a connection, by its number modulo their count; the `grpc.Future` of its bytes."""
        method = self._methods[number % len(self._methods)]
        return method.future(request.payload, timeout=self._timeout, metadata=self._settings.metadata)

    def _hold_thread(self, channel: grpc.Channel) -> None:
        """Keeps the thread that takes the channel's answers, with a stream that has nothing to say until the end.

        Without any call under way gRPC ends the thread, and the next call starts another one and waits for it.
        """
        nothing: Iterator[Any] = iter(self._closing.get, None)
        stream: object = channel.stream_stream(_RANK_STREAM)(nothing, metadata=self._settings.metadata)
        self._idle_streams.append(stream)  # it ends when nobody holds it
