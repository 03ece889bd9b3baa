"""What a Markdown page tells its reader to type, and what it points at."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SHELL_BLOCKS: Final = {"bash", "sh", "shell"}
SEPARATORS: Final = {"|", "||", "&&", "&", ";"}
FENCE: Final = re.compile(r"^ *```(\w*)[^\n]*\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
INLINE_CODE: Final = re.compile(r"`([^`\n]+)`")
LINK: Final = re.compile(r"\]\(([^)\s]+)[^)]*\)")
ASSIGNMENT: Final = re.compile(r"^[A-Z_]+=")


@dataclass(frozen=True)
class Command:
    """One `make` or `rankserve` command line of a page."""

    program: str
    arguments: tuple[str, ...]

    @property
    def words(self) -> list[str]:
        """The arguments that are neither options nor assignments: make's targets; of rankserve the first counts."""
        return [word for word in self.arguments if not word.startswith("-") and not ASSIGNMENT.match(word)]

    @property
    def options(self) -> set[str]:
        return {word.partition("=")[0] for word in self.arguments if word.startswith("-") and word != "-"}


def commands(page: str) -> list[Command]:
    """The `make` and `rankserve` commands in a page's shell blocks, `$` lines, indented blocks and inline code."""
    found = []
    for line in _command_lines(page):
        for program, *arguments in _simple_commands(line):
            name = Path(program).name
            if name in {"make", "rankserve"} and arguments:
                found.append(Command(name, tuple(arguments)))
    return found


def links(page: str) -> list[str]:
    """The targets of a page's links to other files, without their fragments."""
    targets = LINK.findall(FENCE.sub("", page))
    return [target.partition("#")[0] for target in targets if not re.match(r"\w+:|#", target)]


def inline_code(page: str) -> list[str]:
    return INLINE_CODE.findall(FENCE.sub("", page))


def _command_lines(page: str) -> Iterator[str]:
    for language, block in FENCE.findall(page):
        # In a shell block every line is typed; elsewhere only what follows a prompt: the rest is output.
        for line in block.replace("\\\n", " ").splitlines():
            if line.lstrip().startswith("$ ") or language in SHELL_BLOCKS:
                yield line.lstrip().removeprefix("$ ")
    outside = FENCE.sub("", page)
    yield from re.findall(r"^ {4,}(?:\$ )?((?:make|rankserve) .*)", outside, flags=re.MULTILINE)
    yield from INLINE_CODE.findall(outside)


def _simple_commands(line: str) -> Iterator[list[str]]:
    """The commands of one line, without redirections' meaning: `a && B=1 c | d` gives a, c and d."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        tokens = list(lexer)
    except ValueError:
        return  # an odd quote: not a command line
    command: list[str] = []
    for token in [*tokens, ";"]:
        if token in SEPARATORS:
            if command:
                yield command
            command = []
        elif command or not ASSIGNMENT.match(token):
            command.append(token)
