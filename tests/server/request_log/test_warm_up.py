"""What a version is asked before it serves, within which bounds."""

import json
from pathlib import Path
from typing import Any

import pytest

from rankserve_server.limits import Limits
from rankserve_server.loaded_model import LoadedModel
from rankserve_server.request_log.warm_up import WarmUp
from server.fake_engine import FakeEngine
from server.small_model import small_model


class StoppedError(Exception):
    """As of a server that is told to stop meanwhile."""


@pytest.fixture
def model() -> LoadedModel:
    return small_model()


def written(path: Path, *requests: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps({"request": request}) + "\n" for request in requests))
    return path


def batches(model: LoadedModel) -> int:
    assert isinstance(model.engine, FakeEngine)
    return len(model.engine.batches)


def test_no_more_requests_are_asked_than_may_be(model: LoadedModel, tmp_path: Path) -> None:
    log = written(tmp_path / "log", *[{"user_id": 2, "candidate_ids": [1, 4]}] * 9)
    WarmUp(log, Limits(), most_requests=5, most_seconds=60).replay(model, lambda: None)
    assert batches(model) == 5


def test_no_more_time_is_taken_than_may_be(model: LoadedModel, tmp_path: Path) -> None:
    log = written(tmp_path / "log", *[{"user_id": 2, "candidate_ids": [1, 4]}] * 9)
    WarmUp(log, Limits(), most_requests=5, most_seconds=0).replay(model, lambda: None)
    assert batches(model) == 0


def test_requests_of_other_models_are_left_out(model: LoadedModel, tmp_path: Path) -> None:
    asked = [{"user_id": 2, "top_k": 3, "model": {"name": name}} for name in ("small", "large", "small")]
    WarmUp(written(tmp_path / "log", *asked), Limits(), 5, 60).replay(model, lambda: None)
    assert batches(model) == 2


def test_what_the_version_cannot_answer_is_counted(
    model: LoadedModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    rejected = {"user_id": 77, "candidate_ids": [1], "unknown_user": "UNKNOWN_USER_REJECT"}
    log = written(tmp_path / "log", rejected, {"user_id": 2, "candidate_ids": [1]})
    WarmUp(log, Limits(), 5, 60).replay(model, lambda: None)
    assert "small/3 answered 1 requests of" in caplog.text
    assert "1 others it cannot answer, and 0 lines are no requests." in caplog.text


def test_a_log_that_cannot_be_read_is_no_reason_not_to_serve(
    model: LoadedModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    WarmUp(tmp_path / "nothing", Limits(), 5, 60).replay(model, lambda: None)
    assert caplog.messages == [f"small/3 is not warmed up: {tmp_path / 'nothing'}: No such file or directory."]


def test_a_server_that_stops_does_not_wait_for_it(model: LoadedModel, tmp_path: Path) -> None:
    log = written(tmp_path / "log", *[{"user_id": 2, "candidate_ids": [1, 4]}] * 9)

    def stop() -> None:
        raise StoppedError

    with pytest.raises(StoppedError):
        WarmUp(log, Limits(), 5, 60).replay(model, stop)
    assert batches(model) == 1
