"""Small rating files with gaps in the ids, up to the largest id that there can be."""

from dataclasses import dataclass
from pathlib import Path

LARGEST_ID = 2**63 - 1
USERS = (3, 70, 5_000_000_000, LARGEST_ID)
ITEMS = (1, 2, 40, 90_000, LARGEST_ID)
UNRATED_ITEM = 41
TEST_ITEM = 77
"""Rated in the test file only."""


@dataclass(frozen=True)
class RatingFiles:
    """The same training ratings in two formats, test ratings in a third one, and titles.

    Attributes:
        csv: GroupLens' CSV.
        u_data: the same rows in GroupLens' older format.
        inter: test ratings, RecBole's format.
        items: titles and genres.
    """

    csv: Path
    u_data: Path
    inter: Path
    items: Path


def write_gappy_files(directory: Path) -> RatingFiles:
    """Writes all of them: 4 users, 5 items with 16 ratings from 0.5 to 4, 2 test ratings."""
    rows = [
        (user, item, 0.5 + (7 * place + row) % 8 / 2, 1_000 + place)
        for row, user in enumerate(USERS)
        for place, item in enumerate(ITEMS)
        if (row, place) not in {(0, 0), (1, 1), (2, 2), (3, 3)}
    ]
    files = RatingFiles(*(directory / name for name in ("shop.csv", "u.data", "shop.inter", "movies.csv")))
    files.csv.write_text("userId,movieId,rating,timestamp\n" + "".join(",".join(map(str, row)) + "\n" for row in rows))
    files.u_data.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    files.inter.write_text(
        f"user_id:token\titem_id:token\trating:float\ttimestamp:float\n3\t1\t4.0\t5.0\n70\t{TEST_ITEM}\t0.5\t6.0\n",
    )
    files.items.write_text(f'movieId,title,genres\n40,"Forty, or so",Drama|War\n{UNRATED_ITEM},Für niemanden,\n')
    return files
