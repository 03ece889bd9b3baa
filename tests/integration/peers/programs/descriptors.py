"""Prints what a library's generated modules, the arguments, declare."""

import importlib
import json
import sys
from typing import Any

from integration.peers.descriptions import described


def main() -> None:
    found: dict[str, Any] = {}
    for name in sys.argv[1:]:
        found |= described(importlib.import_module(name).DESCRIPTOR)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
