"""The OpenAPI document says the truth: it is valid, and every operation answers as it says."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from integration.gateway.conftest import ALIAS
from integration.gateway.gateway_process import Gateway
from rankserve_client.gateway.app import OPERATIONS
from rankserve_client.gateway.operations import Operation

PLACES = {"model": "towers", "version": "1", "label": ALIAS, "user_id": "6"}
QUERIES = {"search": "item", "limit": "2", "version": "1", "alias": "", "ids": "", "string_ids": "true"}


@pytest.fixture(scope="module")
def document(gateway: Gateway) -> Any:
    return gateway.get("/openapi.json").json


def test_is_valid(document: Any) -> None:
    OpenAPIV31SpecValidator(document).validate()
    ids = [each["operationId"] for methods in document["paths"].values() for each in methods.values()]
    assert len(ids) == len(set(ids)) == len(OPERATIONS)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_an_operation_answers_as_documented(gateway: Gateway, document: Any, operation: Operation) -> None:
    described = document["paths"][operation.path][operation.method.lower()]
    path = operation.path.format(**PLACES)
    given = {each["name"]: QUERIES[each["name"]] for each in described["parameters"] if each["in"] == "query"}
    query = "&".join(f"{name}={quote(value)}" for name, value in given.items() if value)
    body = None
    if operation.body is not None:
        content = described["requestBody"]["content"]["application/json"]
        check(document, content["schema"], content["example"])
        body = json.dumps(content["example"]).encode()
    answer = gateway.call(operation.method, f"{path}?{query}", body)
    assert answer.status == 200, answer.body
    check(document, described["responses"]["200"]["content"]["application/json"]["schema"], answer.json)


@pytest.mark.parametrize(
    "operation", [operation for operation in OPERATIONS if operation.body], ids=lambda operation: operation.name
)
def test_an_operation_fails_as_documented(gateway: Gateway, document: Any, operation: Operation) -> None:
    described = document["paths"][operation.path][operation.method.lower()]
    answer = gateway.post(operation.path.format(**PLACES), {"surprise": 1})
    assert answer.status == 400
    ((media_type, content),) = described["responses"]["default"]["content"].items()
    assert answer.headers["content-type"] == media_type
    check(document, content["schema"], answer.json)


def check(document: Any, schema: Any, value: Any) -> None:
    """A schema whose references lead into the document."""
    OAS31Validator({**schema, "components": document["components"]}).validate(value)
