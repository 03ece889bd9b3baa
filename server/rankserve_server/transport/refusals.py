"""How many calls are told why they are refused, where far too many come.

To refuse a call costs as much as two hundred of its candidates, and the thread that refuses is the one that answers. So
where more is queued than is computed, refusals have a share of its time. Whom that leaves no time for is not asked for,
and the core turns away what it is not asked for: without a reason, but for far less.
"""

# Of the time. At three times the load, two thirds of the calls are too many.
_SHARE = 0.05
# What was not used is kept for so long.
_KEPT_SECONDS = 0.05


class Refusals:
    """Those of one thread.

    Attributes:
        in_last_round: how many there were.
        affordable: how many more there is time for; below 0 there were too many.
    """

    __slots__ = ("_counted", "_since", "affordable", "in_last_round")

    def __init__(self, now: float) -> None:
        """The first round begins `now`, in seconds."""
        self.in_last_round = 0
        self.affordable = 0.0
        self._counted = 0
        self._since = now

    def count(self) -> None:
        """One more."""
        self._counted += 1

    @property
    def counted(self) -> int:
        """How many there were in this round."""
        return self._counted

    def end_round(self, now: float, seconds: float) -> None:
        """Begins the next one; a refusal takes so many seconds."""
        earned = (now - self._since) * _SHARE / seconds
        most = _KEPT_SECONDS * _SHARE / seconds
        self.affordable = min(self.affordable - self._counted + earned, max(most, 1.0))
        self.in_last_round, self._counted, self._since = self._counted, 0, now
