"""The page of the Python client, from its signatures and docstrings."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import rankserve_client

_HEAD = """# Python

What `import rankserve_client` brings, made from its docstrings by `make docs`. Start with `RankingClient`;
`AsyncRankingClient` is the same for asyncio. What a call means on the wire is in [grpc.md](grpc.md).
"""
# First what a newcomer looks for; the others follow by their names.
_FIRST = ("RankingClient", "AsyncRankingClient", "RankQuery", "Ranking", "RankResult", "NewItem", "Tls")
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def python_page() -> str:
    """The page, in Markdown."""
    names = [name for name in rankserve_client.__all__ if not name.startswith("_")]
    ordered = [*_FIRST, *(name for name in names if name not in _FIRST)]
    lines = [_HEAD]
    for name in ordered:
        lines += _described(name, getattr(rankserve_client, name))
    return "\n".join(lines).rstrip() + "\n"


def _described(name: str, thing: Any) -> Iterator[str]:
    yield from (f"## {name}", "")
    if not inspect.isclass(thing):
        yield from (f"`{_bare(_ADDRESS.sub('', str(thing)))}`", "")
        return
    if issubclass(thing, Exception):
        yield from (f"A kind of `{thing.__bases__[0].__name__}`.", "")
    elif "__init__" in vars(thing):
        yield from ("```text", f"{name}{_signature(thing.__init__)}", "```", "")
    yield from _docstring(thing)
    attributes = _attributes(thing)
    if attributes:
        yield from ("**Attributes**", "", *(f"- `{attribute}`: {text}" for attribute, text in attributes.items()), "")
    for attribute, value in _members(thing):
        if attribute.startswith("_"):
            continue
        if inspect.isfunction(value):
            kind = "async " if inspect.iscoroutinefunction(value) else ""
            yield from (
                f"### {name}.{attribute}",
                "",
                "```text",
                f"{kind}{attribute}{_signature(value)}",
                "```",
                "",
            )
            yield from _docstring(value)
        elif isinstance(value, property):
            yield from (f"### {name}.{attribute}", "")
            yield from _docstring(value)


def _members(thing: type) -> Iterator[tuple[str, Any]]:
    """Its own, and those of its bases in the package that have no section of their own."""
    for each in thing.__mro__:
        is_ours = each.__module__.partition(".")[0] == rankserve_client.__name__
        if each is thing or (is_ours and each.__name__ not in rankserve_client.__all__):
            yield from vars(each).items()


def _attributes(thing: type) -> dict[str, str]:
    """What stands in a string below each attribute, in the class or in its constructor."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(thing))).body
    assert isinstance(tree, ast.ClassDef)
    bodies = [
        tree.body,
        *(each.body for each in tree.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"),
    ]
    found = {}
    for body in bodies:
        for statement, below in pairwise(body):
            name = _assigned(statement)
            if name and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                found[name] = " ".join(str(below.value.value).split())
    return found


def _assigned(statement: ast.stmt) -> str | None:
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    match targets:
        case [ast.Name(id=name) | ast.Attribute(attr=name)]:
            return name
    return None


def _signature(function: Any) -> str:
    """One parameter on each line where there are several."""
    signature = inspect.signature(function)
    parameters = [parameter for parameter in signature.parameters.values() if parameter.name != "self"]
    returned = "" if signature.return_annotation in (None, signature.empty) else f" -> {_annotation(signature)}"
    if len(parameters) < 2:
        star = "*, " if any(parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters) else ""
        return f"({star}{', '.join(map(_parameter, parameters))}){returned}"
    lines: list[str] = []
    keywords = False
    for parameter in parameters:
        if parameter.kind is parameter.KEYWORD_ONLY and not keywords:
            keywords = True
            lines.append("    *,")
        lines.append(f"    {_parameter(parameter)},")
    return "\n".join(["(", *lines, f"){returned}"])


def _parameter(parameter: inspect.Parameter) -> str:
    text = _ADDRESS.sub("", str(parameter))
    return re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Z])|\bcollections\.abc\.|\btyping\.|\bpathlib\.|\bgrpc\.", "", text)


def _annotation(signature: inspect.Signature) -> str:
    return _bare(inspect.formatannotation(signature.return_annotation))


def _bare(text: str) -> str:
    """Without the modules of names."""
    return re.sub(r"\b(?:[a-z_0-9]+\.)+(?=[A-Z])", "", text)


def _docstring(thing: Any) -> Iterator[str]:
    """Its sections become headed lists, and what is indented stays as it is."""
    text = inspect.getdoc(thing)
    if not text:
        return
    text = re.sub(r"  # doctest: .*", "", text)
    section = False
    for line in re.sub(r"(^>>> .*(?:\n.+)*)", r"```pycon\n\1\n```", text, flags=re.MULTILINE).splitlines():
        heading = re.fullmatch(r"(Args|Attributes|Raises|Returns|Yields):", line)
        if heading:
            section = True
            yield from (f"**{heading[1]}**", "")
        elif section and re.match(r"    [\w, `*]+: ", line):
            name, _, rest = line.strip().partition(": ")
            yield f"- `{name}`: {rest}"
        elif section and line.strip():
            yield f"  {line.strip()}"
        else:
            section = section and not line.strip()
            yield line
    yield ""
