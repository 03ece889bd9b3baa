"""Files that say that they are large: refused before anything of that size is allocated."""

import copy
import io
import json
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import pytest

from peak_memory import TESTS
from rankserve_training.artifact import ArtifactError
from rankserve_training.artifact.columns import read_columns
from rankserve_training.artifact.json_files import LARGEST_JSON
from rankserve_training.artifact.manifest import read_manifest
from rankserve_training.model.backend import keras
from rankserve_training.model.embedding_mlp import build_embedding_mlp, on_rating_scale
from rankserve_training.model.embedding_mlp_config import EmbeddingMlpConfig
from rankserve_training.model.loading import load_ranking_model
from rankserve_training.model.model_file import read_model_file

USERS, ITEMS = 3, 4
HUGE: Final = 2_000_000_000
WEIGHTS: Final = "model.weights.h5"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    on_rating_scale(build_embedding_mlp(USERS, ITEMS, EmbeddingMlpConfig(2, (3, 2))), 1, 4).save(path)
    return path


def rewritten(saved: Path, path: Path, **members: bytes) -> Path:
    """A copy with other members, by their names with `_` for `.`."""
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            target.writestr(name, members.get(name.replace(".", "_"), source.read(name)))
    return path


def refusal(path: Path, users: int = USERS) -> str:
    with pytest.raises(ArtifactError) as caught:
        load_ranking_model(path, users, ITEMS)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_saved_is_as_large_as_it_says(saved: Path) -> None:
    tables = (USERS + 1) * 2 + (ITEMS + 1) * 2
    layers = (4 * 3 + 3) + (3 * 2 + 2) + (2 + 1)
    assert read_model_file(saved).weight_bytes == 4 * (tables + layers)


@pytest.mark.parametrize(("layer", "field"), [("user_embedding", "output_dim"), ("hidden_1", "units")])
def test_a_layer_that_declares_more_than_there_is(saved: Path, tmp_path: Path, layer: str, field: str) -> None:
    config = _config(saved)
    for each in config["config"]["layers"]:
        each.pop("build_config", None)  # Keras goes without, and builds by the shapes that come in
        if each["config"]["name"] == layer:
            each["config"][field] = HUGE
    path = rewritten(saved, tmp_path / "model.keras", config_json=json.dumps(config).encode())
    assert "declares weights of " in refusal(path)


def test_a_table_for_more_users_than_the_manifest_has(saved: Path, tmp_path: Path) -> None:
    config = _config(saved)
    table = next(each for each in config["config"]["layers"] if each["config"]["name"] == "user_embedding")
    table["config"]["input_dim"] = HUGE
    path = rewritten(saved, tmp_path / "model.keras", config_json=json.dumps(config).encode())
    assert f"its user table has {HUGE} rows, but 3 users need 4" in refusal(path)
    assert "declares weights of " in refusal(path, users=HUGE - 1), "where the manifest lies as well"


def test_a_declaration_costs_no_memory(saved: Path, tmp_path: Path) -> None:
    """In a process that could not pay for it."""
    config = _config(saved)
    table = next(each for each in config["config"]["layers"] if each["config"]["name"] == "user_embedding")
    table["config"]["input_dim"] = HUGE
    path = rewritten(saved, tmp_path / "model.keras", config_json=json.dumps(config).encode())
    code = (
        "import sys\nfrom pathlib import Path\nfrom peak_memory import peak_bytes\n"
        "from rankserve_training.artifact import ArtifactError\n"
        "from rankserve_training.model.loading import load_ranking_model\n"
        f"try: load_ranking_model(Path(sys.argv[1]), {HUGE - 1}, {ITEMS})\n"
        "except ArtifactError as error: print(error)\n"
        "print(peak_bytes())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False, cwd=TESTS
    )
    message, peak = done.stdout.splitlines()
    assert "declares weights of 16,000,0" in message
    assert int(peak) < 2 * 1024**3


