"""Real server processes with TLS and tokens: several workers, the command's clients, and what stderr says."""

import logging
import os
import re
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import product
from pathlib import Path
from typing import Final

import grpc
import pytest

from conftest import StartServer
from integration.server_process import RANKSERVE, ServerProcess
from integration.test_start_failures import assert_one_line
from integration.versions import copy_version
from rankserve.v1 import models_pb2, models_pb2_grpc, ranking_pb2, ranking_pb2_grpc
from rankserve_client import RankingClient, RankServeError, Tls, Unauthenticated
from rankserve_server.config import ServerConfig, TransportName
from rankserve_server.security.security_config import SecurityConfig
from reliability.certificates import Authority
from reliability.test_authorisation import SECRETS, write_tokens
from reliability.test_worker_kill import is_listening, workers_of
from reliability.threaded_server import threaded_server
from server.two_towers import Published

# Ids and a token that stand for those of people: none of them may be in a log.
USER, CANDIDATE, TOKEN = 7_310_000_000_001, 7_310_000_000_002, "rankserve_not_for_any_log"
PERSONAL = re.compile(rf"{USER}|{CANDIDATE}|{TOKEN}|" + "|".join(map(re.escape, SECRETS.values())))
TRANSPORTS: Final = ("aio", "direct")
# The kernel gives each to one of two workers: that one of them gets none happens in one run of 65,536.
CONNECTIONS = 17
UNTIL_TOKENS_COUNT = 1.2
REFUSALS: Final = {
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
}
# A client rounds it up to a whole millisecond, in which most refusals still come back: one of forty calls ends by it.
SHORT_SECONDS: Final = 0.0001
LONGEST_SECONDS: Final = 30.0


