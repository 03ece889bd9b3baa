"""Loading `.keras` files: ours as they are, others not at all."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from rankserve_training.artifact import ArtifactError
from rankserve_training.model.backend import keras
from rankserve_training.model.embedding_mlp import build_embedding_mlp, on_rating_scale
from rankserve_training.model.embedding_mlp_config import EmbeddingMlpConfig
from rankserve_training.model.loading import load_ranking_model
from rankserve_training.model.predicting import predict_ratings
from training.conftest import Training

USERS, ITEMS = 3, 4


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    on_rating_scale(build_embedding_mlp(USERS, ITEMS, EmbeddingMlpConfig(2, (3, 2))), 1, 4).save(path)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ArtifactError) as caught:
        load_ranking_model(path, USERS, ITEMS)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


def rewritten(saved: Path, path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy whose configuration is changed in place."""
    with zipfile.ZipFile(saved) as source:
        config = json.loads(source.read("config.json"))
        change(config)
        return with_member(saved, path, "config.json", json.dumps(config).encode())


def with_member(saved: Path, path: Path, name: str, content: bytes | None) -> Path:
    """A copy with one member of the archive replaced or, where it is None, left out."""
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(path, "w") as target:
        for member in source.namelist():
            if member != name:
                target.writestr(member, source.read(member))
        if content is not None:
            target.writestr(name, content)
    return path


def test_what_is_saved_is_loaded(saved: Path, tmp_path: Path) -> None:
    users, items = (rows.ravel() for rows in np.indices((USERS + 1, ITEMS + 1), np.int32))
    model = load_ranking_model(saved, USERS, ITEMS)
    expected = predict_ratings(keras.saving.load_model(saved), users, items)
    assert predict_ratings(model, users, items).tolist() == expected.tolist()
    # The changes made below are refused for what they change.
    copy = rewritten(saved, tmp_path / "copy.keras", lambda _: None)
    assert predict_ratings(load_ranking_model(copy, USERS, ITEMS), users, items).tolist() == expected.tolist()


def test_weights_that_are_missing(saved: Path, tmp_path: Path) -> None:
    """Nothing is left as it was when the model was built, which here is no number at all."""
    with zipfile.ZipFile(saved) as source:
        (tmp_path / "weights.h5").write_bytes(source.read("model.weights.h5"))
    with h5py.File(tmp_path / "weights.h5", "r+") as weights:
        del weights["layers/embedding_1/vars/0"]
    path = with_member(saved, tmp_path / "model.keras", "model.weights.h5", (tmp_path / "weights.h5").read_bytes())
    assert refusal(path)


@keras.saving.register_keras_serializable("attack")
class Registered(keras.layers.Dense):  # type: ignore[misc]  # Keras ships no types
    """Would be built, if it came to that, because it is registered."""


def as_model(layer: Any) -> keras.Model:
    return keras.Sequential([keras.Input((2,)), layer])


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (lambda: as_model(keras.layers.Lambda(lambda x: x)), "Lambda"),
        (lambda: as_model(Registered(1)), "Registered"),
        (lambda: as_model(keras.layers.Dropout(0.5)), "Dropout"),
        (lambda: as_model(keras.layers.Dense(1, kernel_regularizer="l2")), "L2"),
        (lambda: as_model(keras.layers.Dense(1)), "Sequential"),
    ],
)
def test_classes_that_are_not_allowed(tmp_path: Path, model: Callable[[], keras.Model], named: str) -> None:
    path = tmp_path / "model.keras"
    model().save(path)
    message = refusal(path)
    assert "is made of classes that are not allowed: " in message
    assert named in message


@pytest.mark.parametrize("module", ["builtins", "os", "kerasevil", "training.model.test_loading", "", None, ["keras"]])
@pytest.mark.parametrize("layer", [-1, 0])
def test_modules_outside_of_keras(saved: Path, tmp_path: Path, module: Any, layer: int) -> None:
    """A class of an allowed name is still not Keras' own."""

    def change(config: dict[str, Any]) -> None:
        config["config"]["layers"][layer]["module"] = module

    message = refusal(rewritten(saved, tmp_path / "model.keras", change))
    assert f"{module}." in message
    assert "not allowed" in message


