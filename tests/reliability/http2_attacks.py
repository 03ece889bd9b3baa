"""What hostile clients do with HTTP/2. Each attack takes an address, a size and a seed; returns how often it did it."""

import random
import socket
import struct
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Final

from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from integration.raw_connection import (
    DATA,
    END_HEADERS,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
    headers_of,
    message,
    messages_of,
)
from rankserve.v1 import ranking_pb2
from reliability.http2_client import Http2Client

Attack = Callable[[str, int, random.Random], int]

CONTINUATION: Final = 9
_GREETING: Final = PREFACE + frame(SETTINGS, 0, 0)
_REQUEST: Final = ranking_pb2.RankRequest(user_id=3, candidate_ids=[5, 10, 15])
_LARGE_REQUEST: Final = ranking_pb2.RankRequest(user_id=3, candidate_ids=range(1, 5_000))
# The beginning of a frame that resets a stream, and of one that ends the connection.
_RESET: Final = frame(RST_STREAM, 0, 1, b"1234")[:4]
_GOING: Final = b"\x07\x00\x00\x00\x00\x00"
_CLOSE_WITH_RESET: Final = struct.pack("ii", 1, 0)
_LARGEST_WINDOW: Final = (2**31 - 1).to_bytes(4, "big")
_LARGEST_FRAME: Final = 16_384
_SILENCE_SECONDS: Final = 0.02
_PATIENCE_SECONDS: Final = 30
_RESOURCE_EXHAUSTED: Final = 8
# Half of what a connection may have, and less than the asyncio transport lets come at one moment: the core turns away
# whoever comes then, too.
_OPEN_STREAMS: Final = 500


def rapid_resets(address: str, size: int, _chance: random.Random) -> int:
    """Calls that are cancelled in the same breath (CVE-2023-44487)."""
    done = 0
    while done < 400 * size:
        with Http2Client(address) as client:
            for _ in range(200):
                client.h2.reset_stream(client.call(_REQUEST), ErrorCodes.CANCEL)
                done += 1
            client.flush()
            while client.receive(_SILENCE_SECONDS) and not client.ended:
                pass
    return done


def half_open_connections(address: str, size: int, chance: random.Random) -> int:
    """Connections that stop in the middle of a greeting or a call, stay for a while, and go without a word."""
    call = frame(HEADERS, END_HEADERS, 1, headers_of("Rank", "60S"))
    body = frame(DATA, 0, 1, message(_REQUEST.SerializeToString())[:7])
    whole = _GREETING + call + body
    clients = [_connected(address, whole[: chance.randrange(len(whole))]) for _ in range(60 * size)]
    time.sleep(0.2)
    for client in clients:
        if chance.random() < 0.5:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _CLOSE_WITH_RESET)
        client.close()
    return len(clients)


def headers_that_are_too_large(address: str, size: int, _chance: random.Random) -> int:
    """They are refused, one by one; a call with usual ones is answered on the same connection."""
    with Http2Client(address) as client:
        client.receive()
        for _ in range(3 * size):
            stream = client.open(("x-large", "a" * 20_000))
            client.flush()
            client.wait_for(stream)
            if client.ended:
                raise AssertionError("a call with large headers has ended the connection for all others")
            if client.statuses.get(stream) in (0, None):
                raise AssertionError(f"headers of 20,000 bytes: status {client.statuses.get(stream)}")
        _assert_answered(client)
    return 3 * size


def headers_without_an_end(address: str, size: int, _chance: random.Random) -> int:
    """CONTINUATION frames that go on for megabytes (CVE-2024-27316 and others); the server ends it long before."""
    field = b"\x00\x01a\x64" + b"b" * 100
    more = frame(CONTINUATION, 0, 1, field * (_LARGEST_FRAME // len(field)))
    sent = 0
    for _ in range(2 * size):
        with Http2Client(address) as client:
            client.flush()
            client.receive()
            client.send(frame(HEADERS, 0, 1, headers_of("Rank", "60S")))
            for _ in range(512):
                client.send(more)
                sent += 1
                if client.ended:
                    break
            _drain(client)
    return sent


def readers_that_do_not_read(address: str, size: int, _chance: random.Random) -> int:
    """They take one byte at a time of answers of 60 kB, and leave before the end."""
    done = 0
    for _ in range(4 * size):
        with Http2Client(address) as client:
            client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1})
            streams = [client.call(_LARGE_REQUEST) for _ in range(4)]
            client.flush()
            for _ in range(5):
                time.sleep(0.005)
                for stream in streams:
                    client.send(frame(WINDOW_UPDATE, 0, stream, (1).to_bytes(4, "big")))
            done += len(streams)
    return done


