"""`rankserve publish`: what is accepted is published as it scores, all else is refused in one line."""

import os
import signal
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from integration.command_forks import ForkedCommand
from rankserve_client.cli import main
from rankserve_training.artifact import Artifact, read_artifact
from rankserve_training.cli.publish import publish
from rankserve_training.model.backend import keras
from rankserve_training.model.predicting import predict_ratings
from training import own_models
from training.own_models import (
    ITEM_IDS,
    ITEMS,
    USER_IDS,
    USERS,
    Build,
    inputs,
    keras_scores,
    layers,
    saved,
    table,
    write_catalog,
)


def run(model: Path, *options: str, models_dir: Path) -> Result:
    return CliRunner().invoke(publish, [str(model), "--name", "own", "--models-dir", str(models_dir), *options])


def published(tmp_path: Path, model: keras.Model, *options: str, order: tuple[int, ...] = tuple(range(ITEMS))) -> Any:
    """The version that a model becomes, and its file."""
    path = saved(model, tmp_path / "model.keras")
    result = run(path, *write_catalog(tmp_path, order), *options, models_dir=tmp_path / "models")
    assert result.exit_code == 0, result.output
    assert f"Published own/1 in {tmp_path / 'models' / 'own' / '1'}" in result.stdout
    return read_artifact(tmp_path / "models" / "own" / "1"), path


def scores(artifact: Artifact, users: list[int], items: list[int]) -> Any:
    """Of pairs of ids."""
    rows = artifact.users.index.rows(np.array(users)), artifact.catalog.index.rows(np.array(items))
    return predict_ratings(artifact.load_keras_model(), *rows)


def test_quiet_says_only_what_was_published(tmp_path: Path) -> None:
    path = saved(own_models.tutorial_form(), tmp_path / "model.keras")
    models_dir = tmp_path / "models"
    arguments = ["publish", str(path), "--name", "own", "--models-dir", str(models_dir), *write_catalog(tmp_path)]
    result = CliRunner().invoke(main, [*arguments, "--quiet"])
    assert (result.exit_code, result.output) == (0, f"Published own/1 in {models_dir / 'own' / '1'}\n")


PAIRS = [(user, item) for user in range(USERS) for item in range(ITEMS)]
PAIR_IDS = [USER_IDS[user] for user, _ in PAIRS], [ITEM_IDS[item] for _, item in PAIRS]


@pytest.mark.parametrize("build", [own_models.trained_mlp, own_models.tutorial_form])
def test_rows_in_the_order_of_the_ids(tmp_path: Path, build: Build) -> None:
    artifact, path = published(tmp_path, build())
    expected = keras_scores(path, [user + 1 for user, _ in PAIRS], [item + 1 for _, item in PAIRS])
    np.testing.assert_allclose(scores(artifact, *PAIR_IDS), expected, rtol=1e-5, atol=1e-6)
    unknown = scores(artifact, [7, 7, USER_IDS[1]], [ITEM_IDS[2], 7, 7])
    np.testing.assert_allclose(unknown, keras_scores(path, [0, 0, 2], [3, 0, 0]), rtol=1e-5, atol=1e-6)
    # The tutorial's form is told by its layers, whatever they are called.
    folded = build is own_models.tutorial_form
    assert artifact.manifest.training.architecture == ("embedding_mlp" if folded else "keras")
    assert artifact.catalog.titles[0] == f"Item {ITEM_IDS[0]}"
    assert artifact.catalog.genres[0] == ("Drama", "War")
    # What only training uses is left out.
    with zipfile.ZipFile(artifact.directory / "model.keras") as archive:
        assert not {"Dropout", "GaussianNoise", "L2", "Adam"} & set(archive.read("config.json").decode().split('"'))
    assert artifact.directory.joinpath("model.keras").stat().st_size < path.stat().st_size or folded


def test_rows_in_the_order_of_the_file_and_what_users_have_seen(tmp_path: Path) -> None:
    order = (4, 2, 0, 1, 5, 3)
    ratings = tmp_path / "ratings.csv"
    ratings.write_text("userId,movieId,rating\n3,20,1\n3,10,2.5\n9,60,4\n9,77,4\n")
    options = ("--ids", "lines", "--ratings", str(ratings))
    artifact, path = published(tmp_path, own_models.matrix_factorisation(), *options, order=order)
    rows = [user + 1 for user, _ in PAIRS], [order.index(item) + 1 for _, item in PAIRS]
    np.testing.assert_allclose(scores(artifact, *PAIR_IDS), keras_scores(path, *rows), rtol=1e-5, atol=1e-6)
    assert artifact.users.seen(1).tolist() == [1, 2]
    assert artifact.users.seen(4).tolist() == [6]
    manifest = artifact.manifest
    assert (manifest.rating_scale.minimum, manifest.rating_scale.maximum) == (1, 4)
    assert (manifest.dataset.name, manifest.dataset.rating_count) == ("ratings.csv", 3)
    assert (manifest.training.preset, manifest.training.epochs, manifest.split.method) == ("own", 0, "none")


