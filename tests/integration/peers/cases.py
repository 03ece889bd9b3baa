"""What every program of this folder is asked and answers; with nothing but NumPy, as it runs beside other libraries."""

import json
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

USERS = [[42], [42, 7, 42], [9_999], [1]]
ITEMS = [[204, 141, 131], [204, 141, 131], [1, 5_000, 1], [*range(1, 1_001)]]


@dataclass(frozen=True)
class Case:
    """A request: one user, or one for each item."""

    users: npt.NDArray[Any]
    items: npt.NDArray[Any]


def cases(dtype: "npt.DTypeLike" = np.int64) -> list[Case]:
    """All of them."""
    return [Case(np.array(users, dtype), np.array(items, dtype)) for users, items in zip(USERS, ITEMS, strict=True)]


def address() -> str:
    """HOST:PORT of the server, the program's argument."""
    return sys.argv[1]


def print_answers(scores: list[npt.ArrayLike], **facts: Any) -> None:
    """Prints the scores of each case, exactly, and whatever else has been found out."""
    rows = [np.asarray(each, np.float32).ravel().tolist() for each in scores]
    print(json.dumps({"scores": rows, **facts}))
