"""What the options of `rankserve rank` say of the user: ratings and features, as they are typed or stored in a file."""

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import click

_HEADER = ["item", "rating"]

# The ids that models know are positive.
_STRANGER = 0


@dataclass(frozen=True)
class User:
    """Whom to rank for, and what the request tells of them."""

    user_id: int
    history: tuple[tuple[int, float], ...]
    features: tuple[tuple[str, str], ...]


def parse_ratings(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> tuple[tuple[int, float], ...]:
    """The values of an option that takes ITEM=RATING, such as 204=4.5, any number of times."""
    return tuple(_rating_of(text) for text in texts)


def parse_features(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """The values of an option that takes NAME=VALUE, such as occupation=artist, any number of times."""
    return tuple(_feature_of(text) for text in texts)


def user_of(
    user_id: int | None,
    ratings: tuple[tuple[int, float], ...],
    file: Path | None,
    features: tuple[tuple[str, str], ...],
) -> User:
    """The user that the options describe: a stranger where they give ratings or features, but no id.

    Raises:
        click.MissingParameter: They say nothing of the user.
        click.ClickException, OSError: As `read_ratings`.
    """
    history = (*ratings, *(read_ratings(file) if file else ()))
    if user_id is None and not history and not features:
        without = "It can be left out only with --history, --history-file or --feature."
        raise click.MissingParameter(without, param_type="option", param_hint="'--user'")
    return User(_STRANGER if user_id is None else user_id, history, features)


def read_ratings(path: Path) -> list[tuple[int, float]]:
    """The ratings of a CSV file with the columns item and rating, with or without a header that says so.

    Raises:
        click.ClickException: A line is something else (the message names it), or there is no rating.
        OSError: The file cannot be read.
    """
    ratings = []
    # What is not UTF-8 is no number either: it then fails with its line. The signature is what spreadsheets write.
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        lines = csv.reader(file)
        try:
            for cells in lines:
                if cells and not (lines.line_num == 1 and _is_header(cells)):
                    item, rating = cells
                    ratings.append(_rating(item, rating))
        except (ValueError, csv.Error):
            where = f"{path}, line {lines.line_num}"
            raise click.ClickException(f"{where}: should be an item and its rating, such as 204,4.5") from None
    if not ratings:
        raise click.ClickException(f"{path}: there are no ratings in it")
    return ratings


def _rating_of(text: str) -> tuple[int, float]:
    item, _, rating = text.partition("=")
    try:
        return _rating(item, rating)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not ITEM=RATING, such as 204=4.5.") from None


def _feature_of(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")  # the value may be empty or have further equals signs
    if not name or not equals:
        raise click.BadParameter(f"{text!r} is not NAME=VALUE, such as age=24.")
    return name, value


def _rating(item: str, rating: str) -> tuple[int, float]:
    number = float(rating)
    if not math.isfinite(number):
        raise ValueError
    return int(item), number


def _is_header(cells: list[str]) -> bool:
    return [cell.strip().lower() for cell in cells] == _HEADER
