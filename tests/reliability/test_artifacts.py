"""No damaged version is served, and why not is said: every file, byte by byte, and cut off at any length.

What "not served" means for the manifest, which nothing vouches for: whatever a flipped byte makes of it, it is either
refused, or the files are still those of the hashes and the model gives every score that the undamaged manifest
promises. A flip in what only describes a version, such as the name of its data set, is served with that description.
"""

import itertools
import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import pytest

from conftest import StartServer
from integration.versions import copy_version
from rankserve.v1 import ranking_pb2, ranking_pb2_grpc
from rankserve_server.golden import replay_golden_requests
from rankserve_server.loaded_model import LoadedModel
from rankserve_server.loading import load_version
from rankserve_training.artifact import ArtifactError, Manifest, read_artifact
from rankserve_training.artifact.manifest import MANIFEST_FILE
from server.tower_answers import assert_answers
from server.two_towers import Published

# Of each file; the manifest is small enough for all of its bytes.
FLIPS = int(os.environ.get("RELIABILITY_FLIPS", "4000"))
FEW_FLIPS = 120


@dataclass(frozen=True)
class Damage:
    """A file of a version, and what it holds instead."""

    name: str
    words: str
    content: bytes


@pytest.fixture(scope="module")
def whole(published: Published) -> LoadedModel:
    """The version, undamaged, as the server loads it."""
    return load_version(published.directory, lambda: None)


def flips(path: Path, places: Iterator[int] | range, chance: random.Random) -> Iterator[Damage]:
    """One damaged byte at each place, by any of its 255 other values."""
    content = path.read_bytes()
    for place in places:
        flipped = bytearray(content)
        flipped[place] ^= chance.randrange(1, 256)
        yield Damage(path.name, f"byte {place}", bytes(flipped))


def cuts(path: Path, lengths: list[int]) -> Iterator[Damage]:
    """The file cut off."""
    content = path.read_bytes()
    for length in lengths:
        yield Damage(path.name, f"cut to {length}", content[:length])


def refusal(version: Path, damage: Damage, whole: LoadedModel) -> str | None:
    """Why the damaged version is not served; None where it is, and then it gives the scores that were promised.

    Anything but an ArtifactError fails the test. What is read is what `load_version` reads. What it would then fold and
    compile is a function of files whose hashes have just been verified and of the architecture, so `whole` stands for
    it; `test_a_damaged_manifest_that_is_served_gives_the_promised_scores` does without that.
    """
    path = version / damage.name
    original = path.read_bytes()
    path.write_bytes(damage.content)
    try:
        artifact = read_artifact(version)
        if artifact.manifest.training.architecture != whole.manifest.training.architecture:
            return f"{MANIFEST_FILE}: another architecture, which `load_version` refuses"
        newcomers = artifact.read_newcomers()
        model = LoadedModel(artifact.manifest, artifact.catalog, artifact.users, whole.engine, newcomers)
        try:
            replay_golden_requests(model)
        except ValueError as error:
            return f"{MANIFEST_FILE}: {error}"
        assert_same_files(artifact.manifest, whole.manifest)
        replay_golden_requests(replace(model, manifest=whole.manifest))
    except ArtifactError as error:
        return str(error)
    finally:
        path.write_bytes(original)
    return None


def assert_same_files(manifest: Manifest, whole: Manifest) -> None:
    """Those that are loaded, by their hashes."""
    assert {name: entry for name, entry in manifest.files.items() if name in whole.files} == manifest.files
    assert manifest.files == whole.files


def all_refusals(version: Path, damages: Iterator[Damage], whole: LoadedModel) -> Counter[str]:
    """How often each file was damaged and refused, or served; each refusal has to name the file."""
    counts: Counter[str] = Counter()
    for damage in damages:
        reason = refusal(version, damage, whole)
        if reason is None:
            assert damage.name == MANIFEST_FILE, f"{damage.name} is served with a damaged {damage.words}"
            counts["manifest.json: served with the promised scores"] += 1
            continue
        assert damage.name in reason or (damage.name == MANIFEST_FILE and str(version) in reason), (damage, reason)
        counts[f"{damage.name}: refused"] += 1
    return counts


