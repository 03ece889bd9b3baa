"""The command `rankserve`."""

from rankserve_client.cli.group import main

__all__ = ["main"]
