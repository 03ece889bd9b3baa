"""Real server processes with TLS and tokens: several workers, the command's clients, and what stderr says."""

import re
import subprocess
from contextlib import suppress
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from conftest import StartServer
from integration.server_process import RANKSERVE, ServerProcess
from integration.test_start_failures import assert_one_line
from integration.versions import copy_version
from rankserve.v1 import models_pb2, models_pb2_grpc, ranking_pb2, ranking_pb2_grpc
from rankserve_client import PermissionDenied, RankingClient, Tls, Unauthenticated
from reliability.certificates import Authority
from reliability.test_authorisation import SECRETS, write_tokens

if TYPE_CHECKING:
    from collections.abc import Callable

# Ids and a token that stand for those of people: none of them may be in a log.
USER, CANDIDATE, TOKEN = 7_310_000_000_001, 7_310_000_000_002, "rankserve_not_for_any_log"
PERSONAL = re.compile(rf"{USER}|{CANDIDATE}|{TOKEN}|" + "|".join(map(re.escape, SECRETS.values())))
TRANSPORTS = ("aio", "direct")


def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([RANKSERVE, *arguments], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_workers_share_certificates_and_tokens(start_server: StartServer, tmp_path: Path, transport: str) -> None:
    authority, tokens = Authority(), tmp_path / "tokens.toml"
    cert, key = authority.pair().write(tmp_path, "server")
    ca, made = authority.write(tmp_path), command("token", "shop", "--tokens-file", str(tokens))
    secret = made.stdout.strip()
    token_file = tmp_path / "token"
    token_file.write_text(secret, encoding="utf-8")
    flags = ("--tls-cert", str(cert), "--tls-key", str(key), "--tokens-file", str(tokens))
    server = start_server(*flags, "--workers", "2", "--transport", transport).wait_until_ready()

    def rank(**options: object) -> None:
        for _ in range(6):  # a connection each, so that each worker is met
            with RankingClient(server.address, tls=Tls(ca), retry=None, **options) as client:  # type: ignore[arg-type]  # of these
                client.rank(1, [2, 3])

    rank(token=secret)
    with pytest.raises(Unauthenticated):
        rank(token=TOKEN)
    listed = command("models", "--server", server.address, "--tls-ca", str(ca), "--token-file", str(token_file))
    assert (listed.returncode, listed.stderr) == (0, "")
    renewed = authority.pair("renewed")
    renewed.write(tmp_path, "server")
    rank(token=secret)
    ended = server.stop()
    assert (ended.code, ended.output) == (0, "")
    assert not PERSONAL.search(ended.errors)
    assert secret not in ended.errors


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_nothing_personal_is_logged(
    start_server: StartServer, models_dir: Path, tmp_path: Path, transport: str
) -> None:
    """Whatever goes wrong: stderr has neither ids, nor tokens, nor where callers are."""
    authority, models = Authority(), tmp_path / "models"
    copy_version(models_dir / "movielens" / "1", models, "movielens", 1)
    cert, key = authority.pair().write(tmp_path, "server")
    flags = ("--tls-cert", str(cert), "--tls-key", str(key), "--tls-client-ca", str(authority.write(tmp_path)))
    tokens = ("--tokens-file", str(write_tokens(tmp_path / "tokens.toml")))
    server = start_server(*flags, *tokens, "--transport", transport, models=models).wait_until_ready()
    for credentials in (authority.channel_credentials(), Authority.other().channel_credentials()):
        with grpc.secure_channel(server.address, credentials) as channel, pytest.raises(grpc.RpcError):
            ranking_pb2_grpc.RankingServiceStub(channel).Rank(ranking_pb2.RankRequest(user_id=USER), timeout=5)
    with grpc.insecure_channel(server.address) as channel, pytest.raises(grpc.RpcError):
        ranking_pb2_grpc.RankingServiceStub(channel).Rank(ranking_pb2.RankRequest(user_id=USER), timeout=5)
    with grpc.secure_channel(server.address, authority.channel_credentials(authority.pair("client"))) as channel:
        _go_wrong(channel)
    ended = server.stop()
    assert ended.code == 0
    assert not PERSONAL.search(ended.errors), ended.errors
    assert not re.search(r"(ipv4|ipv6):|127\.0\.0\.1:(?!" + server.address.rpartition(":")[2] + ")", ended.errors)
    assert "Traceback" not in ended.errors


def _of_bytes(channel: grpc.Channel, method: str) -> "grpc.UnaryUnaryMultiCallable[bytes, bytes]":
    return channel.unary_unary(method)


def _go_wrong(channel: grpc.Channel) -> None:
    """Every refusal that a caller can provoke, with ids that can be found again."""
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
    for secret in (None, TOKEN, *SECRETS.values()):
        metadata = () if secret is None else (("authorization", f"Bearer {secret}"),)
        for call, timeout in product(calls, (5, 0.0001)):
            with suppress(grpc.RpcError):  # a stream or a batch answers with refusals
                call(timeout=timeout, metadata=metadata)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_is_wrong_with_files_is_one_line(start_server: StartServer, tmp_path: Path, workers: str) -> None:
    authority = Authority()
    cert, _ = authority.pair().write(tmp_path, "one")
    _, key = authority.pair().write(tmp_path, "two")
    flags = ("--workers", workers, "--tls-cert", str(cert))
    assert_one_line(start_server(*flags).wait(), "--tls-cert and --tls-key belong together")
    assert_one_line(start_server(*flags, "--tls-key", str(key)).wait(), f"{key} is not the key of the certificate")
    assert_one_line(start_server("--tokens-file", str(tmp_path / "none")).wait(), "none cannot be read: No such file")


def test_an_admin_address_that_is_taken(start_server: StartServer, server: ServerProcess) -> None:
    assert_one_line(
        start_server("--admin-address", server.address).wait(), f"cannot listen on --admin-address {server.address}"
    )


def test_only_trusted_versions_are_served(start_server: StartServer, models_dir: Path, tmp_path: Path) -> None:
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    _openssl("genpkey", "-algorithm", "ed25519", "-out", str(private))
    _openssl("pkey", "-in", str(private), "-pubout", "-out", str(public))
    unsigned = start_server("--trusted-key", str(public)).wait()
    assert_one_line(unsigned, "no version of model 'movielens' can be served", "is not signed")
    version = copy_version(models_dir / "movielens" / "1", tmp_path / "models", "movielens", 1)
    manifest, signature = version / "manifest.json", version / "manifest.json.sig"
    _openssl("pkeyutl", "-sign", "-inkey", str(private), "-rawin", "-in", str(manifest), "-out", str(signature))
    signed = start_server("--trusted-key", str(public), models=tmp_path / "models").wait_until_ready()
    assert signed.stop().code == 0


def test_a_scope_that_is_too_small_is_told(start_server: StartServer, tmp_path: Path) -> None:
    tokens = write_tokens(tmp_path / "tokens.toml")
    server = start_server("--tokens-file", str(tokens)).wait_until_ready()
    with RankingClient(server.address, token=SECRETS["rank"]) as client:
        assert client.models()
    with grpc.insecure_channel(server.address) as channel:
        admin = _of_bytes(channel, "/rankserve.v1.ModelService/NoSuchMethod")
        with pytest.raises(grpc.RpcError) as caught:
            admin(b"", metadata=(("authorization", f"Bearer {SECRETS['rank']}"),), timeout=10)
    assert isinstance(caught.value, grpc.Call)
    assert caught.value.details() == "the token 'rank' lacks the scope 'admin'"
    assert PermissionDenied.__mro__  # what the clients raise then


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)
