"""What the request log says of a request: an object a line, with the fields of the messages under their own names."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from rankserve_server.logs.wall_time import wall_time
from rankserve_server.service.exchanges import Exchange


class KeptRequest(NamedTuple):
    """A message that was answered well.

    Attributes:
        time: when it was answered, of `time.time`.
        method: `/package.Service/Method`.
        request_id: of its call.
        size: in bytes, with its answer.
        exchanges: what was asked in it and answered, to be taken once.
    """

    time: float
    method: str
    request_id: str
    size: int
    exchanges: Iterator[Exchange]


def lines_of(kept: KeptRequest) -> list[bytes]:
    """A line for each request of a message; none for those that were refused."""
    common = {
        "time": wall_time(kept.time),
        "method": kept.method.removeprefix("/"),
        "request_id": kept.request_id,
    }
    return [
        msgspec.json.encode({**common, "request": fields_of(request), "response": fields_of(response)}) + b"\n"
        for request, response in kept.exchanges
    ]


def fields_of(message: Message) -> dict[str, Any]:
    """The fields that are set. Protobuf's JSON reads it back; unlike that, ids are numbers and not texts."""
    return {field.name: _value(field, value) for field, value in message.ListFields()}


def _value(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None:
        if field.message_type.GetOptions().map_entry:
            return dict(value)
        return [fields_of(each) for each in value] if field.is_repeated else fields_of(value)
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    if field.cpp_type == FieldDescriptor.CPPTYPE_FLOAT:
        return list(map(_shortest, value)) if field.is_repeated else _shortest(value)
    return list(value) if field.is_repeated else value


def _shortest(value: float) -> float:
    """With the digits that tell it from other float32."""
    return float(f"{value:.9g}")
