"""The example of docs/migrating.md of Triton's client, run as it stands there."""

import re
from pathlib import Path
from typing import Any

from integration.peers.cases import address, print_answers

PAGE = Path(__file__).parents[4] / "docs" / "migrating.md"
_ADDRESS, _ANSWER = "127.0.0.1:50051", "client.infer("


def main() -> None:
    examples = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    (example,) = (each for each in examples if "tritonclient" in each)
    assert _ADDRESS in example
    assert _ANSWER in example
    seen: dict[str, Any] = {}
    source = example.replace(_ADDRESS, address()).replace(_ANSWER, f"scores = {_ANSWER}")
    exec(compile(source, str(PAGE), "exec"), seen)  # noqa: S102, our own text
    print_answers([seen["scores"]])


if __name__ == "__main__":
    main()
