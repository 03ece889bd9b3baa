"""What was probably meant, where a name is none that there is."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

# What other tools call it.
_COMMANDS_ELSEWHERE: Final = {
    "batch": "score",
    "benchmark": "bench",
    "check": "doctor",
    "eval": "evaluate",
    "fit": "train",
    "health": "doctor",
    "help": "--help",
    "list": "models",
    "load-test": "bench",
    "ls": "models",
    "predict": "rank",
    "push": "publish",
    "query": "rank",
    "recommend": "rank",
    "run": "serve",
    "server": "serve",
    "start": "serve",
    "status": "models",
    "test": "evaluate",
    "upload": "publish",
    "verify": "models verify",
    "version": "--version",
}


def did_you_mean(name: str, possible: Iterable[str], likeness: float = 0.6) -> str:
    """A question to put behind a message, or nothing where no possible name is so much like this one (0 to 1)."""
    found = get_close_matches(name, list(possible), n=1, cutoff=likeness)
    return f" Did you mean {found[0]!r}?" if found else ""


def did_you_mean_command(name: str, possible: Iterable[str]) -> str:
    """The same for a command of `rankserve`, by whatever name other tools have for it."""
    elsewhere = _COMMANDS_ELSEWHERE.get(name.lower())
    return f" Did you mean 'rankserve {elsewhere}'?" if elsewhere else did_you_mean(name.lower(), possible)
