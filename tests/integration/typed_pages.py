"""What the pages of docs/ tell their readers to type: one script for each page, run in a directory of its own."""

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from checks.documentation import FENCE
from integration.command_forks import write_forked_rankserve
from integration.server_process import free_port

_BINARIES: Final = Path(sys.executable).parent
# Of the commands that listen, by the port that they take unless they are told another.
_PORT_VARIABLES: Final = {"50051": "RANKSERVE_SERVE_PORT", "8080": "RANKSERVE_GATEWAY_PORT"}
_PORT: Final = re.compile(r"(?:(?<=127\.0\.0\.1:)|(?<=localhost:)|(?<=port )|(?<=port=)|(?<=port = ))(\d{4,5})\b")
# What runs until somebody ends it: the next line is typed in another terminal, or this one is in the background.
_SERVER: Final = re.compile(
    r"(?:[A-Z_]+=\S* )*rankserve (serve|gateway)\b(?!.*(?:--print-config|--help|-h\b|--engine ray))"
)
# They take minutes of a processor, or a cluster, and are tested elsewhere: here their arguments are only read.
_READ: Final = re.compile(r"rankserve (?:train\b|evaluate\b|serve .*--engine ray\b)")
# Commands in blocks that are not typed: the paragraph before says why.
_UNTYPED: Final = re.compile(r"^(?: {4}|\$ )rankserve ", re.MULTILINE)
_TYPED_BLOCK: Final = re.compile(r"^```sh\n.*?^```$", re.DOTALL | re.MULTILINE)
_REASON: Final = "No test types"
# Of a page; the tests' machine may be busy.
SECONDS: Final = 500

_PRELUDE: Final = """
set -euo pipefail
declare -A server
stop() { if [ -n "${server[$1]:-}" ]; then kill "${server[$1]}" 2>/dev/null || true; wait "${server[$1]}" || true; fi; }
started() {
    server[$1]=$!
    until grep -q ' ready on ' "$1.log"; do
        kill -0 "${server[$1]}" 2>/dev/null || { cat "$1.log" >&2; exit 1; }
        sleep 0.1
    done
}
trap 'for kind in "${!server[@]}"; do stop "$kind"; done' EXIT
"""


@dataclass(frozen=True)
class Page:
    """One page and its shell blocks, from top to bottom."""

    path: Path

    @property
    def blocks(self) -> list[str]:
        """As they stand there."""
        return [block for language, block in FENCE.findall(self.path.read_text(encoding="utf-8")) if language == "sh"]

    @property
    def starts_a_server(self) -> bool:
        """Whether it does not need one that is there already."""
        return any(match[1] == "serve" for line in self._lines() if (match := _SERVER.match(line)))

    @property
    def unexplained(self) -> list[str]:
        """The commands that are neither typed nor said to be left out for a reason."""
        text = _TYPED_BLOCK.sub("", self.path.read_text(encoding="utf-8"))
        paragraphs = ["", *re.split(r"\n\s*\n", text)]
        return [block for before, block in pairwise(paragraphs) if _UNTYPED.search(block) and _REASON not in before]

    def script(self) -> str:
        """For bash: what is typed, servers in the background."""
        return "\n".join([_PRELUDE, *(_typed(line) for line in self._lines())])

    def _lines(self) -> list[str]:
        return [line for block in self.blocks for line in block.replace("\\\n", " ").splitlines()]


def run_page(page: Page, directory: Path, server: str | None = None) -> "subprocess.CompletedProcess[str]":
    """Types what the page says in a directory, on free ports.

    Args:
        page: what to type.
        directory: where the models and files are that the page takes for granted; also the reader's home.
        server: address of a server that is there already.
    """
    ports = {port: str(free_port()) for port in _PORT_VARIABLES}
    if server:
        ports["50051"] = server.rpartition(":")[2]

    def other_port(match: re.Match[str]) -> str:
        return ports.setdefault(match[1], str(free_port()))

    script = _PORT.sub(other_port, page.script())
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RANKSERVE_")}
    environment |= {variable: ports[port] for port, variable in _PORT_VARIABLES.items()}
    environment |= {
        "HOME": str(directory),
        "RANKSERVE_SERVER": f"127.0.0.1:{ports['50051']}",
    }
    with tempfile.TemporaryDirectory() as programs:
        write_forked_rankserve(Path(programs))
        return subprocess.run(
            ["bash", "-c", script],
            cwd=directory,
            env=environment | {"PATH": f"{programs}:{_BINARIES}:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )


def _typed(line: str) -> str:
    server = _SERVER.match(line)
    if server:
        kind = server[1]
        command = re.sub(r"\s*&?\s*(?:#.*)?$", "", line)
        # The log of one before is emptied first: its ready line must not be taken for the new one's.
        return f"stop {kind}\n: >{kind}.log\n>{kind}.log 2>&1 {command} &\nstarted {kind}"
    if _READ.match(line):
        return f"{line.partition(' #')[0]} --print-config >/dev/null"
    return line
