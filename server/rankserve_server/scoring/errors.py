"""What ends a run of `rankserve score` in one line."""


class ScoringError(Exception):
    """What was asked for cannot be done. The message says what is wrong and what to do."""
