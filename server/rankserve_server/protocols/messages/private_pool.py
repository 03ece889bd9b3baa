"""Where the messages of other protocols are registered.

A process can hold two files of one protocol only in two pools. In the default one, whoever imports a client library of
such a protocol beside the server, before it or after it, would get an error. The generated modules use this module in
the place of `google.protobuf.descriptor_pool` and of `google.protobuf.internal.builder`, which does the same but for
the place.
"""

from typing import Any

from google.protobuf import any_pb2, wrappers_pb2
from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.internal import builder
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message import Message
from google.protobuf.reflection import GeneratedProtocolMessageType

_POOL = DescriptorPool()
# What they import, which this pool knows nothing of either.
for _file in (any_pb2.DESCRIPTOR, wrappers_pb2.DESCRIPTOR):
    _POOL.AddSerializedFile(_file.serialized_pb)

BuildMessageAndEnumDescriptors = builder.BuildMessageAndEnumDescriptors


def Default() -> DescriptorPool:  # noqa: N802, the generated code calls it that
    """The pool."""
    return _POOL


def BuildTopDescriptorsAndMessages(  # noqa: N802, the generated code calls it that
    file: FileDescriptor, module_name: str, module: dict[str, Any]
) -> None:
    """Makes what a generated module holds; protobuf's own adds it to the default pool where there is only Python."""
    for name, descriptor in (*file.enum_types_by_name.items(), *file.services_by_name.items()):
        module[f"_{name.upper()}"] = descriptor
    for name, enum in file.enum_types_by_name.items():
        module[name] = EnumTypeWrapper(enum)
        module |= {value.name: value.number for value in enum.values}
    for name, message in file.message_types_by_name.items():
        module[name] = _class_of(message, module_name, "")


def _class_of(message: Descriptor, module_name: str, prefix: str) -> Any:
    inner = f"{prefix}{message.name}."
    content: dict[str, Any] = {each.name: _class_of(each, module_name, inner) for each in message.nested_types}
    content |= {"DESCRIPTOR": message, "__module__": module_name, "__qualname__": prefix + message.name}
    return GeneratedProtocolMessageType(message.name, (Message,), content)
