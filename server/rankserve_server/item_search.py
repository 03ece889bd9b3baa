"""Items by words of their titles, those with the most ratings first."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from rankserve_training.artifact import Catalog, UserTable

# A word that most titles hold must not cost a busy server more than this many looks.
_MOST_MATCHES = 5_000
_SEPARATOR = "\n"

Rows = npt.NDArray[np.int32]


class ItemSearch:
    """Finds the items of one version. Threads can share it; what it needs is made when it is first asked."""

    def __init__(self, catalog: Catalog, users: UserTable) -> None:
        self._catalog = catalog
        self._users = users

    @cached_property
    def rating_counts(self) -> npt.NDArray[np.int64]:
        """int64[items + 1], how many users have rated the item in a row; 0 for row 0."""
        return np.bincount(self._users.seen_rows, minlength=len(self._catalog) + 1)

    @cached_property
    def _popular(self) -> Rows:
        """All rows, by `most_rated`."""
        return self.most_rated(self._catalog.rows)

    @cached_property
    def _text(self) -> str:
        """All titles in one string, which is searched many times faster than one by one."""
        folded = (title.casefold().replace(_SEPARATOR, " ") for title in self._catalog.titles)
        return _SEPARATOR.join(folded) + _SEPARATOR

    @cached_property
    def _ends(self) -> list[int]:
        """Where in the text each title ends."""
        return [match.start() for match in re.finditer(_SEPARATOR, self._text)]

    def find(self, text: str, limit: int) -> Rows:
        """The rows of at most `limit` items whose titles hold every word of a text, by `most_rated`.

        Of a word that is in more than 5,000 titles, the rest of them is not looked at.
        """
        words = sorted(text.casefold().split(), key=len, reverse=True)
        if not words:
            return self._popular[:limit]
        found = [place for place in self._places(words[0]) if self._holds(place, words[1:])]
        return self.most_rated(np.array(found, np.int32) + np.int32(1))[:limit]

    def most_rated(self, rows: Rows) -> Rows:
        """The rows in another order: those with the most ratings first, equal ones ascending."""
        ascending = np.sort(rows)
        return ascending[np.argsort(-self.rating_counts[ascending], kind="stable")]

    def _places(self, word: str) -> Iterable[int]:
        """Of the titles that hold a word, ascending."""
        at, found = self._text.find(word), 0
        while at >= 0 and found < _MOST_MATCHES:
            place = bisect_right(self._ends, at)
            yield place
            found += 1
            at = self._text.find(word, self._ends[place])

    def _holds(self, place: int, words: Sequence[str]) -> bool:
        start = self._ends[place - 1] + 1 if place else 0
        return all(self._text.find(word, start, self._ends[place]) >= 0 for word in words)
