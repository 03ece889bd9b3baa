"""ModelSelector messages to what the repository is asked for."""

from typing import TypedDict

from rankserve.v1 import ranking_pb2


class Selection(TypedDict):
    """Arguments of `Repository.select` and `Repository.entry`."""

    name: str
    version: int | None
    alias: str | None


def selection_of(selector: ranking_pb2.ModelSelector) -> Selection:
    """What a selector, also an unset one, asks for."""
    choice = selector.WhichOneof("choice")
    return {
        "name": selector.name,
        "version": selector.version if choice == "version" else None,
        "alias": selector.alias if choice == "alias" else None,
    }
