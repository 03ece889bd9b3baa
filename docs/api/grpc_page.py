"""The page of the gRPC interface, from the protos and their comments."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)

# The numbers that a path of the source information is made of: which field of its parent an element stands in.
_MESSAGES, _ENUMS, _SERVICES = 4, 5, 6
_FIELDS, _NESTED, _NESTED_ENUMS = 2, 3, 4
_METHODS, _VALUES = 2, 2

_HEAD = """# gRPC

What is on the wire, made from [the protos](../../protos/rankserve/v1) by `make docs`. The Python of it is in
[python.md](python.md). The server has reflection, so that `grpcurl` needs no protos.
"""

_Path = tuple[int, ...]
_Comments = dict[_Path, str]


def grpc_page(protos: Path) -> str:
    """The page, in Markdown."""
    lines = [_HEAD]
    for file in _files(protos):
        comments: _Comments = {
            tuple(each.path): _text(each.leading_comments) for each in file.source_code_info.location
        }
        lines += [f"## {file.name}", ""]
        for number, service in enumerate(file.service):
            lines += _service(service, (_SERVICES, number), comments)
        for number, message in enumerate(file.message_type):
            lines += _message(message, (_MESSAGES, number), comments)
        for number, enum in enumerate(file.enum_type):
            lines += _enum(enum, enum.name, (_ENUMS, number), comments)
    return "\n".join(lines).rstrip() + "\n"


def _files(protos: Path) -> Sequence[FileDescriptorProto]:
    sources = sorted(str(path.relative_to(protos)) for path in protos.rglob("*.proto"))
    with tempfile.TemporaryDirectory() as directory:
        output = Path(directory) / "descriptors"
        command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={protos}", "--include_source_info"]
        subprocess.run([*command, f"--descriptor_set_out={output}", *sources], check=True)  # noqa: S603  # no shell; our own files
        return FileDescriptorSet.FromString(output.read_bytes()).file


def _service(service: ServiceDescriptorProto, path: _Path, comments: _Comments) -> Iterator[str]:
    yield from (f"### {service.name}", "", comments[path], "")
    for number, method in enumerate(service.method):
        asked = f"{'stream ' if method.client_streaming else ''}{_name(method.input_type)}"
        answered = f"{'stream ' if method.server_streaming else ''}{_name(method.output_type)}"
        yield from (f"#### {method.name}({asked}) returns ({answered})", "", comments[(*path, _METHODS, number)], "")


def _message(message: DescriptorProto, path: _Path, comments: _Comments, outer: str = "") -> Iterator[str]:
    if message.options.map_entry:
        return
    name = f"{outer}{message.name}"
    yield from (f"### {name}", "", comments.get(path, ""), "")
    for number, field in enumerate(message.field):
        kind = _kind(field, message)
        comment = comments[(*path, _FIELDS, number)].replace("\n", "\n  ")
        yield f"- `{field.name} = {field.number}` ({kind}): {comment}"
    if message.field:
        yield ""
    for number, inner in enumerate(message.nested_type):
        yield from _message(inner, (*path, _NESTED, number), comments, f"{name}.")
    for number, enum in enumerate(message.enum_type):
        yield from _enum(enum, f"{name}.{enum.name}", (*path, _NESTED_ENUMS, number), comments)


def _enum(enum: EnumDescriptorProto, name: str, path: _Path, comments: _Comments) -> Iterator[str]:
    yield from (f"### {name}", "", comments[path], "")
    for number, value in enumerate(enum.value):
        comment = comments[(*path, _VALUES, number)].replace("\n", "\n  ")
        yield f"- `{value.name} = {value.number}`: {comment}"
    yield ""


def _kind(field: FieldDescriptorProto, message: DescriptorProto) -> str:
    for entry in message.nested_type:
        if entry.options.map_entry and field.type_name.endswith(f".{message.name}.{entry.name}"):
            key, value = (_kind(each, entry) for each in entry.field)
            return f"map of {key} to {value}"
    if field.type_name:
        kind = _name(field.type_name)
    else:
        kind = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        return f"repeated {kind}"
    return f"optional {kind}" if field.proto3_optional else kind


def _name(full: str) -> str:
    return full.removeprefix(".").removeprefix("rankserve.v1.")


def _text(comment: str) -> str:
    """A comment as Markdown: what is indented stays in its columns, and what is for linters is left out."""
    lines = [line.removeprefix(" ").rstrip() for line in comment.splitlines() if "buf:lint" not in line]
    text: list[str] = []
    for line in lines:
        if line.startswith("  ") and text and text[-1] and not text[-1].startswith("    "):
            text.append("")
        text.append(f"  {line}" if line.startswith("  ") else line)
    return "\n".join(text).strip("\n")
