"""What is known of one version of a model."""

import enum
from dataclasses import dataclass

from rankserve_server.loaded_model import LoadedModel


class ModelState(enum.Enum):
    """Whether a version answers."""

    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, eq=False)
class ModelEntry:
    """A version that the server has loaded, is loading or has tried to load.

    Attributes:
        name: of the model.
        version: 1 or more.
        state: whether it answers.
        message: why it does not; empty where it does.
        model: the loaded version; None unless it is ready.
        fault: what kind of fault keeps it from answering, see `ArtifactError`; empty where none does.
    """

    name: str
    version: int
    state: ModelState = ModelState.LOADING
    message: str = ""
    model: LoadedModel | None = None
    fault: str = ""


@dataclass(frozen=True)
class Roles:
    """What a version is there for.

    Attributes:
        is_current: whether it answers requests that name neither a version nor an alias, but for those of a canary.
        is_default: whether it also answers those that name no model.
        is_pinned: whether the operator has decided that it is current.
        aliases: its other names, in alphabetical order.
        canary_percent: the share of users that it answers instead of the current one; 0 for none.
        shadow_percent: the share of requests that it is asked too; 0 for none.
    """

    is_current: bool
    is_default: bool
    is_pinned: bool
    aliases: tuple[str, ...]
    canary_percent: float
    shadow_percent: float
