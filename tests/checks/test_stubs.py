"""The committed stubs are what `make protos` generates."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from checks.repository import PROTOS, ROOT


@pytest.fixture(scope="module")
def generated_into(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    out, other_out = tmp_path_factory.mktemp("protos"), tmp_path_factory.mktemp("other-protos")
    generate = [
        *("make", "--silent", "protos", f"PROTO_OUT={out}", f"OTHER_PROTO_OUT={other_out}"),
        # With this interpreter's tools, whether or not its environment is the one that the Makefile sets up.
        *(f"VENV={sys.prefix}", f"--old-file={sys.prefix}/installed"),
    ]
    # Under `make check` the outer make's flags would reach this one.
    environment = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MFLAGS"}}
    subprocess.run(generate, cwd=ROOT, env=environment, check=True, timeout=120)
    return out, other_out


@pytest.fixture(scope="module")
def generated(generated_into: tuple[Path, Path]) -> dict[str, bytes]:
    return _stubs(generated_into[0])


def test_every_proto_has_stubs(generated: dict[str, bytes]) -> None:
    protos = [path.relative_to(PROTOS) for path in PROTOS.rglob("*.proto")]
    assert protos
    for proto in protos:
        assert proto.with_name(f"{proto.stem}_pb2.py").as_posix() in generated


def test_the_committed_stubs_are_fresh(generated: dict[str, bytes]) -> None:
    assert stale_stubs(_stubs(PROTOS), generated) == [], "run `make protos`; delete stubs without a .proto file"


def test_those_of_other_protocols_are_fresh_too(generated_into: tuple[Path, Path]) -> None:
    generated = _stubs(generated_into[1])
    assert generated
    assert stale_stubs(_stubs(ROOT / "server"), generated) == [], "run `make protos`"


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