def test_thousands_of_layers(saved: Path, tmp_path: Path) -> None:
    """Which take no room and no weights, but a millisecond each."""
    config = _config(saved)
    layers = config["config"]["layers"]
    for number in range(2_000):
        layer = copy.deepcopy(layers[-1])
        layer["name"] = layer["config"]["name"] = f"rating_{number}"
        layer["inbound_nodes"][0]["args"][0]["config"]["keras_history"] = [layers[-1]["name"], 0, 0]
        layers.append(layer)
    path = rewritten(saved, tmp_path / "model.keras", config_json=json.dumps(config).encode())
    assert "is made of 6,033 objects; 2,000 are allowed" in refusal(path)


@pytest.mark.parametrize("depth", [300, 50_000])
def test_models_within_models(saved: Path, tmp_path: Path, depth: int) -> None:
    start, end = b'{"module": "keras", "class_name": "Functional", "config": {"layers": [', b"]}}"
    path = rewritten(saved, tmp_path / "model.keras", config_json=start * depth + end * depth)
    assert "Keras model" in refusal(path)


@pytest.mark.parametrize("name", ["config.json", "metadata.json"])
def test_text_without_an_end(saved: Path, tmp_path: Path, name: str) -> None:
    members = {name.replace(".", "_"): b" " * (16 * 1024 * 1024 + 1)}
    assert f"its {name} has 16777217 bytes; 16777216 are allowed" in refusal(
        rewritten(saved, tmp_path / "model.keras", **members)
    )


