"""The stream of the blocking client: queries go out on gRPC's own thread while the caller reads answers."""

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from queue import Full, Queue
from typing import Any, Final

import grpc

from rankserve.v1 import ranking_pb2
from rankserve_client.error_decoding import from_rpc_error
from rankserve_client.messages import to_request
from rankserve_client.query import RankQuery
from rankserve_client.results import RankResult, broken_promise, overdue, to_result

MAX_UNANSWERED = 64
"""How many queries go out ahead of their answers: enough to keep a server busy, few enough not to flood it."""

StartStream = Callable[[Iterator[ranking_pb2.RankRequest]], Any]
"""Starts the call; the result is iterable as well as a `grpc.Call`, for which there is no public type."""


def stream_results(
    start: StartStream, queries: Iterable[RankQuery], target: str, seconds: float | None
) -> Generator[RankResult, None, None]:
    """Yields one result for each query, in order; each may take `seconds` (None: for ever) once it is waited for."""
    outbox = _Outbox(queries)
    call = start(outbox)
    outbox.attach(call)
    timer = _AnswerTimer(seconds, call.cancel)
    try:
        while (titles := outbox.next_unanswered()) is not None:
            with timer:
                response = next(call, None)
            if response is None:
                raise outbox.error or broken_promise(f"{target} ended the stream before its last answer", target)
            yield to_result(response, titles, target)
        with timer:
            next(call, None)  # the status of the whole call: raises unless it is OK
        if outbox.error:
            raise outbox.error
    except grpc.RpcError as error:
        if outbox.error:
            raise outbox.error from None
        if timer.expired and seconds is not None:
            raise overdue(target, seconds) from error
        raise from_rpc_error(error, target, None) from error
    finally:
        timer.stop()
        call.cancel()
        outbox.stop()


class _Outbox(Iterator[ranking_pb2.RankRequest]):
    """The requests of a stream, as gRPC's thread takes them, and what is still unanswered, as the caller reads it.

    Unanswered is a queue with one entry for each request: whether it asked for titles. It is bounded, so that it also
    holds back the requests of a fast producer.
    """

    _END: Final = None

    def __init__(self, queries: Iterable[RankQuery]) -> None:
        self.error: BaseException | None = None
        self._queries = iter(queries)
        self._unanswered: Queue[bool | None] = Queue(MAX_UNANSWERED)
        self._stopped = False
        self._cancel: Callable[[], object] | None = None

    def attach(self, call: Any) -> None:
        self._cancel = call.cancel
        # A reader that waits for a slow producer has to learn that the server is gone.
        if not call.add_callback(self._call_ended):
            self._call_ended()

    def next_unanswered(self) -> bool | None:
        """Waits for the oldest request that has no answer; None when there is none to come."""
        return self._unanswered.get()

    def stop(self) -> None:
        """Lets gRPC's thread go where it waits for answers that nobody reads any more."""
        self._stopped = True
        while not self._unanswered.empty():
            self._unanswered.get_nowait()

    def __next__(self) -> ranking_pb2.RankRequest:
        try:
            query = next(self._queries)
            request = to_request(query)
        except StopIteration:
            self._unanswered.put(self._END)
            raise
        except BaseException as error:
            # Raised here it would end in a log of gRPC's: the caller is to get it.
            self.error = error
            self._unanswered.put(self._END)
            if self._cancel:
                self._cancel()
            raise StopIteration from error
        self._unanswered.put(query.titles)
        if self._stopped:
            raise StopIteration
        return request

    def _call_ended(self) -> None:
        with suppress(Full):  # where it is full the reader is not waiting: it meets the end of the call itself
            self._unanswered.put_nowait(self._END)


class _AnswerTimer:
    """Ends a stream whose answer is overdue: gRPC has deadlines only for a whole call, and a stream may go on for days.

    `with timer:` around the wait for an answer. One thread for the stream looks when the answer would be due, so
    nothing is started or woken up for an answer that comes in time.
    """

    def __init__(self, seconds: float | None, expire: Callable[[], object]) -> None:
        self.expired = False
        self._seconds = seconds or 0.0
        self._expire = expire
        self._due: float | None = None
        self._stopped = threading.Event()
        if seconds is not None:
            threading.Thread(target=self._watch, name="rankserve-answer-timer", daemon=True).start()

    def __enter__(self) -> None:
        self._due = time.monotonic() + self._seconds

    def __exit__(self, *_: object) -> None:
        self._due = None

    def stop(self) -> None:
        self._stopped.set()

    def _watch(self) -> None:
        pause = self._seconds
        while not self._stopped.wait(pause):
            due = self._due
            # A wait that begins only now is not due before a whole `seconds` from now.
            pause = self._seconds if due is None else due - time.monotonic()
            if pause <= 0:
                self.expired = True
                self._expire()
                return