def few_damages(version: Path, chance: random.Random) -> Iterator[Damage]:
    for path in sorted(version.iterdir()):
        size = path.stat().st_size
        yield from flips(path, iter(chance.sample(range(size), FEW_FLIPS)), chance)
        yield from cuts(path, [0, 1, size // 2, size - 1, *chance.sample(range(size), 6)])


def many_damages(version: Path, chance: random.Random) -> Iterator[Damage]:
    for path in sorted(version.iterdir()):
        size = path.stat().st_size
        every = path.name == MANIFEST_FILE or size <= FLIPS
        places = range(size) if every else iter(chance.sample(range(size), FLIPS))
        yield from flips(path, places, chance)
        yield from cuts(path, list(range(size)) if every else chance.sample(range(size), FLIPS // 10))


def test_no_damaged_file_is_served_and_each_refusal_says_which(models: Path, whole: LoadedModel) -> None:
    version = models / "towers" / "1"
    files = len(list(version.iterdir()))
    assert files == 7
    counts = all_refusals(version, few_damages(version, random.Random(1)), whole)
    print(f"\n{dict(counts)}")
    assert counts.total() == files * (FEW_FLIPS + 10)
    assert all(counts[f"{name}: refused"] == FEW_FLIPS + 10 for name in whole.manifest.files)
    assert counts["manifest.json: refused"] > FEW_FLIPS / 2


@pytest.mark.reliability
@pytest.mark.timeout(3_600)
def test_every_byte_of_a_version_may_be_damaged(models: Path, whole: LoadedModel) -> None:
    version = models / "towers" / "1"
    sizes = {path.name: path.stat().st_size for path in version.iterdir()}
    counts = all_refusals(version, many_damages(version, random.Random(2)), whole)
    print(f"\n{counts.total():,} damaged versions: {dict(counts)}")
    for name, size in sizes.items():
        tried = 2 * size if name == MANIFEST_FILE or size <= FLIPS else FLIPS + FLIPS // 10
        assert counts[f"{name}: refused"] + counts[f"{name}: served with the promised scores"] == tried


@pytest.mark.reliability
@pytest.mark.parametrize("loaded", [4])
def test_a_damaged_manifest_that_is_served_gives_the_promised_scores(
    models: Path, whole: LoadedModel, loaded: int
) -> None:
    """All is loaded from the damaged version, which takes seconds each, and replays what the undamaged one promises."""
    version = models / "towers" / "1"
    for damage in itertools.islice(servable(version, whole), loaded):
        original = (version / MANIFEST_FILE).read_bytes()
        (version / MANIFEST_FILE).write_bytes(damage.content)
        model = load_version(version, lambda: None)
        replay_golden_requests(replace(model, manifest=whole.manifest))
        (version / MANIFEST_FILE).write_bytes(original)


def test_a_server_passes_over_damaged_versions_and_says_why(
    start_server: StartServer, models: Path, published: Published
) -> None:
    """Each newer version has one damaged file; the oldest is whole."""
    chance = random.Random(4)
    names = sorted(path.name for path in published.directory.iterdir())
    for number, name in enumerate(names, start=2):
        damaged = copy_version(published.directory, models, "towers", number) / name
        content = bytearray(damaged.read_bytes())
        # Within the manifest, that is its first byte.
        content[0 if name == MANIFEST_FILE else chance.randrange(len(content))] ^= 1
        damaged.write_bytes(content)
    server = start_server(models=models).wait_until_ready()
    assert server.served.startswith("towers/1 ")
    for number, name in enumerate(names, start=2):
        (line,) = [line for line in server.errors.splitlines() if f"towers/{number} cannot be served" in line]
        assert f"{number}/{name} " in line
        assert "cannot be read" in line if name == MANIFEST_FILE else "does not have the SHA-256" in line
    with grpc.insecure_channel(server.address) as channel:
        request = ranking_pb2.RankRequest(user_id=3, candidate_ids=[5, 10, 15])
        answer = ranking_pb2_grpc.RankingServiceStub(channel).Rank(request, timeout=10)
    assert answer.model_version == 1
    assert_answers(request, answer, published.towers)


def servable(version: Path, whole: LoadedModel) -> Iterator[Damage]:
    """Damaged manifests that can be served, in no order."""
    chance = random.Random(3)
    size = (version / MANIFEST_FILE).stat().st_size
    places = iter(chance.sample(range(size), size))
    return (damage for damage in flips(version / MANIFEST_FILE, places, chance) if not refusal(version, damage, whole))
