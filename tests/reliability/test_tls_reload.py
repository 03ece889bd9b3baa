"""Certificates are renewed under load, and no call notices."""

import logging
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest

from rankserve_client import RankingClient, RankQuery, Tls, Unavailable
from rankserve_server.config import ServerConfig, TransportName
from rankserve_server.security.security_config import SecurityConfig
from reliability.certificates import Authority
from reliability.threaded_server import threaded_server

SECONDS = 20


@dataclass
class Served:
    """A server with TLS, and what its certificates are made of."""

    address: str
    authority: Authority
    directory: Path

    def shown(self) -> str:
        """The certificate that a new connection is shown, PEM."""
        host, _, port = self.address.rpartition(":")
        return ssl.get_server_certificate((host, int(port)), timeout=SECONDS)

    def renew(self) -> str:
        """Replaces the files, and returns the new certificate."""
        pair = self.authority.pair("renewed")
        pair.write(self.directory, "server")
        return pair.certificate.decode()


@pytest.fixture(params=["aio", "direct"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    authority = Authority()
    cert, key = authority.pair().write(tmp_path, "server")
    authority.write(tmp_path)
    config = ServerConfig(transport=request.param, security=SecurityConfig(cert, key))
    with threaded_server(config, tmp_path / "models") as address:
        yield Served(address, authority, tmp_path)


@dataclass
class Load:
    """Calls without end, on connections that stay and on new ones."""

    answers: int = 0
    failures: list[BaseException] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def keep_calling(self, connect: Callable[[], RankingClient]) -> None:
        self._until_over(connect, calls=1_000_000)

    def keep_connecting(self, connect: Callable[[], RankingClient]) -> None:
        self._until_over(connect, calls=2)

    def _until_over(self, connect: Callable[[], RankingClient], calls: int) -> None:
        try:
            while not self.over.is_set():
                with connect() as client:
                    for _ in range(calls):
                        if self.over.is_set():
                            return
                        assert client.rank(2, [1, 4]).item_ids
                        self.answers += 1
        except BaseException as error:  # told by the test's own thread
            self.failures.append(error)


@contextmanager
def load_on(served: Served) -> Iterator[Load]:
    load = Load()

    def connect() -> RankingClient:
        return RankingClient(served.address, tls=Tls(served.directory / "ca.crt"), retry=None, timeout=SECONDS)

    threads = [threading.Thread(target=call, args=(connect,)) for call in (load.keep_calling, load.keep_connecting) * 2]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.over.set()
        for thread in threads:
            thread.join(SECONDS)


def wait_for_answers(load: Load, more: int = 50) -> None:
    until, deadline = load.answers + more, time.monotonic() + SECONDS
    while load.answers < until and not load.failures:
        assert time.monotonic() < deadline, "nobody gets answers"
        time.sleep(0.01)


def test_renewed_certificates_are_shown_and_no_call_fails(served: Served) -> None:
    shown = {served.shown()}
    with load_on(served) as load:
        for _ in range(3):
            wait_for_answers(load)
            renewed = served.renew()
            assert served.shown() == renewed
            shown.add(renewed)
        wait_for_answers(load)
    assert not load.failures
    assert len(shown) == 4


@pytest.mark.parametrize("broken", ["half written", "of another key", "gone"])
def test_files_that_cannot_be_used_leave_the_old_ones_and_are_told_once(
    served: Served, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    before, key = served.shown(), served.directory / "server.key"
    good, other = served.authority.pair("renewed"), served.authority.pair("other")
    with load_on(served) as load:
        wait_for_answers(load)
        if broken == "gone":
            key.unlink()
        else:
            # In one step: a file that is written may be looked at twice, while it is empty and after that.
            scratch = key.with_suffix(".new")
            scratch.write_bytes(good.key[:40] if broken == "half written" else other.key)
            scratch.rename(key)
        for _ in range(3):
            assert served.shown() == before
        wait_for_answers(load)
        (told,) = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
        assert str(key) in told
        assert "What was read before stays in use" in told
        assert served.renew() == served.shown()
        wait_for_answers(load)
    assert not load.failures


def test_a_stream_that_is_open_goes_on_with_the_certificate_that_it_was_shown(served: Served) -> None:
    turns = threading.Semaphore(1)

    def queries() -> Iterator[RankQuery]:
        for _ in range(3):
            assert turns.acquire(timeout=SECONDS)
            yield RankQuery(2, [1, 4])

    with RankingClient(served.address, tls=Tls(served.directory / "ca.crt"), timeout=SECONDS) as client:
        answers = client.rank_stream(queries())
        next(answers)
        other = Authority("another")  # of which this client knows nothing: a new connection of its would fail
        other.pair("renewed").write(served.directory, "server")
        assert "CERTIFICATE" in served.shown()
        with (
            pytest.raises(Unavailable),
            RankingClient(served.address, tls=Tls(served.directory / "ca.crt"), retry=None, timeout=1) as late,
        ):
            late.rank(2, [1, 4])
        for _ in range(2):
            turns.release()
            next(answers)
        assert list(answers) == []


@pytest.mark.parametrize("transport", ["aio", "direct"])
def test_who_signs_for_clients_can_change(transport: TransportName, tmp_path: Path) -> None:
    """Those who come then need the new one; who is there stays."""
    authority, successor = Authority(), Authority("successor")
    cert, key = authority.pair().write(tmp_path, "server")
    known_by = authority.write(tmp_path, "known_by")
    security = SecurityConfig(cert, key, tls_client_ca=authority.write(tmp_path, "clients"))

    def client_of(signer: Authority, name: str) -> RankingClient:
        tls = Tls(known_by, *signer.pair(name).write(tmp_path, name))
        return RankingClient(address, tls=tls, retry=None, timeout=SECONDS)

    config = ServerConfig(transport=transport, security=security)
    with threaded_server(config, tmp_path / "models") as address, client_of(authority, "first") as first:
        assert first.rank(2, [1, 4]).item_ids
        with client_of(successor, "early") as early, pytest.raises(Unavailable):
            early.rank(2, [1, 4])
        successor.write(tmp_path, "clients")
        with client_of(successor, "second") as second:
            assert second.rank(2, [1, 4]).item_ids
        with client_of(authority, "late") as late, pytest.raises(Unavailable):
            late.rank(2, [1, 4])
        assert first.rank(2, [1, 4]).item_ids


def test_clients_that_do_not_know_the_authority_are_refused(served: Served) -> None:
    credentials = Authority.other().channel_credentials()
    with grpc.secure_channel(served.address, credentials) as channel, pytest.raises(grpc.FutureTimeoutError):
        grpc.channel_ready_future(channel).result(timeout=1)
