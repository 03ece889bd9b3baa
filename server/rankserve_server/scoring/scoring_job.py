"""What the processes of a run are told."""

from dataclasses import dataclass
from pathlib import Path

from rankserve_server.scoring.scoring_plan import ScoringPlan
from rankserve_server.told import Ids


@dataclass(frozen=True)
class ScoringJob:
    """All but the users, who come part by part.

    Attributes:
        plan: what is written.
        version: MODELS_DIR/NAME/VERSION.
        output: the directory of the parts.
        item_ids: int64[n], the items; None for the whole catalogue.
        trusted_keys: files; the holder of one of them has to have signed the version, where there are any.
    """

    plan: ScoringPlan
    version: Path
    output: Path
    item_ids: Ids | None
    trusted_keys: tuple[Path, ...]


@dataclass(frozen=True)
class Part:
    """The users of one file.

    Attributes:
        number: of the file, from 0.
        user_ids: int64[n].
    """

    number: int
    user_ids: Ids
