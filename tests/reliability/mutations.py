"""Messages that are nearly RankRequests, drawn from a seed."""

import random
from typing import TYPE_CHECKING

from rankserve.v1 import ranking_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

_BYTES = (0x00, 0x01, 0x08, 0x12, 0x7F, 0x80, 0xFF)
# Whole fields: a user, candidates packed and not, an alias, one that no message has, one of a group.
_FIELDS = (b"\x08\x05", b"\x12\x01\x05", b"\x10\x05", b"\x22\x03\x1a\x01x", b"\xa2\x06\x01x", b"\x0b\x0c", b"\x18\x01")
_MOST_STEPS = 4


class Mutator:
    """Makes one message after the other out of those that it has made before."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._steps: list[Callable[[bytearray], None]] = [
            self._flip,
            self._replace,
            self._insert,
            self._delete,
            self._repeat,
            self._cut,
            self._stretch,
            self._add_a_field,
            self._splice,
        ]

    def message(self) -> bytes:
        """The next one; every other one is changed in up to four places."""
        message = bytearray(self._fresh())
        if self._random.random() < 0.7:
            for _ in range(self._random.randint(1, _MOST_STEPS)):
                self._random.choice(self._steps)(message)
        return bytes(message)

    def messages(self) -> list[bytes | None]:
        """As many as may come in one round; some calls end without one."""
        count = self._random.randint(1, 12)
        return [None if self._random.random() < 0.02 else self.message() for _ in range(count)]

    def _fresh(self) -> bytes:
        chance = self._random
        largest = 1 << chance.choice([3, 7, 14, 21, 28, 35, 63])
        candidates = [chance.randrange(largest) for _ in range(chance.choice([1, 2, 5, 20, 700]))]
        request = ranking_pb2.RankRequest(user_id=chance.randrange(1, largest), candidate_ids=candidates)
        if chance.random() < 0.1:
            request.top_k = chance.randrange(-1, 5)
        return request.SerializeToString()

    def _place(self, message: bytearray) -> int:
        """The head matters most: tags and lengths are there."""
        most = min(len(message), 8) if self._random.random() < 0.6 else len(message)
        return self._random.randrange(most + 1)

    def _flip(self, message: bytearray) -> None:
        if message:
            message[self._place(message) % len(message)] ^= 1 << self._random.randrange(8)

    def _replace(self, message: bytearray) -> None:
        if message:
            message[self._place(message) % len(message)] = self._random.choice(_BYTES)

    def _insert(self, message: bytearray) -> None:
        message.insert(self._place(message), self._random.choice(_BYTES))

    def _delete(self, message: bytearray) -> None:
        start = self._place(message)
        del message[start : start + self._random.randint(1, 3)]

    def _repeat(self, message: bytearray) -> None:
        start = self._place(message)
        message[start:start] = message[start : start + self._random.randint(1, 8)]

    def _cut(self, message: bytearray) -> None:
        del message[self._place(message) :]

    def _stretch(self, message: bytearray) -> None:
        """A varint that takes more bytes than it needs, where one begins there."""
        if message:
            place = self._place(message) % len(message)
            zeros = self._random.randint(1, 10)
            message[place : place + 1] = bytes([message[place] | 0x80, *[0x80] * (zeros - 1), 0])

    def _add_a_field(self, message: bytearray) -> None:
        place = self._random.choice([0, len(message), self._place(message)])
        message[place:place] = self._random.choice(_FIELDS)

    def _splice(self, message: bytearray) -> None:
        other = self._fresh()
        message[self._place(message) :] = other[self._random.randrange(len(other)) :]
