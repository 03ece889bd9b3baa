"""The pages name only commands, options and files that exist."""

import importlib.metadata
import re
from pathlib import Path

import click
import pytest

from checks.documentation import Command, commands, inline_code, links
from checks.repository import COMMANDS, ROOT

# CHANGELOG.md is left out: it tells of what was.
PAGES = [
    ROOT / "README.md",
    *(page for folder in ("deploy", "benchmarks", "docs") for page in (ROOT / folder).rglob("*.md")),
]
TARGETS = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
# `rankserve ready on ADDRESS` is what the server prints, not a command.
NOT_COMMANDS = {"ready"}

PAGE = """
Type `make demo`, or `PORT=1 make -j test && .venv/bin/rankserve models`.
The server prints `rankserve ready on ADDRESS`.
See [the rules](deploy/README.md#rules), [elsewhere](https://example.com/x) and [below](#below).

    make check       what CI runs

```bash
rankserve rank --user=42 --top-k 3 | make wish  # make nothing
rankserve \\
  train --epochs 5
```
```console
$ rankserve serve &
rankserve served this
```
```python
make = rankserve [x](y)
```
"""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_is_true(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    wrong = [
        *(message for command in commands(text) for message in _faults(command)),
        *(f"link to {target}" for target in links(text) if not (page.parent / target).exists()),
        *(f"path {path}" for path in _repository_paths(text) if not list(ROOT.glob(path))),
    ]
    assert not wrong, f"{page.name} names what does not exist: {wrong}"


def test_finds_commands() -> None:
    assert commands(PAGE) == [
        Command("rankserve", ("rank", "--user=42", "--top-k", "3")),
        Command("make", ("wish",)),
        Command("rankserve", ("train", "--epochs", "5")),
        Command("rankserve", ("serve",)),
        Command("make", ("check", "what", "CI", "runs")),
        Command("make", ("demo",)),
        Command("make", ("-j", "test")),
        Command("rankserve", ("models",)),
        Command("rankserve", ("ready", "on", "ADDRESS")),
    ]


def test_finds_links() -> None:
    assert links(PAGE) == ["deploy/README.md"]


@pytest.mark.parametrize(
    ("command", "faults"),
    [
        (Command("make", ("demo",)), []),
        (Command("make", ("-j", "PYTHON=python3.13", "check")), []),
        (Command("make", ("wish", "come", "true")), ["make wish"]),
        (Command("rankserve", ("--help",)), []),
        (Command("rankserve", ("guess",)), ["rankserve guess"]),
        (Command("rankserve", ("ready", "on")), []),
        (Command("rankserve", ("rank", "--user", "42", "--help")), []),
        (Command("rankserve", ("rank", "--usr=42")), ["rankserve rank --usr"]),
        (Command("rankserve", ("models", "canary", "7", "--percent", "5")), []),
        (Command("rankserve", ("models", "canary", "7", "--percents", "5")), ["rankserve models canary --percents"]),
        (Command("rankserve", ("models", "guess")), ["rankserve models guess"]),
    ],
)
def test_finds_faults(command: Command, faults: list[str]) -> None:
    assert _faults(command) == faults


def test_finds_paths() -> None:
    page = "`tests/checks/`, `protos/rankserve/v1/*.proto`, `models/movielens/1`, `a / b`, `client/x y`"
    assert _repository_paths(page) == ["tests/checks/", "protos/rankserve/v1/*.proto"]


def _faults(command: Command) -> list[str]:
    if not command.words:
        return []
    word = command.words[0]
    if command.program == "make":
        return [] if word in TARGETS else [f"make {word}"]
    if word in NOT_COMMANDS:
        return []
    if word not in COMMANDS:
        return [f"rankserve {word}"]
    found: click.Command = importlib.metadata.entry_points(group="rankserve.commands")[word].load()
    if isinstance(found, click.Group) and command.words[1:]:
        inner = command.words[1]
        inside = found.get_command(click.Context(found), inner)
        if inside is None:
            return [f"rankserve {word} {inner}"]
        word, found = f"{word} {inner}", inside
    return [f"rankserve {word} {option}" for option in sorted(command.options - _options(found))]


def _options(command: click.Command) -> set[str]:
    return {"--help"}.union(*(({*parameter.opts, *parameter.secondary_opts}) for parameter in command.params))


def _repository_paths(page: str) -> list[str]:
    # What was made or trained there is not of the checkout.
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()} - {"build", "models"}
    return [code for code in inline_code(page) if "/" in code and " " not in code and code.split("/")[0] in folders]
