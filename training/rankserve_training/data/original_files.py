"""MovieLens 100K's original files, rebuilt from RecBole's.

Equal to the originals byte for byte are `u.data` and `u.user`: RecBole put a header on top and tabs for the `|` of
`u.user`. In `u.item` equal are
ids, titles and genres, everything that TFDS reads; the release dates and IMDb addresses are not in RecBole's file and
stay empty. The files that TFDS does not read (`u.genre`, `u.info`, the ready-made splits, ...) are not rebuilt.
"""

from pathlib import Path

from rankserve_training.data.items_file import title_with_year
from rankserve_training.data.recbole_wheel import RecboleFiles

# The order of the flags in u.item, by RecBole's names, which are those of u.genre.
_GENRES = (
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
)
# The originals differ from "title (year)" in these four only: item 267 is the movie that nobody knows, misspelt by
# RecBole, and three titles end with a blank that it has cut off.
_ODD_TITLES = {
    "267": "unknown",
    "1128": "Heidi Fleiss: Hollywood Madam (1995) ",
    "1201": "Marlene Dietrich: Shadow and Light (1996) ",
    "1635": "Two Friends (1986) ",
}


def write_original_files(files: RecboleFiles, directory: Path) -> None:
    """Writes `u.data`, `u.item` and `u.user` into a directory, which is made."""
    directory.mkdir(parents=True)
    (directory / "u.data").write_bytes(_without_header(files.inter))
    (directory / "u.user").write_bytes(_without_header(files.user).replace(b"\t", b"|"))
    items = _without_header(files.item).decode("utf-8").splitlines()
    (directory / "u.item").write_text("".join(map(_u_item_line, items)), encoding="latin-1", newline="\n")


def _without_header(content: bytes) -> bytes:
    return content.partition(b"\n")[2]


def _u_item_line(recbole_line: str) -> str:
    item, title, year, names = recbole_line.split("\t")
    genres = names.split(" ")
    flags = ["1" if genre in genres else "0" for genre in _GENRES]
    release_date = video_release_date = imdb_url = ""
    title = _ODD_TITLES.get(item) or title_with_year(title, year)
    return "|".join([item, title, release_date, video_release_date, imdb_url, *flags]) + "\n"
