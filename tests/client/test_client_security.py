"""TLS and tokens of both clients and of the command, against a server that has them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from client.any_client import AnyClient, Kind
from client.command import run
from client.conftest import Connect
from client.scripted_server import ScriptedServer
from client.test_client_messages import full_model
from rankserve_client import HandshakeFailed, RankingClient, Tls, Unavailable
from reliability.certificates import Authority

ELSEWHERE = "192.0.2.1:50051"
SECRET = "rankserve_secret"
# Of a connection that cannot be made, by what is wrong with it.
SAID = {
    "no certificate": "does it expect TLS, or a certificate of its clients",
    "another authority": "is not trusted: give the authority that has signed it",
    "those of the system": "is not trusted: give the authority that has signed it",
    "plaintext": "does it expect TLS, or a certificate of its clients",
}


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def secured(authority: Authority) -> Iterator[ScriptedServer]:
    """Asks for a certificate of its clients."""
    pair = authority.pair()
    credentials = grpc.ssl_server_credentials(
        [(pair.key, pair.certificate)], authority.certificate, require_client_auth=True
    )
    with ScriptedServer(credentials=credentials, models=[full_model()]) as server:
        yield server


@pytest.fixture
def tls(authority: Authority, tmp_path: Path) -> Tls:
    cert, key = authority.pair("client").write(tmp_path, "client")
    return Tls(authority.write(tmp_path), cert, key)


async def test_both_sides_know_each_other(connect: Connect, secured: ScriptedServer, tls: Tls) -> None:
    client = connect(secured.target, tls=tls, token=SECRET)
    assert list((await client.rank(1, [2])).item_ids) == [2]
    assert len(await client.rank_batch([])) == 0
    assert len(await client.rank_stream([])) == 0
    assert await client.models()
    assert {metadata["authorization"] for metadata in secured.metadata} == {f"Bearer {SECRET}"}


async def test_the_name_of_the_server_is_checked(connect: Connect, secured: ScriptedServer, tls: Tls) -> None:
    names = {name: Tls(tls.ca_file, tls.cert_file, tls.key_file, name) for name in ("localhost", "other.example")}
    assert list((await connect(secured.target, tls=names["localhost"]).rank(1, [2])).item_ids) == [2]
    with pytest.raises(Unavailable):
        await connect(secured.target, tls=names["other.example"], retry=None).rank(1, [2])


@pytest.mark.parametrize("wrong", ["no certificate", "another authority", "those of the system", "plaintext"])
async def test_others_do_not_come_in(
    connect: Connect, secured: ScriptedServer, tls: Tls, tmp_path: Path, wrong: str
) -> None:
    other = Authority.other().write(tmp_path, "other")
    wrong_tls = {
        "no certificate": Tls(tls.ca_file),
        "another authority": Tls(other, tls.cert_file, tls.key_file),
        "those of the system": True,
        "plaintext": False,
    }
    with pytest.raises(HandshakeFailed, match=SAID[wrong]):
        await connect(secured.target, tls=wrong_tls[wrong], retry=None).rank(1, [2])
    assert not secured.requests


async def test_a_server_without_tls(connect: Connect, server: ScriptedServer) -> None:
    with pytest.raises(HandshakeFailed, match=f"^{server.target} does not speak TLS: call it without"):
        await connect(server.target, tls=True, retry=None).rank(1, [2])


def test_the_command_says_what_it_is(secured: ScriptedServer) -> None:
    """And not that a server should be started where one is."""
    done = run("models", "--server", secured.target, "--tls")
    assert done.returncode == 1
    # gRPC's core has its own line about the handshake before that.
    said = done.stderr.splitlines()[-1]
    assert said.startswith(f"Error: the certificate of {secured.target} is not trusted: give the authority")


async def test_a_token_file_is_read_again(connect: Connect, server: ScriptedServer, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(f"{SECRET}-1\n", encoding="utf-8")
    client = connect(server.target, token_file=path)
    source = client.client._settings.token
    assert source is not None
    for content, expected in ((None, "1"), (f"{SECRET}-22\n", "22"), ("", "22"), (f"{SECRET}-333", "333")):
        if content is not None:
            path.write_text(content, encoding="utf-8")
            source._next_look = 0.0
        await client.rank(1, [2])
        assert server.metadata[-1]["authorization"] == f"Bearer {SECRET}-{expected}"
    path.unlink()
    source._next_look = 0.0
    await client.rank(1, [2])
    assert server.metadata[-1]["authorization"] == f"Bearer {SECRET}-333"


@pytest.mark.parametrize(
    "options",
    [
        {"tls": True},
        {"insecure_token": True},
        {"credentials": grpc.ssl_channel_credentials()},
    ],
    ids=["tls", "insecure_token", "credentials"],
)
def test_a_token_goes_elsewhere_only_where_it_is_safe(kind: Kind, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="for everybody on the way to read") as caught:
        AnyClient(kind, ELSEWHERE, token=SECRET)
    assert SECRET not in str(caught.value)
    AnyClient(kind, ELSEWHERE, token=SECRET, **options)


@pytest.mark.parametrize("target", ["127.0.0.1:1", "localhost:1", "[::1]:1", "unix:/run/rankserve"])
def test_a_token_stays_on_this_machine_in_plaintext(kind: Kind, target: str) -> None:
    AnyClient(kind, target, token=SECRET)
    with pytest.raises(ValueError, match="for everybody on the way to read"):
        AnyClient(kind, ["127.0.0.1:1", ELSEWHERE], token=SECRET)


@pytest.mark.parametrize("token", ["", " ", "a b", "ümlaut", "new\nline", 5])
def test_what_no_token_is_is_not_shown(kind: Kind, token: Any) -> None:
    with pytest.raises(ValueError, match="`token` must give a token") as caught:
        AnyClient(kind, "127.0.0.1:1", token=token)
    assert repr(token) not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tls": "yes"}, "`tls` must be"),
        ({"tls": True, "credentials": grpc.ssl_channel_credentials()}, "`tls` must be left out"),
        ({"token": "a", "token_file": "b"}, "`token` must be"),
    ],
)
def test_arguments_that_do_not_fit(kind: Kind, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AnyClient(kind, "127.0.0.1:1", **options)


def test_a_channel_brings_its_own_tls() -> None:
    with grpc.insecure_channel("127.0.0.1:1") as channel, pytest.raises(ValueError, match="`tls` would have no effect"):
        RankingClient(channel=channel, tls=True)


def test_files_that_are_missing_are_named(kind: Kind, tmp_path: Path) -> None:
    for options in ({"tls": Tls(tmp_path / "missing")}, {"token_file": tmp_path / "missing"}):
        with pytest.raises(FileNotFoundError, match="missing"):
            AnyClient(kind, "127.0.0.1:1", **options)


@pytest.mark.parametrize("options", [{"cert_file": "a"}, {"key_file": "a"}, {"server_name": ""}])
def test_a_tls_checks_its_arguments(options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=f"`{next(iter(options))}`"):
        Tls(**options)


def options_of(tls: Tls) -> list[str]:
    return ["--tls-ca", str(tls.ca_file), "--tls-cert", str(tls.cert_file), "--tls-key", str(tls.key_file)]


@pytest.mark.parametrize(
    "command",
    [
        ["rank", "--user", "1", "2", "--json"],
        ["models"],
        ["bench", "--requests", "5", "--warm-up", "0", "--concurrency", "1", "--candidates", "5"],
        ["bench", "--requests", "5", "--warm-up", "0", "--rate", "100", "--candidates", "5"],
    ],
    ids=" ".join,
)
def test_the_commands_come_in(secured: ScriptedServer, tls: Tls, tmp_path: Path, command: list[str]) -> None:
    token = tmp_path / "token"
    token.write_text(SECRET, encoding="utf-8")
    process = run(
        *command,
        "--server",
        secured.target,
        *options_of(tls),
        "--tls-server-name",
        "localhost",
        RANKSERVE_TOKEN_FILE=str(token),
    )
    assert "Error" not in process.stderr, process.stderr
    assert secured.requests
    assert {metadata.get("authorization") for metadata in secured.metadata} == {f"Bearer {SECRET}"}
    assert SECRET not in process.stdout + process.stderr


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--tls-cert", "a"], 2, "--tls-cert and --tls-key belong together."),
        (["--tls-ca", "missing"], 1, "missing: No such file or directory"),
        (["--token-file", "missing"], 1, "missing: No such file or directory"),
    ],
)
def test_the_command_says_what_is_wrong(options: list[str], code: int, message: str) -> None:
    process = run("models", "--server", "127.0.0.1:1", *options)
    assert process.returncode == code
    assert message in process.stderr
    assert "Traceback" not in process.stderr


@pytest.mark.parametrize("command", [["models"], ["gateway", "--lend-token", "--port", "0"]], ids=" ".join)
@pytest.mark.parametrize("content", [b"", b"two words", b"\xe0\xff"])
def test_the_command_says_which_file_holds_no_token(tmp_path: Path, command: list[str], content: bytes) -> None:
    token = tmp_path / "token"
    token.write_bytes(content)
    process = run(*command, "--server", "127.0.0.1:1", "--token-file", str(token))
    assert process.returncode == 2
    assert "Error: Invalid value for --token-file: must give a token: printable ASCII" in process.stderr
    assert "words" not in process.stderr


def test_the_command_sends_no_token_in_plaintext(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(SECRET, encoding="utf-8")
    process = run("models", "--server", ELSEWHERE, "--token-file", str(token))
    assert process.returncode == 2
    assert "use --tls, or give --insecure-token" in process.stderr
    assert SECRET not in process.stderr
