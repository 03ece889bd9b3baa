"""A client that breaks the rules of HTTP/2 and gRPC: `python -m integration.rude_client ADDRESS SECONDS SEED`.

It does one rude thing after the other, each on a connection of its own, which it closes in one of two ways. Where it
waits for answers, they have to come. Prints how many calls it has made; may be killed.
"""

import random
import socket
import struct
import sys
import time
from typing import TYPE_CHECKING

from integration.client_processes import end_within
from integration.raw_connection import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PREFACE,
    SETTINGS,
    RawConnection,
    frame,
    headers_of,
    message,
)
from rankserve.v1 import ranking_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

_METHODS = ("Rank", "BatchRank", "RankStream")
_UNKNOWN, _INTERNAL = 2, 13
# A call without a whole message waits for its deadline.
_SHORT_TIMEOUT = "200m"
_LONG_TIMEOUT = "60S"
_CLOSE_WITH_RESET = struct.pack("ii", 1, 0)


class RudeClient:
    """Does rude things until its time is up.

    Attributes:
        calls: how many it has made.
    """

    def __init__(self, address: str, seed: int) -> None:
        self._address = address
        self._random = random.Random(seed)
        self.calls = 0

    def run(self, seconds: float) -> None:
        """A server that hangs up is right, one that does not answer is not: then this fails."""
        things: list[Callable[[RawConnection], None]] = [
            self._send_garbage,
            self._send_half_a_frame,
            self._end_calls_without_a_message,
            self._send_messages_that_are_none,
            self._send_messages_with_lies_before_them,
            self._give_no_time,
            self._reset_calls,
            self._leave_streams,
            self._read_nothing,
        ]
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                with RawConnection(self._address) as connection:
                    self._random.choice(things)(connection)
                    if self._random.random() < 0.5:
                        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _CLOSE_WITH_RESET)
            except ConnectionError:
                continue

    def _send_garbage(self, connection: RawConnection) -> None:
        greeting = self._random.choice([b"", PREFACE, PREFACE + frame(SETTINGS, 0, 0)])
        connection.socket.sendall(greeting + self._bytes(1_000))

    def _send_half_a_frame(self, connection: RawConnection) -> None:
        stream = self._open(connection, "Rank")
        connection.flush()
        whole = self._random.choice(
            [
                frame(DATA, END_STREAM, stream, message(self._request("Rank"))),
                frame(HEADERS, END_HEADERS, stream + 2, headers_of("Rank", _LONG_TIMEOUT)),
            ]
        )
        connection.socket.sendall(whole[: self._random.randrange(1, len(whole))])

    def _end_calls_without_a_message(self, connection: RawConnection) -> None:
        for _ in range(self._some()):
            self._open(connection, self._method(), _SHORT_TIMEOUT, END_HEADERS | END_STREAM)
        self._wait(connection)

    def _send_messages_that_are_none(self, connection: RawConnection) -> None:
        for _ in range(self._some()):
            self._call(connection, self._method(), message(self._bytes(200)))
        if statuses := {_UNKNOWN, _INTERNAL} & self._wait(connection):
            raise ValueError(f"bytes that are no message were answered with status {statuses.pop()}")

    def _send_messages_with_lies_before_them(self, connection: RawConnection) -> None:
        """They say that they are longer than they are, or compressed."""
        for _ in range(self._some()):
            method = self._method()
            whole = message(self._request(method))
            self._call(
                connection,
                method,
                self._random.choice([whole[:-1], b"\1" + whole[1:], self._bytes(20)]),
                _SHORT_TIMEOUT,
            )
        self._wait(connection)

    def _give_no_time(self, connection: RawConnection) -> None:
        for _ in range(self._some()):
            self._call_well(connection, f"{self._random.randrange(5)}m")
        self._wait(connection)

    def _reset_calls(self, connection: RawConnection) -> None:
        streams = [self._call_well(connection) for _ in range(self._some())]
        for stream in self._random.sample(streams, len(streams) // 2):
            if self._random.random() < 0.1:
                connection.flush()
                time.sleep(self._random.random() / 200)
            connection.reset(stream)
        self._wait(connection)

    def _leave_streams(self, connection: RawConnection) -> None:
        for _ in range(self._some()):
            stream = self._open(connection, "RankStream")
            for _ in range(self._random.randrange(4)):
                connection.queue(frame(DATA, 0, stream, message(self._request("RankStream"))))
        connection.flush()
        connection.receive()
        time.sleep(self._random.random() / 50)

    def _read_nothing(self, connection: RawConnection) -> None:
        for _ in range(self._some()):
            self._call_well(connection)
        connection.flush()
        time.sleep(self._random.random() / 50)

    def _open(
        self, connection: RawConnection, method: str, timeout: str = _LONG_TIMEOUT, flags: int = END_HEADERS
    ) -> int:
        self.calls += 1
        return connection.open(headers_of(method, timeout), flags)

    def _call(self, connection: RawConnection, method: str, body: bytes, timeout: str = _LONG_TIMEOUT) -> int:
        self.calls += 1
        return connection.call(headers_of(method, timeout), body)

    def _call_well(self, connection: RawConnection, timeout: str = _LONG_TIMEOUT) -> int:
        method = self._method()
        return self._call(connection, method, message(self._request(method)), timeout)

    def _wait(self, connection: RawConnection) -> set[int]:
        """Until all calls are over; returns their statuses."""
        statuses: set[int] = set()
        while connection.in_flight:
            connection.flush()
            statuses.update(answer.status for _, answer in connection.receive())
        return statuses

    def _method(self) -> str:
        return self._random.choice(_METHODS)

    def _request(self, method: str) -> bytes:
        count = self._random.choice([1, 10, 100, 1_000])
        request = ranking_pb2.RankRequest(user_id=42, candidate_ids=range(1, 1 + count))
        if method == "BatchRank":
            return ranking_pb2.BatchRankRequest(requests=[request] * 3).SerializeToString()
        return request.SerializeToString()

    def _bytes(self, most: int) -> bytes:
        return self._random.randbytes(self._random.randrange(1, most))

    def _some(self) -> int:
        return self._random.randrange(1, 200)


def main(address: str, seconds: float, seed: int) -> None:
    end_within(seconds)
    client = RudeClient(address, seed)
    client.run(seconds)
    print(client.calls)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
