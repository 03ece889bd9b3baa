"""`rankserve token`."""

import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rankserve_server.security.tokens import Token


@click.command()
@click.argument("name")
@click.option(
    "--tokens-file",
    default="tokens.toml",
    show_default=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The file to add it to, made if it does not exist.",
)
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(["rank", "admin"]),
    multiple=True,
    default=("rank",),
    show_default=True,
    help="What it is good for; admin includes rank.",
)
@click.option("--days", type=click.IntRange(min=1, max=36_500), metavar="N", help="Let it expire.  [default: never]")
def token(name: str, tokens_file: Path, scopes: tuple[str, ...], days: int | None) -> None:
    """Make a token for the caller NAME, and print it: this once, as the file holds only its hash.

    A running server takes it a second later. To revoke a token, delete its entry.

    \b
    Examples:
      rankserve token shop > shop.token
      rankserve token operator --scope admin --days 90
    """
    # Only now, so that --help goes without the server's libraries.
    import msgspec

    from rankserve_server.security.reloaded import FileError
    from rankserve_server.security.scopes import Scope
    from rankserve_server.security.tokens import Token, digest_of, new_secret

    secret = new_secret()
    expires = None if days is None else datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
    entry = Token(name, digest_of(secret), [Scope(scope) for scope in dict.fromkeys(scopes)], expires)
    try:
        msgspec.convert(msgspec.to_builtins(entry), Token)  # a constructor checks nothing
        _add(entry, tokens_file)
    except (FileError, msgspec.ValidationError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(secret)


def _add(entry: "Token", path: Path) -> None:
    """Writes the file anew beside it and renames it, so that a server never sees half of it."""
    from rankserve_server.security.reloaded import FileError
    from rankserve_server.security.tokens import read_tokens

    before = path.read_text(encoding="utf-8") if path.exists() else ""
    if before.strip() and entry.name in {token.name for token in read_tokens(path).values()}:
        raise FileError(f"{path} has a token named {entry.name!r} already; delete its entry or choose another name")
    descriptor, scratch = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.absolute().parent)  # for its owner only
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(before.rstrip("\n") + "\n\n" if before.strip() else "")
            file.write(entry.encode())
            file.flush()
            os.fsync(descriptor)
        if path.exists():  # keeps who may read it
            Path(scratch).chmod(path.stat().st_mode)
        Path(scratch).replace(path)
    finally:
        Path(scratch).unlink(missing_ok=True)