def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([RANKSERVE, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_every_worker_follows_certificates_and_tokens(start_server: StartServer, tmp_path: Path) -> None:
    """Those that were there, and one that the supervisor starts in the place of one that was killed."""
    authority, tokens = Authority(), tmp_path / "tokens.toml"
    cert, key = authority.pair().write(tmp_path, "server")
    ca, shop = authority.write(tmp_path), make_token("shop", tokens)
    token_file = tmp_path / "token"
    token_file.write_text(shop, encoding="utf-8")
    flags = ("--tls-cert", str(cert), "--tls-key", str(key), "--tokens-file", str(tokens), "--workers", "2")
    server = start_server(*flags).wait_until_ready()

    def outcomes(secret: str) -> set[str]:
        """What those are told who come now, on so many connections that each worker has some."""
        told = set()
        for _ in range(CONNECTIONS):
            with RankingClient(server.address, tls=Tls(ca), retry=None, token=secret) as client:
                try:
                    client.rank(1, [2, 3])
                    told.add("answered")
                except RankServeError as error:
                    told.add(type(error).__name__)
        return told

    with ExitStack() as stack:  # connections that were there from the beginning
        steady = [
            stack.enter_context(RankingClient(server.address, tls=Tls(ca), retry=None, token=shop))
            for _ in range(CONNECTIONS)
        ]
        for client in steady:
            client.rank(1, [2, 3])
        assert shown_by(server) == {cert.read_text(encoding="utf-8")}
        assert (outcomes(shop), outcomes(TOKEN)) == ({"answered"}, {"Unauthenticated"})
        listed = command("models", "--server", server.address, "--tls-ca", str(ca), "--token-file", str(token_file))
        assert (listed.returncode, listed.stderr) == (0, "")

        renewed = authority.pair("renewed")
        renewed.write(tmp_path, "server")
        assert shown_by(server) == {renewed.certificate.decode()}
        key.write_bytes(renewed.key[:40])
        assert shown_by(server) == {renewed.certificate.decode()}
        assert server.errors.count("What was read before stays in use") == 2, "each worker once"
        key.write_bytes(renewed.key)

        cart = make_token("cart", tokens)
        time.sleep(UNTIL_TOKENS_COUNT)
        assert (outcomes(shop), outcomes(cart)) == ({"answered"}, {"answered"})
        for client in steady:
            client.rank(1, [2, 3])
        content = tokens.read_text(encoding="utf-8")
        tokens.write_text(content[content.rindex("[[token]]") :], encoding="utf-8")
        time.sleep(UNTIL_TOKENS_COUNT)
        assert (outcomes(shop), outcomes(cart)) == ({"Unauthenticated"}, {"answered"})
        for client in steady:
            with pytest.raises(Unauthenticated):
                client.rank(1, [2, 3])

    os.kill(workers_of(server)[0], signal.SIGKILL)
    wait_until(lambda: "ended with -9" in server.errors)
    wait_until(lambda: [is_listening(worker) for worker in workers_of(server)] == [True, True])
    assert shown_by(server) == {renewed.certificate.decode()}
    assert (outcomes(shop), outcomes(cart)) == ({"Unauthenticated"}, {"answered"})
    ended = server.stop()
    assert (ended.code, ended.output) == (0, "")
    assert not PERSONAL.search(ended.errors)
    assert shop not in ended.errors
    assert cart not in ended.errors


def wait_until(true: "Callable[[], bool]") -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def make_token(name: str, tokens: Path) -> str:
    """By the command; gives the secret."""
    return command("token", name, "--tokens-file", str(tokens)).stdout.strip()


def shown_by(server: ServerProcess) -> set[str]:
    """The certificates that new connections are shown, PEM."""
    host, _, port = server.address.rpartition(":")
    return {ssl.get_server_certificate((host, int(port)), timeout=10) for _ in range(CONNECTIONS)}


def test_nothing_personal_is_on_stderr(start_server: StartServer, tmp_path: Path) -> None:
    """Whatever goes wrong: it has neither ids, nor tokens, nor where callers are; nor from gRPC's core."""
    authority = Authority()
    server = start_server(*flags_of(security_of(authority, tmp_path)), "--transport", "direct").wait_until_ready()
    provoke(server.address, authority)
    ended = server.stop()
    assert ended.code == 0
    assert not PERSONAL.search(ended.errors), ended.errors
    assert not re.search(r"(ipv4|ipv6):|127\.0\.0\.1:(?!" + server.address.rpartition(":")[2] + ")", ended.errors)
    assert "Traceback" not in ended.errors


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_nothing_personal_is_logged(tmp_path: Path, transport: TransportName, caplog: pytest.LogCaptureFixture) -> None:
    """The same of what Python logs, down to what is not shown by default."""
    authority = Authority()
    config = ServerConfig(transport=transport, security=security_of(authority, tmp_path))
    with caplog.at_level(logging.DEBUG), threaded_server(config, tmp_path / "models") as address:
        provoke(address, authority)
    assert not PERSONAL.search(caplog.text), caplog.text
    assert not re.search(r"(ipv4|ipv6):", caplog.text), caplog.text


def security_of(authority: Authority, directory: Path) -> SecurityConfig:
    cert, key = authority.pair().write(directory, "server")
    return SecurityConfig(cert, key, authority.write(directory), write_tokens(directory / "tokens.toml"))


def flags_of(security: SecurityConfig) -> list[str]:
    names = ("tls_cert", "tls_key", "tls_client_ca", "tokens_file")
    return [part for name in names for part in (f"--{name.replace('_', '-')}", str(getattr(security, name)))]


def provoke(address: str, authority: Authority) -> None:
    """Comes in plaintext, without a certificate, with one of somebody else, and then with all that is refused."""
    request = ranking_pb2.RankRequest(user_id=USER, candidate_ids=[CANDIDATE])
    for credentials in (None, authority.channel_credentials(), Authority.other().channel_credentials()):
        opened = grpc.secure_channel(address, credentials) if credentials else grpc.insecure_channel(address)
        with opened as channel, pytest.raises(grpc.RpcError):
            ranking_pb2_grpc.RankingServiceStub(channel).Rank(request, timeout=5)
    with grpc.secure_channel(address, authority.channel_credentials(authority.pair("client"))) as channel:
        assert _go_wrong(channel) >= REFUSALS


def _of_bytes(channel: grpc.Channel, method: str) -> "grpc.UnaryUnaryMultiCallable[bytes, bytes]":
    return channel.unary_unary(method)


def _go_wrong(channel: grpc.Channel) -> set[grpc.StatusCode]:
    """Every refusal that a caller can provoke, with ids that can be found again; gives how they ended."""
    ranking, models = ranking_pb2_grpc.RankingServiceStub(channel), models_pb2_grpc.ModelServiceStub(channel)
    request = ranking_pb2.RankRequest
    wrong = [
        request(user_id=USER),
        request(user_id=USER, candidate_ids=[CANDIDATE], unknown_user=ranking_pb2.UNKNOWN_USER_REJECT),
        request(user_id=USER, candidate_ids=[CANDIDATE], unknown_items=ranking_pb2.UNKNOWN_ITEMS_REJECT),
        request(user_id=USER, candidate_ids=[CANDIDATE] * 20_000),
        request(user_id=USER, candidate_ids=[CANDIDATE], model=ranking_pb2.ModelSelector(name="other")),
        request(user_id=USER, candidate_ids=[CANDIDATE], order=9),  # type: ignore[arg-type]  # no such value, on purpose
        request(
            user_id=USER, candidate_ids=[CANDIDATE], history=ranking_pb2.History(item_ids=[CANDIDATE], ratings=[1])
        ),
    ]
    calls: list[Callable[..., object]] = [
        *(partial(ranking.Rank, each) for each in wrong),
        partial(ranking.BatchRank, ranking_pb2.BatchRankRequest(requests=wrong)),
        lambda **options: list(ranking.RankStream(iter(wrong), **options)),
        partial(models.GetModel, models_pb2.GetModelRequest(model=ranking_pb2.ModelSelector(name=f"m{USER}"))),
        partial(_of_bytes(channel, "/rankserve.v1.RankingService/Rank"), b"\xff" * 9),
        partial(_of_bytes(channel, f"/other/M{CANDIDATE}"), b""),
    ]
    codes = set()
    for secret in (None, TOKEN, *SECRETS.values()):
        metadata = (("x-user", str(USER)), *(() if secret is None else (("authorization", f"Bearer {secret}"),)))
        codes |= {_code_of(call, timeout, metadata) for call, timeout in product(calls, (5, SHORT_SECONDS))}
    until = time.monotonic() + LONGEST_SECONDS
    while grpc.StatusCode.DEADLINE_EXCEEDED not in codes and time.monotonic() < until:
        codes.add(_code_of(calls[0], SHORT_SECONDS, metadata))
    return codes


def _code_of(call: Callable[..., object], timeout: float, metadata: tuple[tuple[str, str], ...]) -> grpc.StatusCode:
    try:
        call(timeout=timeout, metadata=metadata)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK  # a stream or a batch answers with refusals


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_is_wrong_with_files_is_one_line(start_server: StartServer, tmp_path: Path, workers: str) -> None:
    authority = Authority()
    cert, _ = authority.pair().write(tmp_path, "one")
    _, key = authority.pair().write(tmp_path, "two")
    flags = ("--workers", workers, "--tls-cert", str(cert))
    assert_one_line(start_server(*flags).wait(), "--tls-cert and --tls-key belong together")
    assert_one_line(start_server(*flags, "--tls-key", str(key)).wait(), f"{key} is not the key of the certificate")
    assert_one_line(start_server("--tokens-file", str(tmp_path / "none")).wait(), "none cannot be read: No such file")


def test_an_admin_address_that_is_taken(start_server: StartServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        ended = start_server("--admin-address", address).wait()
    assert_one_line(ended, f"cannot listen on --admin-address {address}")


def test_only_trusted_versions_are_served(start_server: StartServer, published: Published, tmp_path: Path) -> None:
    """The newest that is signed, and byte for byte what was signed."""
    private, public = _signing_keys(tmp_path)
    good, changed, other_file, _ = (
        copy_version(published.directory, tmp_path / "models", "towers", number) for number in (1, 2, 3, 4)
    )
    for version in (good, changed, other_file):
        manifest, signature = version / "manifest.json", version / "manifest.json.sig"
        _openssl("pkeyutl", "-sign", "-inkey", str(private), "-rawin", "-in", str(manifest), "-out", str(signature))
    (changed / "manifest.json").write_bytes((changed / "manifest.json").read_bytes() + b"\n")
    (other_file / "model.keras").write_bytes((other_file / "model.keras").read_bytes()[::-1])
    server = start_server("--trusted-key", str(public), models=tmp_path / "models").wait_until_ready()
    assert server.served.startswith("towers/1 ")
    ended = server.stop()
    assert ended.code == 0
    reasons = {
        4: "is not signed, and only signed versions are trusted",
        3: "model.keras does not have the SHA-256 of its manifest",
        2: "manifest.json.sig is not the signature of manifest.json by a trusted key",
    }
    for number, reason in reasons.items():
        assert re.search(rf"towers/{number} cannot be served: .*{reason}", ended.errors)


def _signing_keys(directory: Path) -> tuple[Path, Path]:
    private, public = directory / "private.pem", directory / "public.pem"
    _openssl("genpkey", "-algorithm", "ed25519", "-out", str(private))
    _openssl("pkey", "-in", str(private), "-pubout", "-out", str(public))
    return private, public


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)
