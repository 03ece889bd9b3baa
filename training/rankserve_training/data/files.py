"""A data set out of the user's own files."""

from pathlib import Path

import numpy as np

from rankserve_training.data.dataset import Dataset, Int64s, Items, RatingScale, Users
from rankserve_training.data.errors import DataError
from rankserve_training.data.items_file import read_items
from rankserve_training.data.ratings_file import RatingsFile, first_repeat, read_ratings
from rankserve_training.data.users_file import read_users


def load_files(
    ratings: Path,
    *,
    test_ratings: Path | None = None,
    items: Path | None = None,
    users: Path | None = None,
    scale: RatingScale | None = None,
) -> Dataset:
    """The data set in the user's own files; formats are told from their content.

    Items and users that are described but have no rating belong to the data set, and so do those that have a rating but
    are not described, or only a test rating.

    Args:
        ratings: the ratings to train on: tab-separated like GroupLens' `u.data`, CSV with the header
            `userId,movieId,rating,timestamp`, or RecBole `.inter`. The timestamp may be left out.
        test_ratings: ratings that are only ever tested on, in any of the same formats; no pair of user and item may be
            in both.
        items: titles and genres: `u.item`, CSV with the header `movieId,title,genres`, or RecBole `.item`.
        users: side features: `u.user`, CSV with a header that has `userId`, or RecBole `.user`.
        scale: the rating scale; where it is None, it runs from the lowest to the highest rating in the rating files.

    Raises:
        DataError: if a file is missing, broken or in none of the formats; where a line is at fault, the message starts
            with `FILE:LINE:`.
    """
    if scale is not None:
        _check_scale(scale)
    train = read_ratings(ratings, scale)
    test = None if test_ratings is None else read_ratings(test_ratings, scale)
    if test is not None:
        _refuse_leaks(train, test)
    rated = [train] if test is None else [train, test]
    return Dataset(
        name=ratings.name,
        source=" and ".join(file.path.name for file in rated),
        ratings=train.ratings,
        test_ratings=None if test is None else test.ratings,
        items=_items(items, _distinct([file.ratings.item_ids for file in rated])),
        users=_users(users, _distinct([file.ratings.user_ids for file in rated])),
        scale=scale or _scale(rated),
    )


def _check_scale(scale: RatingScale) -> None:
    if not (np.isfinite(scale.minimum) and np.isfinite(scale.maximum) and scale.span > 0):
        raise DataError(
            f"a rating scale must rise from a finite minimum to a finite maximum: {scale.minimum:g} to "
            f"{scale.maximum:g} does not"
        )


def _scale(rated: list[RatingsFile]) -> RatingScale:
    scale = RatingScale(
        minimum=min(float(file.ratings.values.min()) for file in rated),
        maximum=max(float(file.ratings.values.max()) for file in rated),
    )
    if not scale.span > 0:
        raise DataError(
            f"{rated[0].path}: every rating is {scale.minimum:g}, so there is no scale to rank on; "
            "ratings must differ (views or clicks alone are not ratings)"
        )
    return scale


def _refuse_leaks(train: RatingsFile, test: RatingsFile) -> None:
    repeat = first_repeat(
        np.concatenate([train.ratings.user_ids, test.ratings.user_ids]),
        np.concatenate([train.ratings.item_ids, test.ratings.item_ids]),
    )
    if repeat is None:
        return
    # Neither file repeats a pair within itself, so the later one is of the test ratings.
    earlier, later = repeat[0], repeat[1] - len(train.ratings)
    user, item = test.ratings.user_ids[later], test.ratings.item_ids[later]
    raise test.place(later).error(
        f"user {user}'s rating of item {item} is also in the ratings to train on, at {train.place(earlier)}; "
        "take it out of one of the two"
    )


def _distinct(columns: list[Int64s]) -> Int64s:
    return np.unique(np.concatenate([np.unique(column) for column in columns]))


def _items(path: Path | None, rated: Int64s) -> Items:
    if path is None:
        return Items(rated, ("",) * len(rated), ((),) * len(rated))
    described = read_items(path)
    rows = dict(zip(described.ids.tolist(), zip(described.titles, described.genres, strict=True), strict=True))
    ids = np.union1d(rated, described.ids)
    merged = [rows.get(item, ("", ())) for item in ids.tolist()]
    return Items(ids, tuple(title for title, _ in merged), tuple(genres for _, genres in merged))


def _users(path: Path | None, rated: Int64s) -> Users:
    if path is None:
        return Users(rated)
    described = read_users(path)
    rows = {user: row for row, user in enumerate(described.ids.tolist())}
    ids = np.union1d(rated, described.ids)
    positions = [rows.get(user) for user in ids.tolist()]
    return Users(
        ids,
        {
            name: tuple("" if row is None else values[row] for row in positions)
            for name, values in described.features.items()
        },
    )
