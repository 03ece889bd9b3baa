"""ModelSelector messages to what the repository is asked for, and back."""

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


def selector_of(selection: Selection) -> ranking_pb2.ModelSelector | None:
    """A selector that asks for it; None where nothing is chosen."""
    name, version, alias = selection["name"], selection["version"], selection["alias"]
    if not name and version is None and alias is None:
        return None
    selector = ranking_pb2.ModelSelector(name=name)
    if version is not None:
        selector.version = version
    if alias is not None:
        selector.alias = alias
    return selector
