"""The committed stubs are what `make protos` generates."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from checks.repository import PROTOS, ROOT


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("protos")
    generate = [
        *("make", "--silent", "protos", f"PROTO_OUT={out}"),
        # With this interpreter's tools, whether or not its environment is the one that the Makefile sets up.
        *(f"VENV={sys.prefix}", f"--old-file={sys.prefix}/installed"),
    ]
    # Under `make check` the outer make's flags would reach this one.
    environment = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MFLAGS"}}
    subprocess.run(generate, cwd=ROOT, env=environment, check=True, timeout=120)
    return _stubs(out)


def test_every_proto_has_stubs(generated: dict[str, bytes]) -> None:
    protos = [path.relative_to(PROTOS) for path in PROTOS.rglob("*.proto")]
    assert protos
    for proto in protos:
        assert proto.with_name(f"{proto.stem}_pb2.py").as_posix() in generated


def test_the_committed_stubs_are_fresh(generated: dict[str, bytes]) -> None:
    assert stale_stubs(_stubs(PROTOS), generated) == [], "run `make protos`; delete stubs without a .proto file"


def test_stale_missing_and_orphaned_stubs_are_found() -> None:
    committed = {"a_pb2.py": b"1", "b_pb2.py": b"old", "orphan_pb2.pyi": b"2"}
    fresh = {"a_pb2.py": b"1", "b_pb2.py": b"new", "missing_pb2_grpc.py": b"3"}
    assert stale_stubs(committed, fresh) == ["b_pb2.py", "missing_pb2_grpc.py", "orphan_pb2.pyi"]


def stale_stubs(committed: dict[str, bytes], generated: dict[str, bytes]) -> list[str]:
    return sorted(name for name in committed.keys() | generated.keys() if committed.get(name) != generated.get(name))


def _stubs(directory: Path) -> dict[str, bytes]:
    """The generated files under `directory` by their path; mypy-protobuf and protoc name them all `*_pb2*.py[i]`."""
    paths = [*directory.rglob("*_pb2*.py"), *directory.rglob("*_pb2*.pyi")]
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in paths}
