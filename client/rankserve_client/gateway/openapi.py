"""The OpenAPI document, made of the operations and of the types of their bodies."""

from collections.abc import Sequence
from typing import Any

import msgspec

from rankserve_client.gateway.operations import Operation
from rankserve_client.gateway.problems import MEDIA_TYPE, Problem
from rankserve_client.version import __version__

_SCHEMA = "#/components/schemas/{name}"
_JSON = "application/json"
_REQUEST_TIMEOUT = {
    "name": "Request-Timeout",
    "in": "header",
    "description": "Seconds that the request may take; at most the gateway's own bound.",
    "schema": {"type": "number", "exclusiveMinimum": 0},
}
_DESCRIPTION = (
    "JSON over HTTP in front of a rankserve server. Ids are integers of 64 bits: exact as numbers, and taken as "
    "strings too. Where the server asks for tokens, it gets the one of the Authorization header."
)
# Every protocol's errors: what they mean is what gRPC's statuses mean.
_ERROR = {"description": "An error; 429 and 503 say with Retry-After when to come back."}


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """The document, of version 3.1."""
    types = list(
        dict.fromkeys([Problem, *(type_ for each in operations for type_ in (each.body, each.result) if type_)])
    )
    schemas, components = msgspec.json.schema_components(types, ref_template=_SCHEMA)
    schema_of = dict(zip(types, schemas, strict=True))
    components["Error"] = {
        "type": "object",
        "description": "An error of the protocols of other servers.",
        "properties": {"error": {"type": "string"}},
        "required": ["error"],
    }
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation, schema_of)
    tags = {operation.tag.name: operation.tag.description for operation in operations}
    return {
        "openapi": "3.1.0",
        "info": {"title": "rankserve gateway", "version": __version__, "description": _DESCRIPTION},
        "tags": [{"name": name, "description": description} for name, description in tags.items()],
        "security": [{"token": []}, {}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _described(operation: Operation, schema_of: dict[Any, Any]) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {
            "name": parameter.name,
            "in": parameter.where,
            "description": parameter.description,
            "required": parameter.where == "path",
            "schema": parameter.schema,
        }
        for parameter in operation.parameters
    ]
    error = (
        {MEDIA_TYPE: {"schema": schema_of[Problem]}}
        if operation.tag.has_problems
        else {_JSON: {"schema": {"$ref": _SCHEMA.format(name="Error")}}}
    )
    answers = {
        str(status): {"description": text, "content": {_JSON: {"schema": schema_of[operation.result]}}}
        for status, text in operation.statuses
    }
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag.name],
        "parameters": [*parameters, _REQUEST_TIMEOUT],
        "responses": {**answers, "default": {**_ERROR, "content": error}},
    }
    if operation.open:
        described["security"] = []
    if operation.body is not None:
        media: dict[str, Any] = {"schema": schema_of[operation.body]}
        if operation.example is not None:
            media["example"] = operation.example
        described["requestBody"] = {"required": True, "content": {_JSON: media}}
    return described
