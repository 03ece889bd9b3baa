"""Small archives in the layouts of GroupLens' large ones, and what TFDS has prepared of them made larger."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

RATINGS = 600
USERS = (1, 2, 17, 300)

_Row = tuple[int, int, str, int]


def unpacked_1m(directory: Path) -> Path:
    """`ml-1m` as TFDS finds it after it has unpacked ml-1m.zip: `::` between the fields, Latin-1."""
    movies = "1::Toy Story (1995)::Animation|Children's|Comedy\n73::Misérables, Les (1995)::Drama|Musical\n"
    movies += "".join(f"{movie}::Movie {movie} (2000)::Thriller\n" for movie in range(100, 250))
    users = "1::F::1::10::48067\n2::M::56::16::70072\n17::M::50::1::95350-1234\n300::F::25::12::00000\n"
    return _unpacked(
        directory / "ml-1m.zip",
        {
            "ml-1m/movies.dat": movies.encode("latin-1"),
            "ml-1m/users.dat": users.encode("latin-1"),
            "ml-1m/ratings.dat": _lines(_rows([1, 73, *range(100, 250)], lambda place: str(1 + place % 5)), "::"),
            "ml-1m/README": b"SUMMARY\n",
        },
    )


def unpacked_current(directory: Path, size: str) -> Path:
    """`ml-25m`, `ml-20m` or `ml-latest-small`, likewise: CSV with a header, UTF-8."""
    movies = 'movieId,title,genres\n1,Toy Story (1995),Adventure|Animation|IMAX\n73,"Misérables, Les (1995)",Drama\n'
    movies += "209171,Nameless,(no genres listed)\n"
    movies += "".join(f"{movie},Movie {movie} (2000) ,Film-Noir\n" for movie in range(100, 249))
    rows = _rows([1, 73, *range(100, 249), 209171], lambda place: f"{0.5 + place % 10 / 2}")
    return _unpacked(
        directory / f"ml-{size}.zip",
        {
            f"ml-{size}/movies.csv": movies.encode(),
            f"ml-{size}/ratings.csv": b"userId,movieId,rating,timestamp\n" + _lines(rows, ","),
            f"ml-{size}/tags.csv": b"userId,movieId,tag,timestamp\n",
        },
    )


def repeat_records(config_directory: Path, target: Path, times: int) -> None:
    """A copy of what TFDS has prepared that has every record so many times: files of records can be appended."""
    shutil.copytree(config_directory, target)
    (records,) = target.glob("*/*tfrecord*")
    content = records.read_bytes()
    with records.open("wb") as file:
        for _ in range(times):
            file.write(content)
    _set_shard_lengths(target, [RATINGS * times])


def reshard(config_directory: Path, shard_lengths: list[int]) -> None:
    """Spreads the records of what TFDS has prepared over several files, as it does itself where there are many."""
    import tensorflow as tf

    (records,) = config_directory.glob("*/*tfrecord*")
    contents = iter([record.numpy() for record in tf.data.TFRecordDataset(str(records))])
    prefix = str(records).removesuffix("00000-of-00001")
    records.unlink()
    for shard, length in enumerate(shard_lengths):
        with tf.io.TFRecordWriter(f"{prefix}{shard:05}-of-{len(shard_lengths):05}") as writer:
            for _ in range(length):
                writer.write(next(contents))
    assert next(contents, None) is None
    _set_shard_lengths(config_directory, shard_lengths)


def _rows(movies: list[int], rating: Callable[[int], str]) -> list[_Row]:
    pairs = [(user, movie) for movie in movies for user in USERS]
    return [(*pair, rating(place), 956_703_932 + 7 * place) for place, pair in enumerate(pairs[:RATINGS])]


def _lines(rows: list[_Row], delimiter: str) -> bytes:
    return "".join(delimiter.join(map(str, row)) + "\n" for row in rows).encode()


def _unpacked(archive: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(archive.parent)
    return archive.with_suffix("")


def _set_shard_lengths(config_directory: Path, lengths: list[int]) -> None:
    (path,) = config_directory.glob("*/dataset_info.json")
    info = json.loads(path.read_text())
    info["splits"][0]["shardLengths"] = [str(length) for length in lengths]
    path.write_text(json.dumps(info))
