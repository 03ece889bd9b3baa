"""The requests of a request log, as warm-up reads them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from google.protobuf import json_format

from rankserve.v1 import ranking_pb2


class BadLineError(ValueError):
    """A line is no entry of a request log. The message says why."""


def read_requests(path: Path) -> Iterator[ranking_pb2.RankRequest | BadLineError]:
    """What each line asks for, or why it cannot be told; the last line of a server that was killed may be half of one.

    Raises:
        OSError: where the file cannot be read.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    yield _request_of(line)
                except BadLineError as error:
                    yield BadLineError(f"{path}:{number}: {error}")


def _request_of(line: bytes) -> ranking_pb2.RankRequest:
    try:
        entry: Any = msgspec.json.decode(line)
        fields = entry["request"]
    except (msgspec.DecodeError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise BadLineError("it is no JSON object with a `request`") from error
    try:
        return json_format.ParseDict(fields, ranking_pb2.RankRequest())
    except (json_format.ParseError, AttributeError, TypeError, ValueError) as error:
        raise BadLineError(f"its `request` is no RankRequest: {error}") from error
