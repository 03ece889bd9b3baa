"""Answers to a stream of requests: made at the same time, given out in order."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

_Answer = TypeVar("_Answer")


class StreamWindow(Generic[_Answer]):
    """A queue of answers that are being made, with room for so many."""

    def __init__(self, size: int) -> None:
        self._room = asyncio.Semaphore(size)
        self._answers: asyncio.Queue[asyncio.Task[_Answer] | None] = asyncio.Queue()

    async def room(self) -> None:
        """Waits until one more answer may be started; the client's requests wait in gRPC meanwhile."""
        await self._room.acquire()

    def add(self, answering: Coroutine[Any, Any, _Answer]) -> None:
        """Starts an answer; after `room`."""
        self._answers.put_nowait(asyncio.create_task(answering))

    def end(self) -> None:
        """Says that no answer follows."""
        self._answers.put_nowait(None)

    async def next(self) -> _Answer | None:
        """The next answer; None after the last one."""
        task = await self._answers.get()
        if task is None:
            return None
        answer = await task
        self._room.release()
        return answer

    def cancel(self) -> None:
        """Gives up the answers that nobody waits for any more."""
        while not self._answers.empty():
            task = self._answers.get_nowait()
            if task is not None:
                task.cancel()
