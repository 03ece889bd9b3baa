"""How much one call may ask for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds on requests; each has a flag of `rankserve serve`.

    Attributes:
        max_candidates: candidates of one request; as many excluded ids and new items.
        max_top_k: `top_k` of one request.
        max_history: ratings that one request brings along for its user.
        max_batch_requests: requests of one BatchRank call.
        max_batch_candidates: candidates of all requests of one BatchRank call together.
        max_message_bytes: size of one message from a client.
        max_queued_candidates: candidates queued for scoring in the whole server.
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
    max_stream_requests: int = 64
