"""`python -m rankserve_training.data`: makes MovieLens 100K ready to be read without a network."""

import sys

from rankserve_training.data import DataError, load_movielens


def main() -> int:
    """Prepares the data set if need be and prints what it is; 1 if it cannot be had."""
    try:
        dataset = load_movielens(announce=print)
    except DataError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(
        f"MovieLens 100K: {len(dataset.ratings):,} ratings, {len(dataset.users.ids):,} users, "
        f"{len(dataset.items.ids):,} movies, from {dataset.source}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
