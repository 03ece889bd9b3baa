"""Processes whose parent ended before they could ask to end with it."""

import os
import subprocess
import sys

import pytest

from rankserve_server.config import ServerConfig, encode_config


@pytest.mark.parametrize("parent", [1, os.getppid()])
@pytest.mark.parametrize(
    ("module", "argument"),
    [("rankserve_server.worker", encode_config(ServerConfig())), ("rankserve_server.loader_forks", "0")],
)
def test_they_end_before_they_do_anything(parent: int, module: str, argument: str) -> None:
    """Whoever asks the kernel for its parent finds the one that adopted it."""
    command = [sys.executable, "-m", module, str(parent), argument]
    ended = subprocess.run(command, stdin=subprocess.PIPE, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", "")
