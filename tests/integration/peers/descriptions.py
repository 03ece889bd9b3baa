"""Protocol buffers by what counts on the wire, to compare with nothing but the protobuf library."""

from typing import Any

from google.protobuf.descriptor import Descriptor, FileDescriptor


def described(file: FileDescriptor) -> dict[str, Any]:
    """What a file and those that it imports declare: fields of messages, values of enums, methods of services."""
    found: dict[str, Any] = {}
    for imported in file.dependencies:
        found |= described(imported)
    for message in file.message_types_by_name.values():
        found |= _messages(message)
    for enum in file.enum_types_by_name.values():
        found[enum.full_name] = {value.name: value.number for value in enum.values}
    for service in file.services_by_name.values():
        found[service.full_name] = {
            method.name: [
                method.input_type.full_name,
                method.output_type.full_name,
                method.client_streaming,
                method.server_streaming,
            ]
            for method in service.methods
        }
    return found


def _messages(message: Descriptor) -> dict[str, Any]:
    found: dict[str, Any] = {message.full_name: {}}
    for field in message.fields:
        kind = field.message_type or field.enum_type
        oneof = field.containing_oneof
        name = field.type if kind is None else kind.full_name
        found[message.full_name][field.name] = [field.number, name, field.is_repeated, oneof and oneof.name]
    for nested in message.nested_types:
        found |= _messages(nested)
    for enum in message.enum_types:
        found[enum.full_name] = {value.name: value.number for value in enum.values}
    return found
