"""A fit as it is told to other processes: JSON and arrays."""

from typing import Any

import msgspec

from rankserve_training.baselines import BiasModel
from rankserve_training.distributed.group import Arrays, Group
from rankserve_training.towers.features import Bags
from rankserve_training.towers.fits import ChoiceFit, Fit, RatingFit
from rankserve_training.towers.item_raters import ItemRaters
from rankserve_training.towers.offsets import Offsets
from rankserve_training.towers.recipe import TwoTowerRecipe

_OFFSETS = ("item_offsets", "item_sums", "item_counts", "user_means", "user_counts")
_RATERS = ("above_users", "rated", "counts", "means")


class _Told(msgspec.Struct, frozen=True):
    """A fit, without its arrays; see `Fit`."""

    of_ratings: bool
    name: str
    epochs: int
    patience: int
    validated: bool
    recipe: TwoTowerRecipe
    seed: int
    mean: float
    item_shrinkage: float
    bag_counts: tuple[int, int]
    resumed: bool


def tell(group: Group, fit: Fit[Any], resumed: bool) -> None:
    """Says, as process 0, what is fitted next; `resumed` where there are checkpoints."""
    offsets = fit.offsets
    told = _Told(
        isinstance(fit, RatingFit),
        fit.name,
        fit.epochs,
        fit.patience,
        fit.validated,
        fit.recipe,
        fit.seed,
        offsets.mean,
        offsets.item_shrinkage,
        (fit.bags[0].count, fit.bags[1].count),
        resumed,
    )
    group.say(msgspec.json.encode(told))
    arrays: Arrays = {name: getattr(offsets, name) for name in _OFFSETS}
    arrays |= {"user_biases": offsets.biases.user_biases, "item_biases": offsets.biases.item_biases}
    for side, bags in zip(("user", "item"), fit.bags, strict=True):
        arrays |= {f"{side}_rows": bags.rows, f"{side}_weights": bags.weights}
    if isinstance(fit, RatingFit) and fit.raters is not None:
        arrays |= {f"raters_{name}": getattr(fit.raters, name) for name in _RATERS}
    group.say_arrays(arrays)


def tell_the_end(group: Group) -> None:
    """Says, as process 0, that nothing is left to do."""
    group.say(b"")


def hear(group: Group) -> tuple[Fit[Any], bool] | None:
    """What is fitted next, and whether there are checkpoints; None at the end."""
    said = group.say()
    if not said:
        return None
    told = msgspec.json.decode(said, type=_Told)
    arrays = group.say_arrays()
    biases = BiasModel(told.mean, arrays["user_biases"], arrays["item_biases"])
    offsets = Offsets(biases=biases, item_shrinkage=told.item_shrinkage, **{name: arrays[name] for name in _OFFSETS})
    user_bags, item_bags = (
        Bags(arrays[f"{side}_rows"], arrays[f"{side}_weights"], count)
        for side, count in zip(("user", "item"), told.bag_counts, strict=True)
    )
    common = (told.name, told.epochs, told.patience, told.validated, told.recipe, told.seed)
    if not told.of_ratings:
        return ChoiceFit(*common, offsets, (user_bags, item_bags)), told.resumed
    raters = None
    if "raters_rated" in arrays:
        raters = ItemRaters(*(arrays[f"raters_{name}"] for name in _RATERS))
    return RatingFit(*common, offsets, (user_bags, item_bags), raters), told.resumed
