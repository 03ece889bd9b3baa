"""Processes whose parent ended before they could ask to end with it."""

import os
import subprocess
import sys

import pytest

from rankserve_server.config import ServerConfig, encode_config
from rankserve_server.loader_messages import LoadRequest, encode_request


def started(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("parent", [1, os.getppid()])
def test_they_end_before_they_do_anything(parent: int) -> None:
    """Whoever asks the kernel for its parent finds the one that adopted it."""
    worker = started("rankserve_server.worker", str(parent), encode_config(ServerConfig()))
    request = LoadRequest(parent, "nowhere", 1.0, [], 0, None)
    loader = started("rankserve_server.loader_process", encode_request(request))
    for ended in (worker, loader):
        assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", "")
