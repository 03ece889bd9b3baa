"""What could not be told of calls."""


class ObserverCounts:
    """Of one process.

    Attributes:
        dropped: lines, requests and spans that are missing, by why: `queue_full`, or `write` for files.
    """

    def __init__(self) -> None:
        self.dropped = {"queue_full": 0, "write": 0}
