"""The dependency rule: which package may import what. Read from the sources, so that an import inside a function or
under TYPE_CHECKING counts as well."""

import ast
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

STUBS: Final = "rankserve"
GRPC: Final = ("grpc", "grpc_status", "google.protobuf", "google.rpc")
NUMERICS: Final = ("h5py", "jax", "keras", "msgspec", "numpy")
CRYPTOGRAPHY: Final = "cryptography"
COMMAND_LINE: Final = ("click", "packaging", "rich")
HTTP: Final = ("starlette", "uvicorn", "msgspec", "grpc_health")


@dataclass(frozen=True)
class Rule:
    """What the modules under `scope` may import next to the standard library. The longest scope wins."""

    scope: str
    reason: str
    allowed: tuple[str, ...]
    forbidden: tuple[str, ...] = ()  # taken back from `allowed`

    def allows(self, target: str) -> bool:
        permitted = _is_under(target, *sys.stdlib_module_names, *self.allowed)
        return permitted and not _is_under(target, *self.forbidden)


RULES: Final = (
    Rule(
        scope="rankserve_client",
        reason="the client imports the stubs, grpc and the standard library; click and rich belong in its cli",
        allowed=("rankserve_client", STUBS, *GRPC),
        forbidden=("rankserve_client.bench", "rankserve_client.cli", "rankserve_client.gateway"),
    ),
    Rule(
        scope="rankserve_client.cli",
        reason="the client's cli imports the client, the stubs, grpc, click, packaging, rich and the standard library",
        allowed=("rankserve_client", STUBS, *GRPC, *COMMAND_LINE),
        forbidden=("rankserve_client.bench", "rankserve_client.gateway"),
    ),
    Rule(
        scope="rankserve_client.bench",
        reason="the load generator imports the client, the stubs, grpc, click, rich and what its extra brings",
        allowed=("rankserve_client", STUBS, *GRPC, *COMMAND_LINE, "hdrh", "matplotlib"),
        forbidden=("rankserve_client.gateway",),
    ),
    Rule(
        scope="rankserve_client.gateway",
        reason="the gateway imports the client, the stubs, grpc, click and what its extra brings",
        allowed=("rankserve_client", STUBS, *GRPC, "click", "prometheus_client", *HTTP),
        forbidden=("rankserve_client.bench",),
    ),
    Rule(
        scope="rankserve_server",
        reason="the server imports the stubs and, of training, only the artifact and the model; never TensorFlow or "
        "the client",
        allowed=(
            "rankserve_server",
            "rankserve_training.artifact",
            "rankserve_training.model",
            STUBS,
            *GRPC,
            "grpc_health",
            "grpc_reflection",
            *NUMERICS,
            CRYPTOGRAPHY,
            "prometheus_client",
            "opentelemetry",
            "ray",
            *COMMAND_LINE,
        ),
    ),
    Rule(
        scope="rankserve_server.scoring",
        reason="scoring into files imports the server and what its extra brings, but neither the stubs nor grpc",
        allowed=(
            "rankserve_server",
            "rankserve_training.artifact",
            "rankserve_training.model",
            *NUMERICS,
            CRYPTOGRAPHY,
            *COMMAND_LINE,
            "pyarrow",
            "ray",
        ),
    ),
    Rule(
        scope="rankserve_training",
        reason="training imports neither the client, nor the server, nor the stubs",
        allowed=(
            "rankserve_training",
            "importlib_resources",
            "tensorflow",
            "tensorflow_datasets",
            "matplotlib",
            "surprise",
            *NUMERICS,
            CRYPTOGRAPHY,
            *COMMAND_LINE,
        ),
    ),
    *(
        Rule(
            scope=scope,
            reason="the artifact and the model, which the server loads, import keras, jax, numpy and cryptography, but "
            "neither TensorFlow nor the rest of training",
            allowed=("rankserve_training.artifact", "rankserve_training.model", *NUMERICS, CRYPTOGRAPHY, "fsspec"),
        )
        for scope in ("rankserve_training.artifact", "rankserve_training.model")
    ),
)


def modules(source_root: Path) -> dict[str, Path]:
    """The modules under a source root, such as `client/`, by their full names."""
    return {_module_name(path.relative_to(source_root)): path for path in sorted(source_root.rglob("*.py"))}


def violations(source_root: Path) -> list[str]:
    """One line for every import under `source_root` that its rule does not allow: place, import and rule."""
    found = []
    for module, path in modules(source_root).items():
        place = path.relative_to(source_root.parent)
        rule = _rule_of(module)
        if rule is None:
            found.append(f"{place}:1: no dependency rule covers {module}")
            continue
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        tree = ast.parse(path.read_bytes(), filename=str(path))
        found += [
            f"{place}:{line}: imports {target}, but {rule.reason}"
            for line, target in sorted(_imports(tree, package))
            if not rule.allows(target)
        ]
    return found


def _rule_of(module: str) -> Rule | None:
    covering = [rule for rule in RULES if _is_under(module, rule.scope)]
    return max(covering, key=lambda rule: len(rule.scope), default=None)


def _imports(tree: ast.AST, package: str) -> Iterator[tuple[int, str]]:
    """Every imported name with its line. `from a import b` counts as `a.b`: b may be a module."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, name.name) for name in names)
            case ast.ImportFrom(names=names):
                base = _absolute(node, package)
                yield from ((node.lineno, f"{base}.{name.name}") for name in names)
            case ast.Call(
                func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(target)), *_],
            ):
                yield node.lineno, target


def _absolute(node: ast.ImportFrom, package: str) -> str:
    name = "." * node.level + (node.module or "")
    try:
        return importlib.util.resolve_name(name, package)
    except ImportError:
        return name  # it leads out of the top package: no rule allows a name that starts with a dot


def _module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _is_under(name: str, *prefixes: str) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)
