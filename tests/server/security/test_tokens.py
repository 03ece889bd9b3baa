"""The file of tokens: what it may say, and that a change of it counts."""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rankserve_server.security import tokens as tokens_module
from rankserve_server.security.command import token
from rankserve_server.security.gate import Gate
from rankserve_server.security.reloaded import FileError
from rankserve_server.security.scopes import Scope
from rankserve_server.security.tokens import Token, Tokens, digest_of, new_secret, read_tokens

DIGEST = "a" * 64
GOOD = f'[[token]]\nname = "shop"\nsha256 = "{DIGEST}"\nscopes = ["rank"]\n'
RANK = "/rankserve.v1.RankingService/Rank"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.toml"


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change counts at once."""
    monkeypatch.setattr(tokens_module, "_LOOK_SECONDS", 0)


def entry(name: str, secret: str, *scopes: Scope, expires: datetime | None = None) -> str:
    return Token(name, digest_of(secret), list(scopes), expires).encode()


def write(path: Path, content: str) -> None:
    """As an editor does it: a new file in the place of the old one."""
    scratch = path.with_suffix(".new")
    scratch.write_text(content, encoding="utf-8")
    scratch.replace(path)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("", "holds no token; make one with: rankserve token NAME --tokens-file"),
        ("[[token]", "is not a file of tokens"),
        ("\0", "is not a file of tokens"),
        ("x = 1", "is not a file of tokens"),
        ("token = 1", "is not a file of tokens"),
        (GOOD.replace("shop", "a b"), "is not a file of tokens"),
        (GOOD.replace("aaa", "AAA"), "is not a file of tokens"),
        (GOOD.replace('"rank"', '"write"'), "is not a file of tokens"),
        (GOOD.replace('"rank"', ""), "is not a file of tokens"),
        (GOOD + "expires = 2027-01-01T00:00:00\n", "is not a file of tokens"),
        (GOOD + "token = 1\n", "is not a file of tokens"),
        (GOOD + GOOD.replace("aaa", "bbb"), "has two tokens of the same name"),
        (GOOD + GOOD.replace("shop", "cart"), "has two tokens of the same sha256"),
    ],
)
def test_a_file_that_cannot_be_used(path: Path, content: str, fault: str) -> None:
    path.write_text(content, encoding="utf-8")
    with pytest.raises(FileError, match=fault) as caught:
        read_tokens(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(path: Path) -> None:
    with pytest.raises(FileError, match=r"tokens\.toml cannot be read: No such file"):
        Tokens(path)


def test_entries_survive_their_writing(path: Path) -> None:
    written = [
        Token("shop", digest_of("one"), [Scope.RANK]),
        Token("ops@example.com", digest_of("two"), [Scope.RANK, Scope.ADMIN], datetime(2027, 1, 2, tzinfo=UTC)),
    ]
    path.write_text("\n".join(each.encode() for each in written), encoding="utf-8")
    assert list(read_tokens(path).values()) == written
    assert read_tokens(path).keys() == {digest_of("one"), digest_of("two")}


def test_a_change_counts_and_a_broken_file_does_not(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(path, entry("old", "old secret", Scope.RANK))
    tokens = Tokens(path)
    for broken in ("[[token]", ""):
        write(path, broken)
        for _ in range(3):
            assert tokens.find("old secret") is not None
    path.unlink()
    assert tokens.find("old secret") is not None
    assert len(caplog.records) == 3, "each fault once"
    assert all("What was read before stays in use" in record.getMessage() for record in caplog.records)
    write(path, entry("new", "new secret", Scope.RANK))
    assert tokens.find("old secret") is None
    assert tokens.find("new secret") is not None
    assert "secret" not in caplog.text.replace("secrets", "")


def test_what_is_good_for_admins_is_good_for_ranking() -> None:
    admin, rank = Token("a", DIGEST, [Scope.ADMIN]), Token("b", DIGEST, [Scope.RANK])
    assert [admin.allows(Scope.RANK), admin.allows(Scope.ADMIN)] == [True, True]
    assert [rank.allows(Scope.RANK), rank.allows(Scope.ADMIN)] == [True, False]


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("authorization", "one"),),
        (("authorization", "Basic one"),),
        (("authorization", "Bearer"),),
        (("authorization", "Bearer "),),
        (("authorization", "Bearer  one two"),),
        (("authorization", "Bearer one"), ("authorization", "Bearer one")),
        (("authorization", "Bearer two"), ("authorization", "Bearer one")),
        (("authorization", b"Bearer one"),),
        (("authorization-bin", b"Bearer one"),),
        (("authorization", "Bearer on\udc65"),),
        (("x-token", "one"),),
    ],
)
def test_what_is_no_token(path: Path, metadata: tuple[tuple[str, str | bytes], ...]) -> None:
    write(path, entry("shop", "one", Scope.RANK))
    gate = Gate(Tokens(path), None)
    assert gate.refusal(RANK, (("authorization", "bearer one"), ("other", "x"))) is None
    refusal = gate.refusal(RANK, metadata)
    assert refusal is not None
    assert "one" not in str(refusal).replace("none", "")


def test_secrets_are_long_and_never_the_same() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert min(map(len, secrets)) > 50


def run(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(token, [*arguments, "--tokens-file", str(path)])


def test_the_command_adds_an_entry_and_prints_the_secret_once(path: Path) -> None:
    first, second = run(path, "shop"), run(path, "ops", "--scope", "admin", "--days", "90")
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert path.stat().st_mode & 0o777 == 0o600
    tokens = Tokens(path)
    shop, ops = tokens.find(first.output.strip()), tokens.find(second.output.strip())
    assert shop is not None
    assert ops is not None
    assert (shop.name, shop.scopes, shop.expires) == ("shop", [Scope.RANK], None)
    assert (ops.name, ops.scopes) == ("ops", [Scope.ADMIN])
    assert ops.expires is not None
    assert timedelta(days=89) < ops.expires - datetime.now(UTC) <= timedelta(days=90)
    content = path.read_text(encoding="utf-8")
    assert first.output.strip() not in content
    assert hashlib.sha256(first.output.strip().encode()).hexdigest() in content
    assert list(path.parent.iterdir()) == [path], "nothing is left beside it"


def test_the_command_keeps_what_is_there(path: Path) -> None:
    path.write_text("# by hand\n" + GOOD, encoding="utf-8")
    path.chmod(0o640)
    assert run(path, "cart").exit_code == 0
    assert path.read_text(encoding="utf-8").startswith("# by hand\n" + GOOD)
    assert path.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in read_tokens(path).values()] == ["shop", "cart"]


@pytest.mark.parametrize(("name", "fault"), [("shop", "has a token named 'shop' already"), ("a b", "regex")])
def test_the_command_refuses_in_one_line(path: Path, name: str, fault: str) -> None:
    path.write_text(GOOD, encoding="utf-8")
    result = run(path, name)
    assert result.exit_code == 1
    assert len(result.output.splitlines()) == 1
    assert fault in result.output
    assert path.read_text(encoding="utf-8") == GOOD
