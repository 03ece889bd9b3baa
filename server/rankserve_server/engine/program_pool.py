"""The compiled programs that a process holds, each of them once."""

import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from rankserve_server.engine.programs import loaded

if TYPE_CHECKING:
    from rankserve_server.engine.parts import Call


class ProgramPool:
    """Programs by what they are handed over as.

    A new version is mostly of the shape of the one before it. Then it takes over the programs that are there: loading
    25 of them, and freeing as many, would cost a hundred milliseconds of a server that has others to answer.

    One thread at a time may use it; who lets go of a version need not be that thread.
    """

    def __init__(self) -> None:
        """Empty."""
        self._calls: dict[bytes, Call] = {}
        self._used: weakref.WeakKeyDictionary[object, frozenset[bytes]] = weakref.WeakKeyDictionary()

    def __len__(self) -> int:
        return len(self._calls)

    def call(self, content: bytes) -> "Call":
        """The compiled call: the one that is there, or else it is loaded."""
        found = self._calls.get(content)
        if found is None:
            found = self._calls[content] = loaded(content)
        return found

    def note_user(self, user: object, contents: Iterable[bytes]) -> None:
        """Keeps these programs as long as `user` is there."""
        self._used[user] = frozenset(contents)

    def let_go(self, checkpoint: Callable[[], None] = lambda: None) -> None:
        """Frees the programs whose users are gone, one by one.

        Args:
            checkpoint: called before each.
        """
        used = frozenset[bytes]().union(*self._used.values())
        for content in self._calls.keys() - used:
            checkpoint()
            del self._calls[content]
