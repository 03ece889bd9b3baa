"""What a run of `rankserve score` writes: all that decides the content of its files."""

import hashlib
from typing import Literal

import msgspec

from rankserve_server.ranking import RankBy
from rankserve_server.told import Ids

Order = Literal["default", "rating", "choice"]
_FORMAT = 1
_ORDERS: dict[Order, RankBy] = {"default": RankBy.UNSPECIFIED, "rating": RankBy.RATING, "choice": RankBy.CHOICE}


class ScoringPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Two runs with equal plans write the same rows into the same files.

    Attributes:
        model: its name.
        version: of the model.
        manifest_sha256: of the version's `manifest.json`, which has the hashes of its other files.
        max_table_mib: as of `rankserve serve`: tables that are not folded give other last bits.
        top_k: the most items of a user.
        rank_by: what makes an item better; `default` is that of `Rank`.
        exclude_seen: whether to leave out what a user has rated.
        users: "all" of the version, or the SHA-256 of the ids that were listed.
        user_count: how many users.
        items: likewise of the items.
        item_count: how many items.
        users_per_file: of all files but the last one.
        format: of the files.
    """

    model: str
    version: int
    manifest_sha256: str
    max_table_mib: int
    top_k: int
    rank_by: Order
    exclude_seen: bool
    users: str
    user_count: int
    items: str
    item_count: int
    users_per_file: int
    format: int = _FORMAT

    @property
    def part_count(self) -> int:
        """How many files there are to be."""
        return -(-self.user_count // self.users_per_file)

    @property
    def digest(self) -> str:
        """SHA-256 of all of it."""
        return hashlib.sha256(self.encoded()).hexdigest()

    @property
    def order(self) -> RankBy:
        """The same as `rank_by`, in the terms of the ranking."""
        return _ORDERS[self.rank_by]

    def users_of(self, part: int, user_ids: Ids) -> Ids:
        """Those of all users that a file is of."""
        start = part * self.users_per_file
        return user_ids[start : start + self.users_per_file]

    def encoded(self) -> bytes:
        """As JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    def differences(self, other: "ScoringPlan") -> list[str]:
        """Which attributes differ, as `top_k is 10 there and 20 here`, where `other` is what is there."""
        return [
            f"{name} is {getattr(other, name)} there and {getattr(self, name)} here"
            for name in self.__struct_fields__
            if getattr(other, name) != getattr(self, name)
        ]


def digest_of(ids: Ids | None) -> str:
    """What a plan says of listed ids; "all" where none were listed."""
    return "all" if ids is None else hashlib.sha256(ids.astype("<i8").tobytes()).hexdigest()
