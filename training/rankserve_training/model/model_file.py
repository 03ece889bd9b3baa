"""What a `.keras` file holds, looked at before Keras builds anything of it.

Nothing is allocated for what the file only says of itself: its members are not compressed, so that they are as large as
the file, and the weights that its configuration declares have to be in it.
"""

import io
import json
import zipfile
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from rankserve_training.artifact.errors import ArtifactError

# What one layer hands to the next; not something that Keras builds.
_TENSOR = "__keras_tensor__"
# Every class that the models of `rankserve train` are made of. Keras is not asked to build anything else, so a class of
# its own that reads files or runs code when it is built cannot be reached through a model file.
TRAINED_CLASSES = {
    "Activation",
    "Add",
    "Concatenate",
    "Constant",
    "Dense",
    "DTypePolicy",
    "Dot",
    "Embedding",
    "Functional",
    "GlorotUniform",
    "InputLayer",
    "RandomUniform",
    "ReLU",
    "Rescaling",
    "Zeros",
}
_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_MEMBERS = {_CONFIG, _METADATA, _WEIGHTS}
_COMPILATION = "compile_config"
_LARGEST_JSON = 16 * 1024 * 1024
# Layers, and what belongs to them: five for each hidden layer, some hundred in all. Keras takes a millisecond for each.
_MOST_OBJECTS = 2_000
# What Keras writes of weights: plain numbers.
_NUMBER_KINDS = "fiu"


@dataclass(frozen=True)
class ModelFile:
    """What a file says of a model.

    Attributes:
        config: what Keras builds the model of.
        weight_bytes: how much its weights take.
    """

    config: dict[str, Any]
    weight_bytes: int


def read_model_file(path: Path, allowed: Set[str] = TRAINED_CLASSES) -> ModelFile:
    """Looks at every member of a file.

    Args:
        path: the file.
        allowed: the names of the classes that Keras may build for it.

    Raises:
        ArtifactError: where the file is not a Keras model, names a class that is not allowed, or is not what Keras
            writes.
    """
    with _told(path), zipfile.ZipFile(path) as archive:
        _check_members(path, archive)
        config = _without_compilation(json.loads(archive.read(_CONFIG)))
        names = list(_class_names(config))
    if len(names) > _MOST_OBJECTS:
        raise ArtifactError(f"{path} is made of {len(names):,} objects; {_MOST_OBJECTS:,} are allowed")
    forbidden = sorted(set(names) - allowed - {_TENSOR})
    if forbidden:
        raise ArtifactError(f"{path} is made of classes that are not allowed: {', '.join(forbidden)}")
    with _told(path), zipfile.ZipFile(path) as archive:
        return ModelFile(config, _weight_bytes(path, archive.read(_WEIGHTS)))


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except ArtifactError:
        raise
    except Exception as error:  # zipfile, zlib, json and HDF5 raise whatever a damaged file leads them to
        raise ArtifactError(f"{path} is not a Keras model file: {' '.join(str(error).split())}") from error


def _check_members(path: Path, archive: zipfile.ZipFile) -> None:
    members = archive.infolist()
    names = sorted(member.filename for member in members)
    if len(names) > len(_MEMBERS) or not _MEMBERS.issuperset(names):
        raise ArtifactError(f"{path} should hold {', '.join(sorted(_MEMBERS))} and nothing else")
    for member in members:
        if member.filename != _WEIGHTS and member.file_size > _LARGEST_JSON:
            raise ArtifactError(
                f"{path}: its {member.filename} has {member.file_size} bytes; {_LARGEST_JSON} are allowed"
            )
        if member.compress_type != zipfile.ZIP_STORED:
            raise ArtifactError(f"{path}: {member.filename} is compressed, and models are published as they are")
    if sum(member.file_size for member in members) > path.stat().st_size:
        raise ArtifactError(f"{path}: its members say that they are larger than the file")


def _without_compilation(config: Any) -> Any:
    """Without the optimizer, loss and metrics of a model that was compiled, at any depth; nothing builds them."""
    if isinstance(config, list):
        return [_without_compilation(each) for each in config]
    if not isinstance(config, dict):
        return config
    return {key: _without_compilation(each) for key, each in config.items() if key != _COMPILATION}


def with_int32_inputs(config: Any) -> Any:
    """A configuration whose int64 inputs are int32, at any depth: JAX has no others, and Keras warns of it."""
    if isinstance(config, list):
        return [with_int32_inputs(each) for each in config]
    if not isinstance(config, dict):
        return config
    changed = {key: with_int32_inputs(each) for key, each in config.items()}
    own = changed.get("config")
    if changed.get("class_name") == "InputLayer" and isinstance(own, dict) and own.get("dtype") == "int64":
        changed["config"] = own | {"dtype": "int32"}
    return changed


def _class_names(config: Any) -> Iterator[str]:
    """Every `class_name` at any depth, of tensors too; one outside of Keras' own modules is named with its module."""
    if isinstance(config, list):
        for item in config:
            yield from _class_names(item)
    if not isinstance(config, dict):
        return
    for item in config.values():
        yield from _class_names(item)
    if "class_name" in config:
        name, module = str(config["class_name"]), str(config.get("module", ""))
        own = module == "keras" or module.startswith("keras.") or name == _TENSOR
        yield name if own else f"{module}.{name}"


def _weight_bytes(path: Path, content: bytes) -> int:
    with h5py.File(io.BytesIO(content), "r") as file:
        datasets: list[h5py.Dataset] = []
        linked: list[str] = []
        file.visititems(lambda _, item: datasets.append(item) if isinstance(item, h5py.Dataset) else None)
        file.visititems_links(lambda name, link: None if isinstance(link, h5py.HardLink) else linked.append(name))
        if linked:
            raise ArtifactError(f"{path}: {linked[0]} in its weights is a link to somewhere else")
        for dataset in datasets:
            _check_dataset(path, dataset)
        size = sum(int(dataset.nbytes) for dataset in datasets)
    if size > len(content):
        raise ArtifactError(f"{path}: its weights say that they have {size:,} bytes, in a file of {len(content):,}")
    return size


def _check_dataset(path: Path, dataset: h5py.Dataset) -> None:
    """Refuses what is not plainly there: stored in another file, compressed, or all made of one fill value."""
    plain = not (dataset.external or dataset.is_virtual or dataset.chunks) and dataset.dtype.kind in _NUMBER_KINDS
    if not plain or dataset.id.get_storage_size() != dataset.nbytes:
        raise ArtifactError(f"{path}: {dataset.name} in its weights is not an array as Keras writes it")
