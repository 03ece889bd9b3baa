"""Columns of numbers and text in one `.npz` file, without pickle.

Text is kept as one UTF-8 blob and its offsets: numpy's own string arrays would pad every title to the longest one.
"""

import io
import math
import zipfile
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rankserve_training.artifact.errors import ArtifactError

Columns = dict[str, npt.NDArray[np.generic]]

# What numpy writes where neither the names of fields nor their number are unusual.
_NPY_VERSION = (1, 0)


def pack_strings(name: str, strings: Sequence[str]) -> Columns:
    """The columns `NAME.utf8` (uint8[bytes]) and `NAME.offsets` (int64[n + 1]) that hold n strings."""
    encoded = [string.encode() for string in strings]
    return {
        f"{name}.utf8": np.frombuffer(b"".join(encoded), np.uint8),
        f"{name}.offsets": offsets_of([len(string) for string in encoded]),
    }


def unpack_strings(name: str, columns: Mapping[str, npt.NDArray[np.generic]]) -> list[str]:
    """The strings that `pack_strings` packed under `name`."""
    blob = columns[f"{name}.utf8"].tobytes()
    offsets = columns[f"{name}.offsets"].tolist()
    return [blob[start:end].decode() for start, end in pairwise(offsets)]


def offsets_of(lengths: Sequence[int] | npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where each of n runs of these lengths starts, and where the last one ends: int64[n + 1]."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def check_column(name: str, column: npt.NDArray[np.generic], dtype: npt.DTypeLike) -> None:
    """Refuses what is not a one-dimensional column of this type.

    Raises:
        ArtifactError: naming the column.
    """
    if column.dtype != dtype or column.ndim != 1:
        raise ArtifactError(f"column {name!r} should be {np.dtype(dtype)}[n], not {column.dtype}{list(column.shape)}")


def check_offsets(name: str, offsets: npt.NDArray[np.generic], count: int, total: int) -> None:
    """Refuses offsets that do not split `total` entries into `count` runs.

    Raises:
        ArtifactError: naming the column.
    """
    if (
        offsets.dtype != np.int64
        or offsets.shape != (count + 1,)
        or offsets[0] != 0
        or offsets[-1] != total
        or (np.diff(offsets) < 0).any()
    ):
        raise ArtifactError(f"column {name!r} should be {count + 1} ascending offsets from 0 to {total}")


def write_columns(path: Path, columns: Mapping[str, npt.NDArray[np.generic]]) -> None:
    """Writes the columns as an uncompressed `.npz`, equal bytes for equal columns."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, column in columns.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(column), allow_pickle=False)
            # A fixed time stamp, so that the hash of a file says something about its content only.
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), buffer.getvalue())


def read_columns(path: Path, names: Sequence[str]) -> Columns:
    """Reads the named columns. Nothing is allocated for what the file only says of itself.

    Raises:
        ArtifactError: where the file is not such an archive or lacks a column.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return {name: _read_column(archive, archive.getinfo(f"{name}.npy")) for name in names}
    except KeyError as error:
        raise ArtifactError(f"{path}: a column is missing: {error.args[0]}") from error
    except Exception as error:  # zipfile, zlib and numpy raise whatever a damaged file leads them to
        raise ArtifactError(f"{path} is not a readable .npz file: {error}") from error


def _read_column(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> npt.NDArray[np.generic]:
    if member.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{member.filename} is compressed, and columns are published as they are")
    content = archive.read(member)  # not longer than the file, as it is not compressed
    file = io.BytesIO(content)
    if np.lib.format.read_magic(file) != _NPY_VERSION:
        raise ValueError(f"{member.filename} is of another version of the format")
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    held = len(content) - file.tell()
    if dtype.hasobject:
        raise ValueError(f"{member.filename} holds pickled objects, which could run code")
    if math.prod(shape) * dtype.itemsize != held:
        raise ValueError(f"{member.filename} says that it is {dtype}{list(shape)}, but has {held} bytes")
    return np.frombuffer(content, dtype, offset=file.tell()).reshape(shape)
