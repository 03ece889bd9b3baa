"""The file of tokens is changed under load: what it says counts a second later, and only for calls that begin then."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest

from rankserve.v1 import ranking_pb2, ranking_pb2_grpc
from rankserve_server.config import ServerConfig
from rankserve_server.security import tokens
from rankserve_server.security.scopes import Scope
from rankserve_server.security.security_config import SecurityConfig
from rankserve_server.security.tokens import Token, digest_of
from reliability.test_authorisation import TRANSPORTS, call
from reliability.threaded_server import threaded_server

RANK = "/rankserve.v1.RankingService/Rank"
ADMIN = "/rankserve.v1.ModelService/NoSuchMethod"
OK = grpc.StatusCode.INVALID_ARGUMENT  # what Rank says of an empty message; no gate says so
REFUSED, DENIED = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED
SOON = 10.0
# Instead of a second.
LOOK_SECONDS = 0.2


class Served:
    """A server with a file of tokens."""

    def __init__(self, channel: grpc.Channel, path: Path) -> None:
        self.channel = channel
        self.path = path

    def write(self, *entries: Token) -> None:
        self.write_text("\n".join(entry.encode() for entry in entries))

    def write_text(self, content: str) -> None:
        """As an editor does it: a new file in the place of the old one, which nobody reads half written."""
        scratch = self.path.with_suffix(".new")
        scratch.write_text(content, encoding="utf-8")
        scratch.replace(self.path)

    def outcome(self, name: str, method: str = RANK) -> grpc.StatusCode:
        return call(self.channel, method, secret_of(name))

    def wait_for(self, name: str, outcome: grpc.StatusCode, method: str = RANK) -> None:
        wait_until(lambda: self.outcome(name, method) is outcome)


def secret_of(name: str) -> str:
    return f"secret-of-{name}"


def token(name: str, scope: Scope = Scope.RANK, expires: datetime | None = None) -> Token:
    return Token(name, digest_of(secret_of(name)), [scope], expires)


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(params=TRANSPORTS)
def served(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(tokens, "_LOOK_SECONDS", LOOK_SECONDS)
    path = tmp_path / "tokens.toml"
    path.write_text(token("steady").encode() + token("old").encode(), encoding="utf-8")
    config = ServerConfig(transport=request.param, security=SecurityConfig(tokens_file=path))
    with threaded_server(config, tmp_path / "models") as address, grpc.insecure_channel(address) as channel:
        yield Served(channel, path)


@contextmanager
def steady_calls(served: Served) -> Iterator[None]:
    """Calls with a token that stays; each must be let in."""
    over, outcomes = threading.Event(), list[grpc.StatusCode]()

    def call_on() -> None:
        while not over.is_set():
            outcomes.append(served.outcome("steady"))

    thread = threading.Thread(target=call_on)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(SOON)
    assert len(outcomes) > 20
    assert set(outcomes) == {OK}


def test_tokens_come_go_and_change(served: Served) -> None:
    with steady_calls(served):
        assert [served.outcome(name) for name in ("old", "new", "short")] == [OK, REFUSED, REFUSED]
        soon = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=3)  # as the file has it
        served.write(token("steady"), token("new", Scope.ADMIN), token("short", expires=soon))
        served.wait_for("new", OK)
        assert served.outcome("new", ADMIN) is grpc.StatusCode.UNIMPLEMENTED
        assert served.outcome("old") is REFUSED
        assert served.outcome("short") is OK or datetime.now(UTC) > soon  # on a machine that is busy
        served.write(token("steady"), token("new"), token("short", expires=soon))
        served.wait_for("new", DENIED, ADMIN)
        served.wait_for("short", REFUSED)  # nobody has touched the file
        assert datetime.now(UTC) >= soon
        assert served.outcome("new") is OK


@pytest.mark.parametrize("broken", [secret_of("old"), None], ids=["the token itself", "gone"])
def test_a_broken_file_changes_nothing_and_is_told_once(
    served: Served, broken: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    def told() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]

    with steady_calls(served):
        if broken is None:
            served.path.unlink()
        else:
            served.write_text(broken)
        wait_until(lambda: bool(told()))
        time.sleep(2 * LOOK_SECONDS)  # it is looked at once more
        assert (served.outcome("old"), served.outcome("wrong")) == (OK, REFUSED)
        (message,) = told()
        assert message.startswith(f"What was read before stays in use: {served.path} ")
        assert secret_of("old") not in caplog.text
        served.write(token("steady"))
        served.wait_for("old", REFUSED)


def test_an_open_stream_goes_on_when_its_token_is_gone(served: Served) -> None:
    """As SECURITY.md says."""
    ranking, ended = ranking_pb2_grpc.RankingServiceStub(served.channel), threading.Event()
    turns = threading.Semaphore(0)

    def requests() -> Iterator[ranking_pb2.RankRequest]:
        while turns.acquire(timeout=SOON) and not ended.is_set():
            yield ranking_pb2.RankRequest(user_id=2, candidate_ids=[1, 4])

    stream = ranking.RankStream(
        requests(), metadata=(("authorization", f"Bearer {secret_of('old')}"),), timeout=3 * SOON
    )
    turns.release()
    next(stream)
    served.write(token("steady"))
    served.wait_for("old", REFUSED)
    turns.release()
    assert next(stream).item_ids
    ended.set()
    turns.release()
    assert not list(stream)