def writers_of_a_byte_at_a_time(address: str, size: int, _chance: random.Random) -> int:
    """In the end they are answered, rightly."""
    body = message(_REQUEST.SerializeToString())
    with Http2Client(address) as client:
        streams = [client.open() for _ in range(10 * size)]
        for place in range(len(body)):
            for stream in streams:
                client.h2.send_data(stream, body[place : place + 1], end_stream=place == len(body) - 1)
            client.flush()
            time.sleep(0.005)
            if not place % 4:
                client.receive(_SILENCE_SECONDS)
        client.wait_for(*streams)
        for stream in streams:
            _check_answer(client, stream)
    return len(streams)


def garbage(address: str, size: int, chance: random.Random) -> int:
    """Random bytes, some behind a whole greeting."""
    for _ in range(60 * size):
        greeting = chance.choice([b"", PREFACE, _GREETING])
        with _connected(address, greeting + chance.randbytes(chance.randrange(1, 2_000))):
            pass
    return 60 * size


def floods_of_settings(address: str, size: int, _chance: random.Random) -> int:
    """Each wants an acknowledgement, which is not read."""
    return _flood(address, frame(SETTINGS, 0, 0, struct.pack(">HL", 4, 65_535)), 4_000 * size)


def floods_of_pings(address: str, size: int, _chance: random.Random) -> int:
    """Likewise."""
    return _flood(address, frame(PING, 0, 0, b"12345678"), 4_000 * size)


def floods_of_empty_data(address: str, size: int, _chance: random.Random) -> int:
    """Frames that hold nothing and end nothing (CVE-2019-9518)."""
    opened = frame(HEADERS, END_HEADERS, 1, headers_of("RankStream", "20S"))
    return _flood(address, frame(DATA, 0, 1), 4_000 * size, opened)


def many_streams(address: str, size: int, _chance: random.Random) -> int:
    """On several connections at once, without a message; beside them a whole call on each."""
    with ExitStack() as stack:
        for _ in range(size):
            client = stack.enter_context(Http2Client(address))
            client.receive()
            for _ in range(_OPEN_STREAMS):
                client.open()
            client.flush()
            _assert_answered(client)
    return _OPEN_STREAMS * size


def windows_that_overflow(address: str, size: int, _chance: random.Random) -> int:
    """More room than a window can have, and more data than there is room for."""
    too_much = frame(WINDOW_UPDATE, 0, 0, _LARGEST_WINDOW) * 2
    unasked = frame(DATA, 0, 1, b"\0\x7f\xff\xff\xff" + bytes(_LARGEST_FRAME - 5)) + frame(
        DATA, 0, 1, bytes(_LARGEST_FRAME)
    ) * (64 * size)
    opened = frame(HEADERS, END_HEADERS, 1, headers_of("Rank", "20S"))
    for content in (too_much, opened + unasked):
        for _ in range(3 * size):
            with Http2Client(address) as client:
                client.flush()
                client.send(content)
                _wait_for_an_objection(client)
    return 6 * size


def frames_that_break_the_rules(address: str, size: int, _chance: random.Random) -> int:
    """Each in a way of its own."""
    opened = frame(HEADERS, END_HEADERS, 1, headers_of("Rank", "20S"))
    broken = [
        frame(DATA, 0, 0, b"abc"),
        frame(HEADERS, END_HEADERS, 0, headers_of("Rank", "20S")),
        frame(HEADERS, END_HEADERS, 2, headers_of("Rank", "20S")),
        frame(PING, 0, 0, b"1234567"),
        frame(SETTINGS, 0, 0, b"12345"),
        frame(SETTINGS, 1, 0, b"123456"),
        opened + frame(RST_STREAM, 0, 1, b"123"),
        opened + frame(WINDOW_UPDATE, 0, 1, b"123"),
        frame(CONTINUATION, END_HEADERS, 1, b"abc"),
        frame(HEADERS, 0, 1, b"") + frame(PING, 0, 0, b"12345678"),
        frame(DATA, 0, 0, bytes(_LARGEST_FRAME + 1)),
        frame(HEADERS, END_HEADERS, 1, b"\xff" * 20),
        frame(HEADERS, END_HEADERS | 0x8, 1, b"\x20abc"),
    ]
    for content in broken * size:
        with Http2Client(address) as client:
            client.flush()
            client.send(content)
            _wait_for_an_objection(client)
    return len(broken) * size


