"""Files of results, which commands write beside a version."""

import os
from pathlib import Path


def why_unwritable(path: Path) -> str | None:
    """Why a file could not be written, to be asked before the work is done; None where it could."""
    directory = path.absolute().parent
    if path.is_dir():
        return "it is a directory"
    if not directory.is_dir():
        return f"there is no directory {directory}"
    return None if os.access(path if path.exists() else directory, os.W_OK) else "permission denied"
