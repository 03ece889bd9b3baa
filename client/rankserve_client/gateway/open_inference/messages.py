"""The bodies of the protocol. Fields of later releases are let pass, as the protocol wants it."""

from typing import Any

from msgspec import UNSET, Struct, UnsetType


class RequestInput(Struct, frozen=True):
    """An input: its elements in `data`, or as bytes behind the JSON."""

    name: str
    datatype: str
    shape: list[int]
    data: list[Any] | UnsetType = UNSET
    parameters: dict[str, Any] = {}


class RequestOutput(Struct, frozen=True):
    """An output that is asked for."""

    name: str
    parameters: dict[str, Any] = {}


class InferRequest(Struct, frozen=True):
    """What to score."""

    inputs: list[RequestInput]
    outputs: list[RequestOutput] = []
    id: str = ""
    parameters: dict[str, Any] = {}


class ResponseOutput(Struct, frozen=True, omit_defaults=True):
    """The scores: row by row in `data`, or as bytes behind the JSON."""

    name: str
    datatype: str
    shape: list[int]
    data: list[float] | UnsetType = UNSET
    parameters: dict[str, Any] | UnsetType = UNSET


class InferResponse(Struct, frozen=True, omit_defaults=True):
    """The answer."""

    model_name: str
    model_version: str
    outputs: list[ResponseOutput]
    id: str = ""


class TensorMetadata(Struct, frozen=True):
    """A tensor of a model; -1 is any size."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(Struct, frozen=True):
    """What a model takes and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ServerMetadata(Struct, frozen=True):
    """Who answers."""

    name: str
    version: str
    extensions: list[str]


class Live(Struct, frozen=True):
    """Whether the gateway lives."""

    live: bool


class Ready(Struct, frozen=True):
    """Whether the server answers."""

    ready: bool


class ModelReady(Struct, frozen=True):
    """Whether a version answers."""

    name: str
    ready: bool