def random_frames(address: str, size: int, chance: random.Random) -> int:
    """Well formed from the outside: of any kind, on any stream, holding anything."""
    kinds = [DATA, HEADERS, 2, RST_STREAM, SETTINGS, 5, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION, 10, 255]
    for _ in range(40 * size):
        frames = [
            frame(chance.choice(kinds), chance.randrange(256), chance.randrange(8), _any_payload(chance))
            for _ in range(25)
        ]
        with _connected(address, _GREETING + b"".join(frames)):
            pass
    return 40 * 25 * size


ATTACKS: Final[dict[str, Attack]] = {
    attack.__name__: attack
    for attack in (
        rapid_resets,
        half_open_connections,
        headers_that_are_too_large,
        headers_without_an_end,
        readers_that_do_not_read,
        writers_of_a_byte_at_a_time,
        garbage,
        floods_of_settings,
        floods_of_pings,
        floods_of_empty_data,
        many_streams,
        windows_that_overflow,
        frames_that_break_the_rules,
        random_frames,
    )
}


def _any_payload(chance: random.Random) -> bytes:
    if chance.random() < 0.3:
        return headers_of(chance.choice(["Rank", "RankStream"]), "1S")
    return chance.randbytes(chance.choice([0, 3, 4, 5, 6, 8, 40]))


def _connected(address: str, content: bytes) -> socket.socket:
    """A connection on which this was sent, as far as the server lets it be."""
    host, _, port = address.rpartition(":")
    client = socket.create_connection((host, int(port)), timeout=5)
    with suppress(ConnectionError):
        client.sendall(content)
    return client


def _flood(address: str, content: bytes, count: int, before: bytes = b"") -> int:
    """Sends it so often without reading, as far as the server takes it; then reads what has come."""
    at_once = 500
    sent = 0
    with Http2Client(address) as client:
        client.flush()
        client.send(before)
        # A server that does not read any more protects itself.
        client.socket.settimeout(1)
        while sent < count and not client.ended:
            client.send(content * at_once)
            sent += at_once
        _drain(client)
    return sent


def _drain(client: Http2Client) -> None:
    """Takes what has arrived, as bytes: of a broken connection it can be anything."""
    client.socket.settimeout(_SILENCE_SECONDS)
    with suppress(ConnectionError, TimeoutError):
        while client.socket.recv(1 << 20):
            pass


def _wait_for_an_objection(client: Http2Client) -> None:
    """Until the server resets the stream, ends the connection or has been silent for long enough, which it may be."""
    client.socket.settimeout(5 * _SILENCE_SECONDS)
    with suppress(ConnectionError, TimeoutError):
        while arrived := client.socket.recv(1 << 16):
            # What follows is another stream's.
            if _RESET in arrived or _GOING in arrived:
                return


def _assert_answered(client: Http2Client) -> None:
    """As often as it is told that there is too much to do, which many calls at once can be."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        stream = client.call(_REQUEST)
        client.flush()
        client.wait_for(stream)
        if client.statuses.get(stream) != _RESOURCE_EXHAUSTED or time.monotonic() > until:
            break
        time.sleep(_SILENCE_SECONDS)
    _check_answer(client, stream)


def _check_answer(client: Http2Client, stream: int) -> None:
    if client.statuses.get(stream) != 0:
        raise AssertionError(f"status {client.statuses.get(stream)}, ended: {client.ended}")
    (content,) = messages_of(client.bodies[stream])
    items = sorted(ranking_pb2.RankResponse.FromString(content).item_ids)
    if items != list(_REQUEST.candidate_ids):
        raise AssertionError(f"the answer to another request: {items}")
