"""Writes the pages beside it: from the comments of the protos, the docstrings of the client, and the commands' help.

`make docs` runs it, and a test that the pages are what it writes: `python docs/api/generate.py [DIRECTORY]`.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for the modules beside it, from wherever it is run

from commands_page import commands_page
from grpc_page import grpc_page
from python_page import python_page

ROOT = Path(__file__).resolve().parents[2]
PROTOS = ROOT / "protos"
PAGES = {"grpc.md": lambda: grpc_page(PROTOS), "python.md": python_page, "commands.md": commands_page}


def main() -> None:
    """Writes every page."""
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for name, page in PAGES.items():
        (directory / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
