"""Files of ids, one a line."""

import re
from array import array
from pathlib import Path

import numpy as np

from rankserve_server.scoring.errors import ScoringError
from rankserve_server.told import Ids

# `int` takes more: 1_000, digits of other scripts.
_ID = re.compile(r"[+-]?[0-9]{1,19}")
_LONGEST_LINE = 4_096


def read_ids(path: Path) -> tuple[Ids, int]:
    """The ids of a file, each once, in the order in which they come first.

    It takes some tens of bytes of memory for an id while it reads, and 8 afterwards. Empty lines are passed over.

    Returns:
        int64[n], and how many lines were left out because they repeat an id.

    Raises:
        ScoringError: where a line is no 64-bit integer (the message names it), or there is none.
        OSError: where the file cannot be read.
    """
    listed = array("q")
    # What is not UTF-8 is no number either. The signature is what spreadsheets write.
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        # Of a file without lines not all of it at once.
        for number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE), ""), start=1):
            text = line.strip()
            if not text:
                continue
            try:
                if not _ID.fullmatch(text):
                    raise ValueError
                listed.append(int(text))
            except (ValueError, OverflowError):
                raise ScoringError(
                    f"{path}, line {number}: {text[:40]!r} is not an id; give one 64-bit integer a line"
                ) from None
    if not listed:
        raise ScoringError(f"{path}: there are no ids in it")
    ids = np.frombuffer(listed, np.int64)
    _, first = np.unique(ids, return_index=True)
    first.sort()
    return ids[first], len(ids) - len(first)
