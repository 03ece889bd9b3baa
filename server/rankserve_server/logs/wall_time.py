"""Times as logs write them."""

from datetime import UTC, datetime


def wall_time(seconds: float) -> str:
    """A time of `time.time` in RFC 3339, UTC, with microseconds: such as `2026-03-01T12:00:00.000001Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
