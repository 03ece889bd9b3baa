"""Just enough of HTTP/2 to call a gRPC server at next to no cost, and to be rude to it in ways that no library allows.

A client library takes about as much time for a call as the server does. Here the headers are encoded once, what is sent
is joined, and what comes back is looked at and not decoded.
"""

import re
import socket
import struct
from collections import deque
from typing import Final, Self

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4
CANCEL: Final = b"\0\0\0\x08"

_SERVICE: Final = b"/rankserve.v1.RankingService/"
_FRAME: Final = struct.Struct(">HBBBL")  # the length in two parts
_FRAME_BYTES: Final = 9
_LARGEST_FRAME: Final = 16_384
_KIND_AT: Final = 3
_FIRST_WINDOW: Final = 65_535
# The server may send as much as it likes: nobody here makes it wait.
_WINDOW: Final = 2**31 - 1
# No table of headers, so that a status is always spelled out.
_OUR_SETTINGS: Final = struct.pack(">HLHL", 1, 0, 4, _WINDOW)
_STATUS: Final = re.compile(rb"grpc-status.(\d+)", re.DOTALL)
_RECEIVED_AT_ONCE: Final = 1 << 20
_SILENCE_SECONDS: Final = 60


class Answer:
    """What has come of one call.

    Attributes:
        body: its messages, framed as gRPC does it.
        status: the number of its status; -1 where the server has only reset it.
    """

    __slots__ = ("body", "status")

    def __init__(self) -> None:
        self.body = b""
        self.status = -1


class RawConnection:
    """Many calls at a time over one connection, on one thread."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=_SILENCE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answers: dict[int, Answer] = {}
        self._next_stream = 1
        self._queued = deque([PREFACE, frame(SETTINGS, 0, 0, _OUR_SETTINGS), _window_update(_WINDOW - _FIRST_WINDOW)])
        self._room = _FIRST_WINDOW
        self._arrived = b""
        self._taken = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    @property
    def in_flight(self) -> int:
        """How many calls have no status yet."""
        return len(self._answers)

    def call(self, headers: bytes, body: bytes) -> int:
        """Queues a call; returns the number of its stream."""
        stream = self.open(headers)
        for start in range(0, len(body), _LARGEST_FRAME):
            stop = start + _LARGEST_FRAME
            self.queue(frame(DATA, END_STREAM if stop >= len(body) else 0, stream, body[start:stop]))
        return stream

    def open(self, headers: bytes, flags: int = END_HEADERS) -> int:
        """Queues the headers of a call alone; returns the number of its stream."""
        stream = self._next_stream
        self._next_stream += 2
        self._answers[stream] = Answer()
        self.queue(frame(HEADERS, flags, stream, headers))
        return stream

    def queue(self, frame: bytes) -> None:
        """Queues a frame of any kind."""
        self._queued.append(frame)

    def flush(self) -> None:
        """Sends what is queued, as far as the server has room for it."""
        sent = []
        while self._queued:
            first = self._queued[0]
            if first[_KIND_AT] == DATA:
                if len(first) - _FRAME_BYTES > self._room:
                    break
                self._room -= len(first) - _FRAME_BYTES
            sent.append(self._queued.popleft())
        if sent:
            self.socket.sendall(b"".join(sent))

    def receive(self) -> list[tuple[int, Answer]]:
        """Waits for something to arrive; returns the calls that are over, by stream.

        Raises:
            ConnectionError: where the server ends the connection.
            TimeoutError: where nothing comes for a minute.
        """
        arrived = self.socket.recv(_RECEIVED_AT_ONCE)
        if not arrived:
            raise ConnectionError("the server has closed the connection")
        data = self._arrived + arrived
        over: list[tuple[int, Answer]] = []
        place = 0
        while place + _FRAME_BYTES <= len(data):
            high, low, kind, flags, stream = _FRAME.unpack_from(data, place)
            start = place + _FRAME_BYTES
            stop = start + (high << 8 | low)
            if stop > len(data):
                break
            self._take(kind, flags, stream, data[start:stop], over)
            place = stop
        self._arrived = data[place:]
        self._make_room()
        return over

    def _take(self, kind: int, flags: int, stream: int, payload: bytes, over: list[tuple[int, Answer]]) -> None:
        if kind == DATA:
            self._taken += len(payload)
            if stream in self._answers:  # it may have been reset
                self._answers[stream].body += payload
        elif kind == RST_STREAM or (kind == HEADERS and flags & END_STREAM):
            answer = self._answers.pop(stream, None)
            if answer is not None:
                status = _STATUS.search(payload)
                answer.status = int(status[1]) if status else -1
                over.append((stream, answer))
        elif kind == WINDOW_UPDATE and stream == 0:
            self._room += int.from_bytes(payload, "big")
        elif kind in (SETTINGS, PING) and not flags & ACK:
            self._queued.appendleft(frame(kind, ACK, 0, payload if kind == PING else b""))
        elif kind == GOAWAY:
            raise ConnectionError(f"the server ends the connection: {payload!r}")

    def _make_room(self) -> None:
        if self._taken > _WINDOW // 4:
            self._queued.appendleft(_window_update(self._taken))
            self._taken = 0

    def reset(self, stream: int) -> None:
        """Queues the cancellation of a call."""
        self._answers.pop(stream, None)
        self.queue(frame(RST_STREAM, 0, stream, CANCEL))


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return _FRAME.pack(len(payload) >> 8, len(payload) & 0xFF, kind, flags, stream) + payload


def message(content: bytes) -> bytes:
    """A message as gRPC frames it."""
    return b"\0" + struct.pack(">L", len(content)) + content


def messages_of(body: bytes) -> list[bytes]:
    """The contents of framed messages."""
    found = []
    while body:
        (length,) = struct.unpack_from(">L", body, 1)
        found.append(body[5 : 5 + length])
        body = body[5 + length :]
    return found


def headers_of(method: str, timeout: str) -> bytes:
    """The headers of a call of the RankingService, encoded.

    None of them is meant for the connection's table, so that they are the same each time.

    Args:
        method: such as `Rank`.
        timeout: such as `30S` or `4m` (milliseconds).
    """
    return b"".join(
        (
            b"\x83\x86",  # :method POST, :scheme http
            b"\x04" + _text(_SERVICE + method.encode()),
            b"\x01" + _text(b"localhost"),  # :authority
            b"\x0f\x10" + _text(b"application/grpc"),  # content-type
            b"\x00" + _text(b"te") + _text(b"trailers"),
            b"\x00" + _text(b"grpc-timeout") + _text(timeout.encode()),
        )
    )


def _text(content: bytes) -> bytes:
    return bytes([len(content)]) + content


def _window_update(count: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, 0, count.to_bytes(4, "big"))
