"""Publishing to a store that speaks S3's protocol."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.stores import URL, LocalStore
from rankserve_training.artifact import ArtifactError, read_artifact
from rankserve_training.artifact.storage import fetching, publishing
from rankserve_training.artifact.storage.errors import StoreError, TakenError
from rankserve_training.artifact.storage.fetching import version_at
from rankserve_training.artifact.storage.place import parse_place
from rankserve_training.artifact.storage.publishing import StorePublisher, check_anywhere, publish_anywhere
from rankserve_training.artifact.storage.store import Store
from training.small_version import small_manifest, write_small_files

_PUBLISHER = f"""
from rankserve_training.artifact.storage.publishing import publish_anywhere
from training.small_version import small_manifest, write_small_files
while True:
    print(publish_anywhere({URL!r}, "small", write_small_files, small_manifest()).directory, flush=True)
"""

_READER = f"""
from rankserve_training.artifact.storage.errors import StoreError
from rankserve_training.artifact.storage.fetching import version_at
try:
    version_at({URL + "/small"!r})
except StoreError as error:
    print(error)
"""


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LocalStore]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    store = LocalStore(monkeypatch)
    yield store
    store.stop()


def publish_small() -> str:
    return str(publish_anywhere(URL, "small", write_small_files, small_manifest()).directory)


@pytest.mark.usefixtures("store")
def test_versions_are_numbered_and_can_be_read() -> None:
    assert [publish_small(), publish_small()] == [f"{URL}/small/1", f"{URL}/small/2"]
    artifact = read_artifact(version_at(f"{URL}/small"))
    assert (artifact.manifest.name, artifact.manifest.version) == ("small", 2)
    assert read_artifact(version_at(f"{URL}/small/1")).manifest.version == 1
    with pytest.raises(ArtifactError, match="has no version 7; it has 1, 2"):
        version_at(f"{URL}/small/7")


@pytest.mark.usefixtures("store")
def test_publishers_at_the_same_time_get_numbers_of_their_own() -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(publish_small())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [f"{URL}/small/{number}" for number in (1, 2, 3, 4)]
    for number in (1, 2, 3, 4):
        read_artifact(version_at(f"{URL}/small/{number}"))


def test_a_failed_publisher_leaves_nothing(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise StoreError("no more")

    monkeypatch.setattr(StorePublisher, "upload", fail)
    with pytest.raises(StoreError, match="no more"):
        publish_small()
    assert store.names() == []


@pytest.mark.reliability
@pytest.mark.usefixtures("store")
def test_killed_publishers_leave_nothing_that_is_served() -> None:
    done = set()
    for seconds in (0.01, 0.05, 0.1, 0.2):
        with subprocess.Popen(
            [sys.executable, "-c", _PUBLISHER],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        ) as publisher:
            assert publisher.stdout is not None
            done.add(publisher.stdout.readline().strip())
            time.sleep(seconds)
            publisher.send_signal(signal.SIGKILL)
            done |= set(publisher.stdout.read().split())
    whole = Store(URL).versions()["small"]
    assert {f"{URL}/small/{number}" for number in whole} >= done
    for number in whole:
        read_artifact(version_at(f"{URL}/small/{number}"))
    following = max(Store(URL).used_numbers("small")) + 1
    assert publish_small() == f"{URL}/small/{following}"


def test_what_was_abandoned_is_removed_a_day_later(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    abandoned = StorePublisher(URL, "small")
    assert abandoned.claim() == 1
    store.put("small/1/model.keras", b"half")
    publish_small()
    publish_small()
    assert "small/1/model.keras" in store.names(), "another publisher may still be at it"
    monkeypatch.setattr(publishing, "_ABANDONED", -publishing._ABANDONED)
    assert publish_small() == f"{URL}/small/4"
    assert not [key for key in store.names() if key.startswith("small/1/")]
    with pytest.raises(StoreError, match="was taken for abandoned"):
        abandoned.finish(1, b"{}")


@pytest.mark.usefixtures("store")
def test_a_number_that_exists_is_refused() -> None:
    publish_small()
    with pytest.raises(TakenError):
        Store(URL).create("small/1/manifest.json", b"{}")


@pytest.mark.usefixtures("store")
def test_places_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_place("file:///srv/models%20a") == Path("/srv/models a")
    assert parse_place("s3://bucket/models/") == "s3://bucket/models"
    assert parse_place("S3://bucket/Models") == "s3://bucket/Models"
    for bad in (
        "s3://key:secret@bucket/x",
        "s3://",
        "s3:///x",
        "s3://bucket/x?version=1",
        "file://other/x",
        "s3://b\n/x",
    ):
        with pytest.raises(ValueError, match=r"URL|bucket|machine|path|characters"):
            parse_place(bad)
    with pytest.raises(StoreError, match='Invalid bucket name "a bucket"'):
        check_anywhere("s3://a bucket/models", "small")
    with pytest.raises(StoreError, match="there is no such bucket"):
        check_anywhere("s3://nowhere-at-all/models", "small")
    with pytest.raises(StoreError, match="no-such-scheme://x/y: "):
        check_anywhere("no-such-scheme://x/y", "small")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StoreError, match="no credentials were found"):
        check_anywhere(URL, "small")


def test_a_version_of_the_same_number_and_sizes_is_copied_anew(store: LocalStore) -> None:
    publish_small()
    copied = version_at(f"{URL}/small/1")
    assert isinstance(copied, Path)
    other = (copied / "manifest.json").read_bytes().replace(b"2026-01-02", b"2027-01-02")
    store.put("small/1/manifest.json", other)
    assert version_at(f"{URL}/small/1") == copied
    assert (copied / "manifest.json").read_bytes() == other
    (copied / "model.keras").write_bytes(bytes(34_000))  # of its size
    read_artifact(Path(version_at(f"{URL}/small/1")))
    (copied / "users.npz").unlink()
    read_artifact(Path(version_at(f"{URL}/small/1")))
    assert [path.name for path in copied.parent.iterdir()] == ["1"]


def test_keys_that_only_look_like_versions_are_none(store: LocalStore) -> None:
    publish_small()
    for key in (
        "/small/9/manifest.json",
        "small//8/manifest.json",
        "small/07/manifest.json",
        "small/6/manifest.json/x",
    ):
        store.put(key, b"{}")
    for key in ("small/1/sub/deep", "small-2/5/manifest.json", "small", "small/1/", "small/4/"):
        store.put(key, b"")
    assert list(Store(URL).versions()["small"]) == [1]
    assert "" not in Store(URL).versions()["small"][1]
    assert Store(URL).used_numbers("small") == [1]
    assert publish_small() == f"{URL}/small/2"


def test_no_number_is_given_that_nobody_would_read(store: LocalStore) -> None:
    store.put(f"small/{10**18 - 1}/model.keras", b"")
    with pytest.raises(ArtifactError, match="no larger number can be that of a version"):
        check_anywhere(URL, "small")
    with pytest.raises(ArtifactError, match="no larger number can be that of a version"):
        publish_small()


def test_a_store_that_may_only_be_read_is_found_out_before_the_work(store: LocalStore) -> None:
    check_anywhere(URL, "small")
    assert store.names() == []
    with store.answering("PUT", 403, "AccessDenied"), pytest.raises(StoreError, match="refuses these credentials"):
        check_anywhere(URL, "small")


@pytest.mark.parametrize(
    ("methods", "status", "code", "said"),
    [
        ("GET", 503, "SlowDown", "the store is overloaded or in trouble: .*; try again later"),
        ("GET", 403, "SignatureDoesNotMatch", "the store refuses these credentials"),
        ("GET", 400, "AuthorizationHeaderMalformed", "the bucket is in another region: .*; set AWS_DEFAULT_REGION"),
        ("GET", 301, "PermanentRedirect", "the bucket is in another region: .*; set AWS_DEFAULT_REGION"),
    ],
)
def test_what_a_store_refuses_is_explained(store: LocalStore, methods: str, status: int, code: str, said: str) -> None:
    with store.answering(methods, status, code), pytest.raises(StoreError, match=f"^{URL}: {said}"):
        version_at(f"{URL}/small")


def test_a_bucket_elsewhere_of_a_store_that_does_not_say_where_is_explained(store: LocalStore) -> None:
    """In a process of its own: its library follows such a redirect without end, and leaves calls unfinished then."""
    with store.answering("GET HEAD", 301, "PermanentRedirect"):
        reader = subprocess.run(
            [sys.executable, "-c", _READER],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=60.0,
            check=False,
        )
    assert re.match(f"^{URL}: the bucket is in another region.*; set AWS_DEFAULT_REGION", reader.stdout), reader.stderr


def test_a_place_that_cannot_be_asked_is_not_an_empty_one() -> None:
    with pytest.raises(StoreError, match="the store cannot be reached"):
        version_at("http://127.0.0.1:1/models/small")


def test_a_store_that_breaks_off_is_not_asked_for_long(store: LocalStore) -> None:
    publish_small()
    with store.answering("GET", None) as asked, pytest.raises(StoreError, match="the store cannot be reached"):
        version_at(f"{URL}/small")
    assert 1 < len(asked) <= 8  # each may take as long as it takes to find out that nothing comes


@pytest.mark.usefixtures("store")
def test_a_cache_without_room_says_how_much_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    publish_small()
    monkeypatch.setattr(fetching, "_SPARE_BYTES", 10**18)
    with pytest.raises(StoreError, match=r"small/1 needs [0-9,]+ bytes, and 1,0{3}(,0{3})+ are left to others; in "):
        version_at(f"{URL}/small/1")


@pytest.mark.usefixtures("store")
def test_a_version_larger_than_allowed_is_not_copied(tmp_path: Path) -> None:
    from rankserve_training.artifact.storage.fetching import fetch_version

    publish_small()
    opened = Store(URL)
    with pytest.raises(ArtifactError, match="more than the 10 that are allowed"):
        fetch_version(opened, opened.versions()["small"][1], tmp_path / "small" / "1", largest=10)
    assert list((tmp_path / "small").iterdir()) == []