def test_rows_that_are_ids(tmp_path: Path) -> None:
    artifact, path = published(tmp_path, own_models.by_id(), "--ids", "direct", "--scale", "-2", "2")
    assert artifact.manifest.rating_scale.span == 4
    np.testing.assert_allclose(scores(artifact, *PAIR_IDS), keras_scores(path, *PAIR_IDS), rtol=1e-5, atol=1e-6)


def test_without_a_row_for_the_unknown_the_average_stands_for_them(tmp_path: Path) -> None:
    model = own_models.nested_towers(first_row=0)
    artifact, path = published(tmp_path, model, "--first-row", "0")
    expected = keras_scores(path, [user for user, _ in PAIRS], [item for _, item in PAIRS])
    np.testing.assert_allclose(scores(artifact, *PAIR_IDS), expected, rtol=1e-5, atol=1e-6)
    tower = model.get_layer("user_tower")
    rows = tower.layers[0].get_weights()[0]
    tower.layers[0].set_weights([np.tile(rows.mean(0), (USERS, 1))])
    average = keras_scores(saved(model, tmp_path / "average.keras"), [0] * ITEMS, list(range(ITEMS)))
    np.testing.assert_allclose(scores(artifact, [7] * ITEMS, ITEM_IDS), average, rtol=1e-5, atol=1e-5)


@keras.saving.register_keras_serializable("own")
class Doubled(layers.Layer):  # type: ignore[misc]  # Keras ships no types
    def call(self, x: Any) -> Any:
        return x * 2


class Subclassed(keras.Model):  # type: ignore[misc]  # Keras ships no types
    def __init__(self) -> None:
        super().__init__()
        self.table = table(USERS, 1)

    def call(self, x: Any) -> Any:
        return self.table(x["user"])


def scored(change: Callable[[Any], Any]) -> keras.Model:
    """A product, changed."""
    user, item = inputs()
    product = layers.Dot(axes=1)([table(USERS, 4)(user), table(ITEMS, 4)(item)])
    return keras.Model([user, item], change(product))


def broken(model: keras.Model, value: float) -> keras.Model:
    model.set_weights([np.full_like(weight, value) for weight in model.get_weights()])
    return model


def of_inputs(**options: Any) -> keras.Model:
    user, item = inputs(**options)
    ends = [layers.Flatten()(table(count, 4)(ids)) for count, ids in ((USERS, user), (ITEMS, item))]
    return keras.Model([user, item], layers.Dot(axes=1)(ends))


def three_inputs() -> keras.Model:
    model, hour = scored(lambda x: x), keras.Input((1,), name="hour")
    return keras.Model([*model.inputs, hour], model.output * hour)


def ids_as_numbers() -> keras.Model:
    user, item = inputs((1,))
    both = [
        layers.Flatten()(table(USERS, 1)(user)),
        layers.Flatten()(table(ITEMS, 1)(item)),
        layers.Rescaling(0.1)(item),
    ]
    return keras.Model([user, item], layers.Dense(1)(layers.Concatenate()(both)))


def one_table() -> keras.Model:
    user, item = inputs()
    shared = table(ITEMS, 4)
    return keras.Model([user, item], layers.Dot(axes=1)([shared(user), shared(item)]))


def unnamed() -> keras.Model:
    sides = [keras.Input((), dtype="int32", name=name) for name in ("who", "what")]
    product = layers.Dot(axes=1)([table(USERS, 4)(sides[0]), table(ITEMS, 4)(sides[1])])
    return keras.Model(dict(zip(("who", "what"), sides, strict=True)), product)


def half_precision() -> keras.Model:
    return scored(layers.Dense(1, dtype="float16"))


