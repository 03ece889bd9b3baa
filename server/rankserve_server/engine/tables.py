"""What an engine keeps of a model: tables of users and items, and the layers that no table holds."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float32]


# The variables of a Keras model that is computed as it is; see `rankserve_training.model.generic`, which the process
# that serves never imports.
Variables: TypeAlias = tuple[list[Any], list[Any]]


class Side(NamedTuple):
    """The tables of the users or of the items, or rows of them: float32[rows, columns] each, or float32[columns].

    Attributes:
        first: what the first layer's sums are made of.
        rating: to be multiplied with the other side's and added to the rating; None where the model has none.
        choice: to be multiplied with the other side's for the choice; None where the model has none.
    """

    first: Any
    rating: Any
    choice: Any

    @property
    def columns(self) -> tuple[int, ...]:
        """How many columns each table has that there is."""
        return tuple(table.shape[1] for table in self if table is not None)

    def padded(self, rows: int) -> "Side":
        """The tables with so many rows, those that are added with zeros; they are NumPy's."""
        missing = rows - len(self.first)
        if not missing:
            return self
        return Side(*(None if table is None else np.pad(table, ((0, missing), (0, 0))) for table in self))

    def take(self, rows: Any) -> "Side":
        """These rows of the tables."""
        # Rows come from our own index; `clip` only spares the compiled code the handling of others.
        return Side(*(None if table is None else table.at[rows].get(mode="clip") for table in self))


NO_TABLES = Side(None, None, None)


def rows_with_room(rows: int) -> int:
    """At least so many rows, and at most an eighth more: programs are those of a number of rows.

    So a version with some more users and items than the one before it mostly needs no others.
    """
    step = 1 << max(0, (rows - 1).bit_length() - 4)
    return -(-rows // step) * step


class Weights(NamedTuple):
    """What the tables leave of a model.

    Attributes:
        user: the users' part of the first layer, as kernel and bias; None where it is folded.
        item: the items' part.
        layers: the layers after the first, likewise.
    """

    user: tuple[Floats, Floats] | None
    item: tuple[Floats, Floats] | None
    layers: list[tuple[Floats, Floats] | None]
