"""Running the command, as a user starts it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from client.scripted_server import RefusedError
from integration.command_forks import run_forked
from rankserve.v1 import ranking_pb2

RANKSERVE = str(Path(sys.executable).with_name("rankserve"))


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    variables = {name: value for name, value in os.environ.items() if name != "RANKSERVE_SERVER"} | environment
    return run_forked(*arguments, env=variables)


def start(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """The same by starting Python, which reads some of the environment."""
    return subprocess.run(
        [RANKSERVE, *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=os.environ | environment,
        timeout=60,
        check=False,
    )


def refuse(*arguments: Any) -> Any:
    def answer(_: ranking_pb2.RankRequest) -> ranking_pb2.RankResponse:
        raise RefusedError(*arguments)

    return answer