def subclassed() -> keras.Model:
    model = Subclassed()
    model({"user": np.array([1]), "item": np.array([1])})
    return model


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: scored(layers.Lambda(lambda x: x, output_shape=(1,))), "classes that are not allowed: "),
        (lambda: scored(Doubled()), "Doubled"),
        (subclassed, "Subclassed"),
        (three_inputs, "has 3 inputs (user, item, hour); a ranking model has two"),
        (lambda: of_inputs(dtype="float32"), "input 'user' is float32 of shape (n,), and should be int32 or int64"),
        (lambda: of_inputs(shape=(2,)), "input 'user' is int32 of shape (n, 2)"),
        (lambda: scored(layers.Dense(2)), "its output is float32 of shape (n, 2), and should be"),
        (half_precision, "its output is float16"),
        (lambda: broken(scored(layers.Dense(1)), np.nan), "holds NaN or infinite numbers"),
        (lambda: broken(scored(layers.Dense(1)), 3e38), "gives scores that are NaN or infinite"),
        (ids_as_numbers, "uses ids otherwise than to look up its tables"),
        (one_table, "is not looked up by the user alone or the item alone"),
        (unnamed, "which of its inputs (what, who) is the user's?"),
        (lambda: scored(lambda x: x - keras.ops.mean(x, axis=0, keepdims=True)), "depends on the pairs beside it"),
        (own_models.by_id, "has 10 rows, but 4 users and one for the unknown need 5"),
    ],
)
def test_refused_models(tmp_path: Path, build: Build, words: str) -> None:
    path = saved(build(), tmp_path / "model.keras")
    options = (*write_catalog(tmp_path, (1, 0, 2, 3, 4, 5)), "--ids", "lines")
    assert_refused(run(path, *options, models_dir=tmp_path / "m"), words)
    assert not (tmp_path / "m").exists()


def bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", bytes(50_000_000))


@pytest.mark.parametrize(
    ("name", "write", "words"),
    [
        ("model.keras", lambda path: path.write_text("text"), "is not a Keras model file: "),
        ("model.keras", lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n123"), "is not a .keras file of Keras 3"),
        ("model.h5", lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n123"), "model.save('model.keras')"),
        ("model.keras", bomb, "is compressed, and models are published as they are"),
        ("model.keras", lambda _: None, "cannot be read: No such file"),
    ],
)
def test_refused_files(tmp_path: Path, name: str, write: Callable[[Path], Any], words: str) -> None:
    write(tmp_path / name)
    assert_refused(run(tmp_path / name, *write_catalog(tmp_path), models_dir=tmp_path / "m"), words)
    assert not (tmp_path / "m").exists()


def test_refused_catalogues(tmp_path: Path) -> None:
    path = saved(own_models.matrix_factorisation(), tmp_path / "model.keras")
    options = write_catalog(tmp_path, (1, 0, 2, 3, 4, 5))
    cases = [
        (options, "the ids do not ascend, so whose row is the first? Say --ids lines"),
        (options[:2], "Give --users FILE, or --ratings FILE"),
        ((*options, "--ids", "sorted", "--first-row", "0"), "has 5 rows, but 4 users need 4"),
        ((*options, "--ids", "direct"), "too few for user 9, whose id is to be the number of its row"),
        ((*options, "--ids", "sorted", "--first-row", "0", "--unknown", "row-0"), "can only have --unknown mean"),
    ]
    for given, words in cases:
        assert_refused(run(path, *given, models_dir=tmp_path / "m"), words)
    more = tmp_path / "items.csv"
    more.write_text(more.read_text() + "\n70,Seventy,\n")
    result = run(path, *options, "--ids", "sorted", models_dir=tmp_path / "m")
    assert_refused(result, "has 7 rows, but 7 items and one for the unknown need 8")
    assert not (tmp_path / "m").exists()


def test_killed_it_leaves_no_version(tmp_path: Path) -> None:
    path, models = saved(own_models.matrix_factorisation(), tmp_path / "model.keras"), tmp_path / "models"
    options = [*write_catalog(tmp_path), "--name", "own", "--models-dir", str(models)]
    with Path(os.devnull).open("wb") as nowhere:
        process = ForkedCommand(("publish", str(path), *options), nowhere.fileno(), nowhere.fileno())
    with process:
        while not list(models.glob("own/.publishing-*")):
            assert process.poll() is None
            time.sleep(0.002)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert [entry.name[:12] for entry in (models / "own").iterdir()] == [".publishing-"]
    result = CliRunner().invoke(publish, [str(path), *options])
    assert (result.exit_code, result.stderr) == (0, "")
    assert [entry.name for entry in (models / "own").iterdir()] == ["1"]


def assert_refused(result: Result, words: str) -> None:
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    assert result.stderr.startswith("Error: "), result.output
    assert result.stderr.count("\n") == 1
    assert words in result.stderr
