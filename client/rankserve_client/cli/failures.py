"""The one place where a failure of any subcommand becomes one line on stderr and an exit code.

What a subcommand does, ours or another package's:

- It raises `click.ClickException(message)` for what the user can understand: `Error: message`, exit code 1.
- It raises `click.UsageError` or `click.BadParameter` for a wrong command line: exit code 2.
- It lets OSError, KeyboardInterrupt, `RankServeError` and the ModuleNotFoundError of a missing extra pass: they are
  turned into lines here.
- Anything else is a fault of the program and keeps its traceback.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint

import click

from rankserve_client.cli.commands import extra_of
from rankserve_client.errors import HandshakeFailed, RankServeError, Unreachable
from rankserve_client.targets import is_local


@contextmanager
def one_line_failures(running: Callable[[], EntryPoint | None]) -> Iterator[None]:
    """Turns the expected exceptions of a subcommand into a `click.ClickException`; `running` tells which it is."""
    try:
        yield
    except KeyboardInterrupt:
        raise click.ClickException("interrupted") from None
    except BrokenPipeError:
        raise  # click ends quietly where the reader of the output has gone
    except Unreachable as error:
        if isinstance(error, HandshakeFailed) or not is_local(error.target):
            raise click.ClickException(str(error)) from error
        raise click.ClickException(f"no server answers at {error.target}; start one with: rankserve serve") from error
    except RankServeError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise click.ClickException(f"{where}{error.strerror or error}") from error
    except ModuleNotFoundError as error:
        command = running()
        extra = extra_of(command) if command else None
        if command is None or extra is None or _is_ours(error, command):
            raise
        raise click.ClickException(
            f"rankserve {command.name} needs the {extra} extra: pip install 'rankserve[{extra}]'"
        ) from error


def _is_ours(error: ModuleNotFoundError, command: EntryPoint) -> bool:
    """Whether the missing module is one that a package of ours should have: a fault, not an extra left out."""
    package, _, _ = command.module.partition(".")
    return (error.name or "").startswith(f"{package}.") and error.name != command.module
