"""A user's own trained Keras model: what is accepted, and how it becomes a ranking model of this package.

Accepted is a Keras 3 model in a `.keras` file, made of `keras_classes`, with

    two inputs   the user's and the item's, int32 or int64, of shape (n,) or (n, 1); that of the user has a name that
                 starts with `user`, or that of the item one that starts with `item`, or the model takes a list of the
                 two, the user's first
    one output   float32 of shape (n, 1) or (n,): a score for each pair, which does not depend on the other pairs
    tables       `Embedding` layers, each looked up by the one input or the other; nothing else sees what an id is

Its tables are put into the order of this package: row 0 for the unknown, 1 to n for the known ids, ascending. Whatever
only training uses is left out. All else stays as it is, with the weights that it has.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from rankserve_training.artifact.errors import ArtifactError
from rankserve_training.model.backend import keras
from rankserve_training.model.keras_classes import KERAS_CLASSES, TRAINING_LAYERS
from rankserve_training.model.loading import load_keras_file

SIDES = ("user", "item")

Int64s: TypeAlias = npt.NDArray[np.int64]
Float32s: TypeAlias = npt.NDArray[np.float32]

_BATCH_ROWS = 8_192
_SUFFIX = ".keras"
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
# What the configuration of a layer holds for training only.
_TRAINING_KEYS = ("_regularizer", "_constraint")
# Four pairs by which it is told what a table is looked up by.
_TOLD_BY = {"user": (0, 0, 1, 1), "item": (0, 1, 0, 1)}


@dataclass(frozen=True)
class Places:
    """Where a model has the rows of the known ids of one side.

    Attributes:
        known: int64[n], for each id, ascending.
        unknown: of the row for unknown ids; None where they get the average of the known rows.
        table_rows: how many rows each table has to have; None for any number that holds all of them.
    """

    known: Int64s
    unknown: int | None
    table_rows: int | None


@dataclass(frozen=True)
class OwnModel:
    """A model that is accepted.

    Attributes:
        path: where it is from.
        keras_model: as it is.
        inputs: the name of the input by side.
        tables: the layers by side, one or more.
    """

    path: Path
    keras_model: keras.Model
    inputs: dict[str, str]
    tables: dict[str, list[keras.layers.Embedding]]

    def predict(self, users: npt.NDArray[np.integer], items: npt.NDArray[np.integer]) -> Float32s:
        """Its scores of n pairs.

        Args:
            users: int[n], places in its tables.
            items: int[n], likewise.
        """
        inputs = _fed(self.keras_model, self.inputs, users, items)
        return np.asarray(self.keras_model.predict(inputs, batch_size=_BATCH_ROWS, verbose=0), np.float32).reshape(-1)

    def as_ranking_model(self, places: dict[str, Places]) -> keras.Model:
        """The model as it is published: inputs `user` and `item`, int32[n], rows as in this package.

        Args:
            places: by side.

        Raises:
            ArtifactError: where a table does not hold what the places say.
        """
        rows_of = {id(table): places[side] for side in SIDES for table in self.tables[side]}
        for side in SIDES:
            for table in self.tables[side]:
                self._check_rows(side, table, places[side])
        copy, copied = _copy(self.keras_model, {place: len(rows.known) + 1 for place, rows in rows_of.items()})
        for layer, own in copied:
            values = layer.get_weights()
            if id(layer) in rows_of:
                values = [_placed(values[0], rows_of[id(layer)])]
            own.set_weights(values)
        return _with_our_inputs(copy, self.inputs)

    def _check_rows(self, side: str, table: keras.layers.Embedding, places: Places) -> None:
        count, rows = len(places.known), table.input_dim
        if places.table_rows is not None and rows != places.table_rows:
            and_unknown = " and one for the unknown" if places.table_rows > count else ""
            raise ArtifactError(
                f"{self.path}: table {table.name!r} has {rows:,} rows, but {count:,} {side}s{and_unknown} need "
                f"{places.table_rows:,}; give the {side}s that it was trained with, or say with --first-row and --ids "
                "how its rows are numbered"
            )
        if int(places.known.max()) >= rows:
            raise ArtifactError(
                f"{self.path}: table {table.name!r} has {rows:,} rows, too few for {side} {int(places.known.max())}, "
                "whose id is to be the number of its row"
            )


def read_own_model(path: Path) -> OwnModel:
    """Reads a model without running any code of its own.

    Raises:
        ArtifactError: where it is not accepted, saying what was wrong and what to do.
    """
    _check_kind(path)
    model = load_keras_file(path, partial(_check_signature, path), KERAS_CLASSES)
    for variable in model.weights:
        if not np.isfinite(np.asarray(variable.value)).all():
            raise ArtifactError(f"{path}: {variable.path} holds NaN or infinite numbers; train it again")
    inputs = _input_names(path, model)
    try:
        tables = _tables(path, model, inputs)
    except ArtifactError:
        raise
    except Exception as error:  # Keras raises whatever its layers raise, often with many lines
        raise ArtifactError(f"{path} cannot be rebuilt: {' '.join(str(error).split())}") from error
    return OwnModel(path, model, inputs, tables)


def _check_kind(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(len(_HDF5_MAGIC))
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}") from error
    if start == _HDF5_MAGIC or path.suffix != _SUFFIX:
        raise ArtifactError(f"{path} is not a .keras file of Keras 3; save the model with: model.save('model.keras')")


def _check_signature(path: Path, model: keras.Model) -> None:
    names = [tensor.name for tensor in model.inputs]
    if len(names) != len(SIDES):
        raise ArtifactError(
            f"{path} has {len(names)} inputs ({', '.join(names)}); a ranking model has two, the user's and the item's"
        )
    for tensor in model.inputs:
        shape = tuple(tensor.shape)
        if tensor.dtype != "int32" or shape not in ((None,), (None, 1)):
            raise ArtifactError(
                f"{path}: input {tensor.name!r} is {_words(tensor)}, and should be int32 or int64 of shape (n,) or "
                f"(n, 1), such as keras.Input((), dtype='int32')"
            )
    if len(model.outputs) != 1:
        raise ArtifactError(f"{path} has {len(model.outputs)} outputs; a ranking model has one, the score")
    (output,) = model.outputs
    if output.dtype != "float32" or tuple(output.shape) not in ((None,), (None, 1)):
        raise ArtifactError(f"{path}: its output is {_words(output)}, and should be float32 of shape (n, 1) or (n,)")
    others = [variable for variable in model.weights if variable.dtype != "float32"]
    if others:
        raise ArtifactError(f"{path}: {others[0].path} is {others[0].dtype}; weights should be float32")


def _words(tensor: Any) -> str:
    sizes = ["n" if size is None else str(size) for size in tensor.shape]
    return f"{tensor.dtype} of shape ({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


def _input_names(path: Path, model: keras.Model) -> dict[str, str]:
    names = [tensor.name for tensor in model.inputs]
    for side, other in (SIDES, SIDES[::-1]):
        own = [name for name in names if name.lower().startswith(side)]
        if len(own) == 1:
            (rest,) = set(names) - set(own)
            return {side: own[0], other: rest}
    if not isinstance(model.input, list | tuple):
        raise ArtifactError(
            f"{path}: which of its inputs ({', '.join(names)}) is the user's? Call that one 'user' and the other 'item'"
        )
    return dict(zip(SIDES, names, strict=True))


def _tables(path: Path, model: keras.Model, inputs: dict[str, str]) -> dict[str, list[keras.layers.Embedding]]:
    """Which tables are looked up by which input, found by watching them."""
    watched: dict[int, _Watched] = {}
    copy, copied = _copy(model, {}, watched)
    columns = {side: np.array(_TOLD_BY[side], np.int32) for side in SIDES}
    watched_layers = {id(own): layer for layer, own in copied}
    for table in watched.values():
        table.looked_up.clear()  # what it was built with
    copy(_fed(copy, inputs, columns["user"], columns["item"]), training=False)
    tables: dict[str, list[keras.layers.Embedding]] = {side: [] for side in SIDES}
    for place, table in watched.items():
        sides = {_side_of(ids) for ids in table.looked_up}
        side = sides.pop() if len(sides) == 1 else None
        if side is None:
            raise ArtifactError(
                f"{path}: table {table.name!r} is not looked up by the user alone or the item alone; each Embedding "
                "should have one of the two inputs, through nothing but Flatten or Reshape"
            )
        tables[side].append(watched_layers[place])
    for side, found in tables.items():
        if not found:
            raise ArtifactError(f"{path}: no Embedding is looked up by the input {inputs[side]!r}, that of the {side}")
    return tables


def _side_of(ids: tuple[int, ...]) -> str | None:
    return next((side for side in SIDES if ids == _TOLD_BY[side]), None)


class _Watched(keras.layers.Embedding):
    """A table of two rows that remembers what it was looked up by."""

    def __init__(self, output_dim: int, name: str) -> None:
        super().__init__(len(set(_TOLD_BY["user"])), output_dim, name=name)
        self.looked_up: set[tuple[int, ...]] = set()

    def call(self, inputs: Any) -> Any:
        if not isinstance(inputs, keras.KerasTensor):
            self.looked_up.add(tuple(np.asarray(inputs).reshape(-1).tolist()))
        return super().call(inputs)


def _copy(
    model: keras.Model, table_rows: dict[int, int], watched: dict[int, "_Watched"] | None = None
) -> tuple[keras.Model, list[tuple[keras.layers.Layer, keras.layers.Layer]]]:
    """The same model with int32 inputs, without what only training uses, and with weights of its own.

    Args:
        model: Functional.
        table_rows: how many rows the copies of tables have, by the identity of the table.
        watched: where the tables are replaced by such as watch, by the identity of these; None where not.

    Returns:
        The copy, and its layers beside those that they are copies of.
    """
    copied: list[tuple[keras.layers.Layer, keras.layers.Layer]] = []

    def copy(layer: keras.layers.Layer) -> keras.layers.Layer:
        own = _copied(layer, table_rows, watched is not None)
        if isinstance(own, _Watched) and watched is not None:
            watched[id(own)] = own
        if type(layer).__name__ not in TRAINING_LAYERS and isinstance(layer, keras.Layer):
            copied.append((layer, own))
        return own

    inputs = keras.tree.map_structure(
        lambda tensor: keras.Input(tensor.shape[1:], dtype="int32", name=tensor.name), model.input
    )
    return keras.models.clone_model(model, input_tensors=inputs, clone_function=copy, recursive=True), copied


def _copied(layer: keras.layers.Layer, table_rows: dict[int, int], watch: bool) -> keras.layers.Layer:
    if isinstance(layer, keras.layers.Embedding):
        if watch:
            return _Watched(layer.output_dim, layer.name)
        rows = table_rows[id(layer)]
        return keras.layers.Embedding(rows, layer.output_dim, embeddings_initializer="zeros", name=layer.name)
    if type(layer).__name__ in TRAINING_LAYERS:
        return keras.layers.Identity(name=layer.name)
    config = layer.get_config()
    return type(layer).from_config({key: None if key.endswith(_TRAINING_KEYS) else config[key] for key in config})


def _with_our_inputs(model: keras.Model, names: dict[str, str]) -> keras.Model:
    """The model with inputs `user` and `item` of shape (n,) and an output of shape (n, 1)."""
    inputs = {side: keras.Input((), dtype="int32", name=side) for side in SIDES}
    by_name = {names[side]: inputs[side] for side in SIDES}

    def fed(tensor: Any) -> Any:
        own = by_name[tensor.name]
        return own if len(tensor.shape) == 1 else keras.layers.Reshape((1,))(own)

    output = model(keras.tree.map_structure(fed, model.input))
    if len(output.shape) == 1:
        output = keras.layers.Reshape((1,))(output)
    return keras.Model(inputs, output)


def _fed(model: keras.Model, names: dict[str, str], users: Any, items: Any) -> Any:
    """Arrays in the structure and shapes of a model's inputs."""
    by_name = {names["user"]: users, names["item"]: items}
    return keras.tree.map_structure(
        lambda tensor: by_name[tensor.name].astype(np.int32).reshape(-1, *tensor.shape[1:]), model.input
    )


def _placed(table: Float32s, places: Places) -> Float32s:
    """The rows of a table in the order of this package: float32[n + 1, k]."""
    placed = np.empty((len(places.known) + 1, table.shape[1]), np.float32)
    placed[1:] = table[places.known]
    placed[0] = placed[1:].mean(axis=0, dtype=np.float64) if places.unknown is None else table[places.unknown]
    return placed
