"""How many calls are told why they are refused, where far too many come.

To refuse a call costs as much as two hundred of its candidates, and the thread that refuses is the one that answers. So
where more is queued than is computed, refusals have a share of its time. Whom that leaves no time for is not asked for,
and the core turns away what it is not asked for: without a reason, but for far less.
"""

# Of the time. At three times the load, two thirds of the calls are too many.
_SHARE = 0.05
# What was not used is kept for so long.
_KEPT_SECONDS = 0.05
# What was too much, as where a thousand come at once, is made up for in so long.
_OWED_SECONDS = 1.0


class Refusals:
    """Those of one thread.

    Attributes:
        counted: how many there were in this round.
        affordable: how many more there is time for; below 0 there were too many.
        are_recent: whether there were any lately.
    """

    __slots__ = ("_since", "affordable", "are_recent", "counted")

    def __init__(self, now: float) -> None:
        """The first round begins `now`, in seconds."""
        self.affordable = 0.0
        self.are_recent = False
        self.counted = 0
        self._since = now

    def count(self) -> None:
        """One more."""
        self.counted += 1

    def end_round(self, now: float, seconds: float) -> None:
        """Begins the next one; a refusal takes so many seconds."""
        affordable = self.affordable - self.counted + (now - self._since) * _SHARE / seconds
        least, most = -_OWED_SECONDS * _SHARE / seconds, max(_KEPT_SECONDS * _SHARE / seconds, 1.0)
        self.are_recent = affordable < most and (self.are_recent or self.counted > 0)
        self.affordable = min(max(affordable, least), most)
        self.counted, self._since = 0, now
