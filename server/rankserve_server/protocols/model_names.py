"""Which version other protocols mean."""

from rankserve_server.service.selector import Selection

# More cannot be a version.
_MOST_DIGITS = 18


def selection_of(name: str, version: str) -> Selection:
    """What the repository is asked for.

    Args:
        name: of the model; empty for the default one.
        version: a number or an alias; empty for the current one. Aliases begin with a letter.
    """
    if version.isascii() and version.isdigit() and len(version) <= _MOST_DIGITS:
        return {"name": name, "version": int(version), "alias": None}
    return {"name": name, "version": None, "alias": version or None}