def test_a_class_hidden_deep_down(saved: Path, tmp_path: Path) -> None:
    function = {"module": "builtins", "class_name": "function", "config": "print", "registered_name": "function"}

    def in_the_activation(config: dict[str, Any]) -> None:
        next(layer for layer in config["config"]["layers"] if layer["class_name"] == "Dense")["config"][
            "activation"
        ] = function

    def in_a_tensor(config: dict[str, Any]) -> None:
        config["config"]["layers"][2]["inbound_nodes"][0]["args"][0]["config"]["keras_history"] = [[function]]

    for change in (in_the_activation, in_a_tensor):
        assert "builtins.function" in refusal(rewritten(saved, tmp_path / "model.keras", change))


def test_nothing_of_a_refused_file_runs(tmp_path: Path) -> None:
    """The marshalled code of a Lambda that would leave a file behind."""
    trace = tmp_path / "trace"
    path = tmp_path / "model.keras"

    def leave_a_trace(x: Any, where: str = str(trace)) -> Any:
        open(where, "w").close()  # noqa: PTH123, the code has to stand alone
        return x

    as_model(keras.layers.Lambda(leave_a_trace)).save(path)
    assert trace.exists()
    trace.unlink()
    refusal(path)
    assert not trace.exists()


@pytest.mark.parametrize(("users", "items"), [(USERS - 1, ITEMS), (USERS, ITEMS + 1), (0, 0)])
def test_tables_of_other_sizes(saved: Path, users: int, items: int) -> None:
    with pytest.raises(ArtifactError, match=r"model\.keras: its (user|item) table has \d rows, but \d \w+s need \d$"):
        load_ranking_model(saved, users, items)


def test_a_model_without_tables(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    inputs = keras.Input((2,))
    keras.Model(inputs, keras.layers.Dense(1, name="user_embedding")(inputs)).save(path)
    assert refusal(path).endswith("has no embedding layer named 'user_embedding'")


def test_weights_that_do_not_fit(saved: Path, tmp_path: Path) -> None:
    def wider(config: dict[str, Any]) -> None:
        next(layer for layer in config["config"]["layers"] if layer["name"] == "hidden_1")["config"]["units"] = 4

    assert "cannot be loaded as a Keras model: " in refusal(rewritten(saved, tmp_path / "model.keras", wider))


@pytest.mark.parametrize("name", ["config.json", "model.weights.h5"])
@pytest.mark.parametrize("content", [None, b"", b"neither JSON nor HDF5", b"3", b"[" * 100_000])
def test_members_that_are_broken(saved: Path, tmp_path: Path, name: str, content: bytes | None) -> None:
    refusal(with_member(saved, tmp_path / "model.keras", name, content))


def test_a_huge_configuration_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b" " * (16 * 1024 * 1024) + b"3")
    assert path.stat().st_size < 100_000
    assert refusal(path).endswith("its config.json has 16777217 bytes; 16777216 are allowed")


def test_files_that_are_no_archive(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    whole = saved.read_bytes()
    for content in (b"", b"text", whole[:-100], whole[:200]):
        path.write_bytes(content)
        assert "is not a Keras model file: " in refusal(path)
    assert "No such file" in refusal(tmp_path / "none.keras")
    (tmp_path / "directory.keras").mkdir()
    assert "Is a directory" in refusal(tmp_path / "directory.keras")


def test_serving_never_imports_tensorflow(tutorial: Training) -> None:
    """Reading, loading, folding and predicting."""
    code = """if True:
        import sys
        from pathlib import Path
        import numpy as np
        from rankserve_training.artifact import read_artifact
        artifact = read_artifact(Path(sys.argv[1]))
        assert not {"keras", "jax"} & set(sys.modules), "reading imports Keras"
        from rankserve_training.model.folded import fold
        from rankserve_training.model.predicting import predict_ratings
        model = artifact.load_keras_model()
        fold(model, artifact.manifest.training.architecture)
        golden = artifact.manifest.golden_requests[0]
        items = artifact.catalog.index.rows(np.array(golden.candidate_ids))
        users = np.full(len(items), artifact.users.index.row(golden.user_id), np.int32)
        assert np.abs(predict_ratings(model, users, items) - golden.scores).max() < 1e-5
        print(sorted({"tensorflow", "tensorflow_datasets", "grpc", "torch"} & set(sys.modules)))
    """
    command = [sys.executable, "-c", code, str(tutorial.artifact.directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
