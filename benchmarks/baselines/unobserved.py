"""`rankserve serve` as it would be if nobody could see single calls: `python unobserved.py MODELS_DIR PORT ...`.

What is compared with it is what an unused observer costs. Every place on the way of a call that asks whether there is
one is taken out of the sources as they are imported, so that this stays the same server otherwise.
"""

import ast
import importlib.machinery
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any

_PACKAGE = "rankserve_server."
_MODULES = {
    _PACKAGE + name
    for name in (
        "job_queue",
        "score_job",
        "service.async_scoring",
        "transport.lane",
        "transport.lane_calls",
        "transport.lane_services",
        "transport.lane_streams",
    )
}
# Attributes and variables of those who see calls.
_THEIRS = {"_observer", "observer", "seen", "started_at", "trace"}


class _TakeOut(ast.NodeTransformer):
    """Takes out what is done where somebody sees calls, and the question whether somebody does.

    Attributes:
        taken: how many places these were.
    """

    def __init__(self) -> None:
        self.taken = 0

    def visit_If(self, node: ast.If) -> Any:
        self.generic_visit(node)
        if _is_theirs(node.test) and not node.orelse:
            self.taken += 1
            return None
        if not node.body:
            node.body = [ast.Pass()]
        return node

    def visit_Assign(self, node: ast.Assign) -> Any:
        return self._assigned(node, node.targets[0])

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        return self._assigned(node, node.target)

    def visit_Call(self, node: ast.Call) -> Any:
        self.generic_visit(node)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "_trailers":
            self.taken += 1
            return ast.Tuple([], ast.Load())
        return node

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        self.generic_visit(node)
        if _is_theirs(node.test):
            self.taken += 1
            return node.body if _is_none(node.test) else node.orelse
        return node

    def _assigned(self, node: ast.stmt, target: ast.expr) -> Any:
        self.generic_visit(node)
        if isinstance(target, ast.Attribute) and target.attr in _THEIRS - {"_observer", "observer"}:
            self.taken += 1
            return None
        return node


class _Loader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        """From the source, whatever was compiled before."""
        path = self.get_filename(fullname)
        taking = _TakeOut()
        tree = ast.fix_missing_locations(taking.visit(ast.parse(self.get_data(path))))
        if not taking.taken:
            raise SystemExit(f"nothing is to be taken out of {path}: this baseline is out of date")
        print(f"{path}: {taking.taken} places taken out", file=sys.stderr)
        return compile(tree, path, "exec")


class _Finder(MetaPathFinder):
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in _MODULES:
            return None
        spec = PathFinder.find_spec(name, path, target)
        assert spec is not None
        assert isinstance(spec.loader, importlib.machinery.SourceFileLoader)
        spec.loader = _Loader(name, spec.loader.path)
        return spec


def _is_theirs(test: ast.expr) -> bool:
    return (
        isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Is | ast.IsNot) and _named(test.left) in _THEIRS
    )


def _is_none(test: ast.expr) -> bool:
    return isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Is)


def _named(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def main() -> None:
    """Serves."""
    sys.meta_path.insert(0, _Finder())
    from rankserve_server.cli import serve

    models_dir, port, *flags = sys.argv[1:]
    serve(["--models-dir", models_dir, "--port", port, *flags])


if __name__ == "__main__":
    main()
