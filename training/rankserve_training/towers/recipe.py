"""Sizes and rates of the model of two towers: what the search in `benchmarks/MODEL_SEARCH.md` came to."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RatingRecipe:
    """The towers that predict ratings.

    Attributes:
        members: models that are trained side by side and averaged.
        width: of a member's user and item vectors.
        hidden: units of a member's hidden layer on the two vectors.
        epochs: at most so many passes over the ratings.
        learning_rate: at the start; it falls to 0 like a cosine.
        weight_decay: see `keras.optimizers.AdamW`.
        dropout: of vectors and hidden units.
        initial: standard deviation of the initial vectors.
        stranger_share: so many users of a batch are taken for strangers, so many items for new ones: their ids, and
            independently their features, do not count.
        short_share: so many users of a batch have lost a part of their ratings, from none to all.
        empty_share: so many users of a batch have lost all of their ratings.
        shrinkage: so many ratings of the mean count with those of a user (see `offsets`).
        item_shrinkage: likewise of an item.
        raters: whether an item's vector is also made of its raters (see `item_raters`).
    """

    members: int = 6
    width: int = 16
    hidden: int = 16
    epochs: int = 12
    learning_rate: float = 2e-3
    weight_decay: float = 0.3
    dropout: float = 0.2
    initial: float = 0.02
    stranger_share: float = 0.1
    short_share: float = 0.1
    empty_share: float = 0.1
    shrinkage: float = 10.0
    item_shrinkage: float = 10.0
    raters: bool = True


@dataclass(frozen=True)
class ChoiceRecipe:
    """The towers that predict what a user chooses.

    Attributes:
        width: of the vectors.
        epochs: at most so many passes over the users.
        learning_rate: at the start; it falls to 0 like a cosine.
        weight_decay: see `keras.optimizers.AdamW`.
        dropout: of the user's vector.
        entry_dropout: of what he is known to have chosen.
        initial: standard deviation of the initial vectors.
    """

    width: int = 64
    epochs: int = 60
    learning_rate: float = 8e-3
    weight_decay: float = 1.0
    dropout: float = 0.5
    entry_dropout: float = 0.1
    initial: float = 0.05


@dataclass(frozen=True)
class TwoTowerRecipe:
    """The whole recipe.

    Attributes:
        rating: of the first output.
        choice: of the second one.
        batch_ratings: ratings in a batch; several times as many where there are millions.
        batch_users: users in a batch, at most; likewise.
        validation_share: of the training rows, held out to choose the number of epochs.
        patience: epochs without an improvement after which no better one is looked for.
    """

    rating: RatingRecipe = RatingRecipe()
    choice: ChoiceRecipe = ChoiceRecipe()
    batch_ratings: int = 3_072
    batch_users: int = 48
    validation_share: float = 0.1
    patience: int = 5
