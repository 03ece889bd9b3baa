"""How much one call may ask for, and one connection."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds on requests; each has a flag of `rankserve serve`.

    Attributes:
        max_candidates: candidates of one request; as many excluded ids and new items.
        max_top_k: `top_k` of one request.
        max_history: ratings that one request brings along for its user.
        max_batch_requests: requests of one BatchRank call; different users of one request of another protocol.
        max_batch_candidates: candidates of all of them together.
        max_message_bytes: size of one message from a client.
        max_queued_candidates: candidates queued for scoring in the whole server.
        max_queue_ms: how long a request may have to wait for its scores, by the rate that is measured; 0 for any time.
        max_stream_requests: requests of one RankStream call that are answered at the same time; a client that sends
            more is read more slowly.
    """

    max_candidates: int = 10_000
    max_top_k: int = 10_000
    max_history: int = 1_000
    max_batch_requests: int = 1_000
    max_batch_candidates: int = 100_000
    max_message_bytes: int = 4 * 1024 * 1024
    max_queued_candidates: int = 500_000
    max_queue_ms: int = 1_000
    max_stream_requests: int = 64


@dataclass(frozen=True)
class ConnectionLimits:
    """Bounds on connections, which the C core keeps; each has a flag of `rankserve serve`. Times are in seconds.

    Attributes:
        max_connections: of one process; further ones are closed at once.
        max_connection_streams: calls of one connection at the same time. Clients that know HTTP/2 let others wait.
        max_metadata_bytes: size of the metadata of one call.
        max_connection_age_seconds: after about so long a connection is closed, so that clients spread anew over servers
            that were added; 0 for never.
        max_connection_age_grace_seconds: what the calls of such a connection then get to end.
        max_connection_idle_seconds: after so long without a call a connection is closed; 0 for never.
        keepalive_seconds: after so long without a sign of life the client is asked for one.
        keepalive_timeout_seconds: without an answer for so long it counts as gone.
        min_ping_seconds: a client that asks for signs of life more often, three times, is cut.
    """

    max_connections: int = 10_000
    max_connection_streams: int = 1_024
    max_metadata_bytes: int = 16_384
    max_connection_age_seconds: float = 0.0
    max_connection_age_grace_seconds: float = 30.0
    max_connection_idle_seconds: float = 0.0
    keepalive_seconds: float = 60.0
    keepalive_timeout_seconds: float = 20.0
    min_ping_seconds: float = 300.0