def test_keras_is_not_asked_before_all_was_looked_at(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A class that is not allowed, at the very end: nothing before it has been built."""
    built: list[object] = []
    for name in ("deserialize_keras_object", "load_model"):
        monkeypatch.setattr(keras.saving, name, lambda *_, **__: built.append(1))
    config = _config(saved)
    config["config"]["layers"].append({**config["config"]["layers"][-1], "class_name": "Lambda"})
    path = rewritten(saved, tmp_path / "model.keras", config_json=json.dumps(config).encode())
    assert "is made of classes that are not allowed: Lambda" in refusal(path)
    other = rewritten(saved, tmp_path / "other.keras", model_weights_h5=b"no weights")
    assert "is not a Keras model file" in refusal(other)
    assert not built


def _external(file: h5py.File) -> None:
    file.create_dataset("x", (4,), "f4", external=[("/etc/passwd", 0, 16)])


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (4,))
    file.create_virtual_dataset("x", layout)


def _soft_link(file: h5py.File) -> None:
    file["x"] = h5py.SoftLink("/elsewhere")


def _external_link(file: h5py.File) -> None:
    file["x"] = h5py.ExternalLink("/etc/other.h5", "/x")


def _fill_value(file: h5py.File) -> None:
    file.create_dataset("x", (HUGE,), "f4", fillvalue=1.0)  # nothing is written, and so nothing takes room


def _compressed(file: h5py.File) -> None:
    file.create_dataset("x", data=np.zeros(1_000_000, np.float32), compression="gzip")


def _chunked(file: h5py.File) -> None:
    file.create_dataset("x", (HUGE,), "f4", chunks=(1_024,))


def _text(file: h5py.File) -> None:
    file.create_dataset("x", data="text")


@pytest.mark.parametrize(
    "add", [_external, _virtual, _soft_link, _external_link, _fill_value, _compressed, _chunked, _text]
)
def test_weights_that_are_not_plainly_there(saved: Path, tmp_path: Path, add: Callable[[h5py.File], None]) -> None:
    with zipfile.ZipFile(saved) as archive:
        content = io.BytesIO(archive.read(WEIGHTS))
    with h5py.File(content, "a") as file:
        add(file)
    message = refusal(rewritten(saved, tmp_path / "model.keras", model_weights_h5=content.getvalue()))
    assert " in its weights is " in message


def test_weights_that_share_their_bytes(saved: Path, tmp_path: Path) -> None:
    """Each array is plainly there, but all of them in the same place: HDF5 alone would read them one by one."""
    length, count = 65_536, 40
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.create_dataset("real", data=np.zeros(length, np.uint8))
        for number in range(count):
            file.create_dataset(f"copy_{number}", (length,), np.uint8)
        place = file["real"].id.get_offset()
    # The layout of an array that is not chunked: version, class, where it is (nowhere yet), how large.
    nowhere, size = b"\xff" * 8, struct.pack("<Q", length)
    raw = content.getvalue()
    assert raw.count(b"\x03\x01" + nowhere) == count
    raw = raw.replace(b"\x03\x01" + nowhere, b"\x03\x01" + struct.pack("<Q", place)).replace(nowhere + size, size)
    with h5py.File(io.BytesIO(raw), "r") as file:
        assert file["copy_7"].id.get_storage_size() == length
    message = refusal(rewritten(saved, tmp_path / "model.keras", model_weights_h5=raw))
    assert f"its weights say that they have {length * (count + 1):,} bytes, in a file of {len(raw):,}" in message


def test_a_member_that_says_that_it_is_larger_than_the_file(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    raw = bytearray(saved.read_bytes())
    entry = raw.rindex(WEIGHTS.encode()) - 46  # of the directory at the end, before its name
    assert raw[entry : entry + 4] == b"PK\x01\x02"
    raw[entry + 24 : entry + 28] = struct.pack("<I", 2_000_000_000)
    path.write_bytes(raw)
    assert "its members say that they are larger than the file" in refusal(path)


def test_members_that_nobody_asked_for(saved: Path, tmp_path: Path) -> None:
    path = rewritten(saved, tmp_path / "model.keras")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("assets/other", b"x")
    assert "and nothing else" in refusal(path)


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_a_member_that_is_there_twice(saved: Path, tmp_path: Path) -> None:
    path = rewritten(saved, tmp_path / "model.keras")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("config.json", b"{}")
    assert "and nothing else" in refusal(path)


def test_a_bomb_of_zeros(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(path, "w") as target:
        target.writestr("config.json", source.read("config.json"))
        target.writestr("metadata.json", source.read("metadata.json"))
        with target.open(zipfile.ZipInfo(WEIGHTS), "w", force_zip64=True) as member:
            member.write(b"\0")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target, zipfile.ZipFile(saved) as source:
        target.writestr("config.json", source.read("config.json"), zipfile.ZIP_STORED)
        target.writestr(WEIGHTS, b"\0" * 50_000_000)
    assert path.stat().st_size < 200_000
    assert f"{WEIGHTS} is compressed" in refusal(path)


class TestColumns:
    """The same for `.npz` files."""

    @staticmethod
    def refusal(path: Path) -> str:
        with pytest.raises(ArtifactError) as caught:
            read_columns(path, ["ids"])
        return str(caught.value)

    def test_a_header_that_says_more_than_there_is(self, tmp_path: Path) -> None:
        path = tmp_path / "x.npz"
        tracemalloc.start()
        for shape in ((HUGE * 1_000,), (5,), (3,), (2, 1_000_000)):
            _write_npz(path, shape, "<i8", 4 * 8)
            assert "but has 32 bytes" in self.refusal(path)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 10_000_000
        _write_npz(path, (4,), "<i8", 4 * 8)
        assert read_columns(path, ["ids"])["ids"].tolist() == [0] * 4

    def test_objects(self, tmp_path: Path) -> None:
        path = tmp_path / "x.npz"
        _write_npz(path, (4,), "|O", 4 * 8)
        assert "holds pickled objects" in self.refusal(path)

    def test_a_compressed_column(self, tmp_path: Path) -> None:
        path = tmp_path / "x.npz"
        np.savez_compressed(path, ids=np.zeros(10_000_000, np.int64))
        assert "ids.npy is compressed" in self.refusal(path)


def test_a_manifest_without_an_end_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    with path.open("wb") as file:
        file.truncate(100 * LARGEST_JSON)  # takes no room on the disk
    with pytest.raises(ArtifactError, match=r"manifest\.json has more than the 16,777,216 bytes"):
        read_manifest(path)


@pytest.mark.parametrize("content", [b"[" * 1_000_000, b'{"a":' * 1_000_000])
def test_a_manifest_without_a_bottom(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "manifest.json"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"manifest\.json cannot be read"):
        read_manifest(path)


def _config(saved: Path) -> dict[str, Any]:
    with zipfile.ZipFile(saved) as archive:
        config: dict[str, Any] = json.loads(archive.read("config.json"))
    return config


def _write_npz(path: Path, shape: tuple[int, ...], descr: str, size: int) -> None:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": descr, "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ids.npy", buffer.getvalue() + b"\0" * size)
