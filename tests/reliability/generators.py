"""Runs of the load generator in processes of their own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final, Self

from reliability.load_generator import Outcome

_TESTS: Final = Path(__file__).parents[1]


class Generator:
    """One run of `load_generator`, which starts with the constructor."""

    def __init__(self, address: str, kind: str, amount: float, seconds: float, candidates: int) -> None:
        arguments = map(str, (address, kind, amount, seconds, candidates))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "reliability.load_generator", *arguments],
            cwd=_TESTS,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Makes sure that it is gone."""
        self._process.kill()
        self._process.communicate()

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def outcome(self) -> Outcome:
        """Waits for its end, which has to be a good one."""
        output, errors = self._process.communicate()
        assert self._process.returncode == 0, errors
        return Outcome(**json.loads(output))


def run(address: str, kind: str, amount: float, seconds: float, candidates: int) -> Outcome:
    """What has become of one run."""
    with Generator(address, kind, amount, seconds, candidates) as generator:
        return generator.outcome()
