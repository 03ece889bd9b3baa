"""The bodies of the protocol. As with TF Serving itself, fields that it does not know are refused."""

from typing import Any, Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType


class PredictRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What to score: `instances` row by row, or `inputs` column by column."""

    instances: list[dict[str, Any]] | UnsetType = UNSET
    inputs: dict[str, Any] | UnsetType = UNSET
    signature_name: str = ""


class PredictResponse(Struct, frozen=True, omit_defaults=True):
    """The scores: `predictions` for instances, `outputs` for inputs."""

    predictions: list[Any] | UnsetType = UNSET
    outputs: Any | UnsetType = UNSET


class ExamplesRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Candidates as examples; what all of them have stands in the context."""

    examples: list[dict[str, Any]]
    context: dict[str, Any] = {}
    signature_name: str = ""


class RegressResponse(Struct, frozen=True):
    """A score for each example."""

    results: list[float]


class ClassifyResponse(Struct, frozen=True):
    """A class for each example: the item as its label, and the score."""

    results: list[list[tuple[str, float]]]


class Status(Struct, frozen=True):
    """What is wrong, where something is."""

    error_code: str
    error_message: str


State: TypeAlias = Literal["LOADING", "AVAILABLE", "END", "UNKNOWN"]


class VersionStatus(Struct, frozen=True):
    """How a version is."""

    version: str
    state: State
    status: Status


class StatusResponse(Struct, frozen=True):
    """Every version, newest first."""

    model_version_status: list[VersionStatus]


class ModelSpec(Struct, frozen=True):
    """Which version is described."""

    name: str
    signature_name: str
    version: str


class MetadataResponse(Struct, frozen=True):
    """The signatures of a version."""

    model_spec: ModelSpec
    metadata: dict[str, Any]
