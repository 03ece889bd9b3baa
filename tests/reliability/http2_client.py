"""An HTTP/2 connection for clients that mean no good: the `h2` library where they keep to the rules, else bytes."""

import socket
from typing import Final, Self

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from integration.raw_connection import message
from rankserve.v1 import ranking_pb2

RANK: Final = "/rankserve.v1.RankingService/Rank"
_PATIENCE_SECONDS: Final = 30
_RECEIVED_AT_ONCE: Final = 1 << 16
_CONFIG: Final = h2.config.H2Configuration(
    client_side=True,
    header_encoding=None,
    # What is sent is up to us.
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
)


class Http2Client:
    """One connection.

    Attributes:
        h2: the state of the connection; what it wants sent goes out with `flush`.
        ended: whether the server has said that it ends the connection, or has closed it.
        bodies: what has arrived, by stream.
        statuses: of the calls that are over, by stream; -1 where the server has only reset it.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=_PATIENCE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.h2 = h2.connection.H2Connection(_CONFIG)
        self.ended = False
        self.bodies: dict[int, bytes] = {}
        self.statuses: dict[int, int] = {}
        self.h2.initiate_connection()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def open(self, *more: tuple[str, str], path: str = RANK, seconds: int = 20) -> int:
        """Begins a call; returns its stream."""
        stream: int = self.h2.get_next_available_stream_id()
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "localhost"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("grpc-timeout", f"{seconds}S"),
        ]
        self.h2.send_headers(stream, [*headers, *more])
        return stream

    def call(self, request: ranking_pb2.RankRequest) -> int:
        """Makes a whole call of Rank; returns its stream."""
        stream = self.open()
        self.h2.send_data(stream, message(request.SerializeToString()), end_stream=True)
        return stream

    def flush(self) -> None:
        """Sends what is to be sent, with an error of the server's side noted in `ended`."""
        self.send(self.h2.data_to_send())

    def send(self, content: bytes) -> None:
        """Sends bytes as they are."""
        try:
            self.socket.sendall(content)
        except (ConnectionError, TimeoutError):
            self.ended = True

    def receive(self, seconds: float = _PATIENCE_SECONDS) -> bool:
        """Waits for something, gives the server room for as much again, and answers what it asks; False for nothing."""
        self.socket.settimeout(seconds)
        try:
            arrived = self.socket.recv(_RECEIVED_AT_ONCE)
        except TimeoutError:
            return False
        except ConnectionError:
            arrived = b""
        finally:
            self.socket.settimeout(_PATIENCE_SECONDS)
        if not arrived:
            self.ended = True
            return False
        for event in self.h2.receive_data(arrived):
            self._take(event)
        if not self.ended:
            self.flush()
        return True

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.DataReceived(stream_id=int(stream), data=bytes(data)):
                self.bodies[stream] = self.bodies.get(stream, b"") + data
                if event.flow_controlled_length:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, stream)
            case h2.events.TrailersReceived(stream_id=int(stream)) | h2.events.ResponseReceived(stream_id=int(stream)):
                status = dict(event.headers or ()).get(b"grpc-status")
                if status is not None:
                    self.statuses[stream] = int(status)
            case h2.events.StreamReset(stream_id=int(stream)):
                self.statuses.setdefault(stream, -1)
            case h2.events.ConnectionTerminated():
                self.ended = True

    def wait_for(self, *streams: int) -> None:
        """Waits until these calls are over, or the server ends the connection."""
        while not self.ended and not set(streams) <= self.statuses.keys():
            if not self.receive():
                return
