"""Messages of any type, near one that a server can answer or far from it, drawn from a seed."""

import random
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

_INTEGERS = (0, 0, 1, 1, 2, 5, 100, -1, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63))
_FLOATS = (0.0, 1.0, 5.0, 50.0, -1.0, 1e30, float("nan"), float("inf"))
# What services know by name, and what none does.
_TEXTS = ("", "towers", "1", "user_id", "item_id", "score", "INT32", "signature_def", "age", "\0", "ö" * 300)
_DEEPEST = 4
_MOST_CHANGES = 3


class AnyMessages:
    """Makes one after the other."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def near(self, message: Message) -> Message:
        """A copy in which up to three fields, at any depth, are others."""
        copy = type(message)()
        copy.CopyFrom(message)
        for _ in range(self._random.randint(0, _MOST_CHANGES)):
            self._change(copy)
        return copy

    def each_field_changed(self, message: Message) -> Iterator[Message]:
        """Copies in each of which one of the fields that are set, at any depth, is not set, or is another.

        So what is checked of a single field is met however many fields there are.
        """
        for place, _ in enumerate(self._set_fields(message)):
            for cleared in (True, False):
                copy = type(message)()
                copy.CopyFrom(message)
                holder, field = self._set_fields(copy)[place]
                before = None if field.is_repeated or field.message_type else getattr(holder, field.name)
                holder.ClearField(field.name)
                if not cleared:
                    self._set(holder, field, _DEEPEST - 2)
                    while before is not None and getattr(holder, field.name) == before:
                        self._set(holder, field, _DEEPEST - 2)
                yield copy

    def _set_fields(self, message: Message) -> list[tuple[Message, FieldDescriptor]]:
        """Those at any depth, with the message that has them."""
        found: list[tuple[Message, FieldDescriptor]] = []
        for field, _ in message.ListFields():
            found.append((message, field))
            for inner in self._messages_in(message, field):
                found += self._set_fields(inner)
        return found

    def of(self, described: Descriptor, depth: int = 0) -> Message:
        """Any message of this type."""
        message = GetMessageClass(described)()
        if depth < _DEEPEST:
            for field in described.fields:
                if self._random.random() < 0.4:
                    self._set(message, field, depth)
        return message

    def _change(self, message: Message) -> None:
        fields: Any = message.DESCRIPTOR.fields
        if not fields:
            return
        field = self._random.choice(fields)
        inner = self._messages_in(message, field)
        if inner and self._random.random() < 0.7:
            self._change(self._random.choice(inner))
            return
        message.ClearField(field.name)
        if self._random.random() < 0.8:
            self._set(message, field, _DEEPEST - 2)

    def _messages_in(self, message: Message, field: FieldDescriptor) -> list[Any]:
        if field.message_type is None:
            return []
        value: Any = getattr(message, field.name)
        if _is_map(field):
            values = [value[key] for key in sorted(value)]
            return [each for each in values if isinstance(each, Message)]
        if field.is_repeated:
            return list(value)
        return [value] if message.HasField(field.name) else []

    def _set(self, message: Message, field: FieldDescriptor, depth: int) -> None:
        held: Any = getattr(message, field.name)
        if _is_map(field):
            entry: Any = field.message_type
            key, value = entry.fields_by_name["key"], entry.fields_by_name["value"]
            for _ in range(self._random.randint(0, 2)):
                if value.message_type is None:
                    held[self._scalar(key)] = self._scalar(value)
                else:
                    held[self._scalar(key)].CopyFrom(self.of(value.message_type, depth + 1))
        elif field.message_type is not None:
            if field.is_repeated:
                held.extend(self.of(field.message_type, depth + 1) for _ in range(self._random.randint(0, 3)))
            else:
                held.CopyFrom(self.of(field.message_type, depth + 1))
                held.SetInParent()
        elif field.is_repeated:
            held.extend(self._scalar(field) for _ in range(self._random.randint(0, 4)))
        else:
            setattr(message, field.name, self._scalar(field))

    def _scalar(self, field: FieldDescriptor) -> Any:
        pick = self._random.choice
        match field.cpp_type:
            case FieldDescriptor.CPPTYPE_BOOL:
                return pick((False, True))
            case FieldDescriptor.CPPTYPE_FLOAT | FieldDescriptor.CPPTYPE_DOUBLE:
                return pick(_FLOATS)
            case FieldDescriptor.CPPTYPE_ENUM:
                enum: Any = field.enum_type
                return pick([*(value.number for value in enum.values), 99])  # the last has no name
            case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_BYTES:
                return pick((b"", b"\x05\x00\x00\x00\x00\x00\x00\x00", b"\xff" * 7))
            case FieldDescriptor.CPPTYPE_STRING:
                return pick(_TEXTS)
        lowest, highest = _RANGES[field.cpp_type]
        return min(max(pick(_INTEGERS), lowest), highest)


_RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry
