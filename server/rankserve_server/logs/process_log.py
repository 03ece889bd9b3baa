"""What a process of the server says on stderr."""

import logging
import sys

import msgspec

from rankserve_server.logs.wall_time import wall_time
from rankserve_server.observing.observing_config import LogFormat, LogLevel

_FOR_PEOPLE = "%(asctime)s %(levelname)s %(message)s"


def start_log(format_: LogFormat, level: LogLevel) -> None:
    """Sets up the log of this process, once, before anything is said."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines() if format_ == "json" else logging.Formatter(_FOR_PEOPLE))
    logging.basicConfig(level=level.upper(), handlers=[handler])


class _JsonLines(logging.Formatter):
    """One object a line: time, level, logger, process, message, and a traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": wall_time(record.created),
            "level": record.levelname,
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(fields).decode()
