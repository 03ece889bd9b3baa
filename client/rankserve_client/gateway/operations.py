"""What can be asked for, as values: routes and the OpenAPI document are both made of them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from starlette.responses import Response

from rankserve_client.gateway.calls import Call
from rankserve_client.gateway.problems import plain_error_response, problem_response


@dataclass(frozen=True)
class Parameter:
    """A part of the path or of what stands behind the question mark."""

    name: str
    description: str
    schema: dict[str, Any] = field(default_factory=lambda: {"type": "string"})
    where: Literal["path", "query"] = "query"


@dataclass(frozen=True)
class Operation:
    """One method on one path.

    Attributes:
        method: of HTTP.
        path: with names in braces.
        name: the operation's id.
        summary: one line.
        answer: makes the result, a value of type `result` or a whole response.
        tag: the protocol.
        result: the type of the answer's body.
        body: that of the request's body; None where there is none.
        parameters: those of the path and behind the question mark.
        example: a body that can be sent.
        statuses: of the answers that are no errors, with what they mean.
        open: whether the server answers it without a token.
    """

    method: Literal["GET", "POST"]
    path: str
    name: str
    summary: str
    answer: Callable[[Call], Awaitable[Any]]
    tag: "Protocol"
    result: Any
    body: Any = None
    parameters: tuple[Parameter, ...] = ()
    example: dict[str, Any] | None = None
    statuses: tuple[tuple[int, str], ...] = ((200, "The answer."),)
    open: bool = False


@dataclass(frozen=True)
class Protocol:
    """A family of operations.

    Attributes:
        name: for people.
        description: one line.
        error: how its callers are told of errors; gets the id of the request too.
        has_problems: whether that is as problem details.
    """

    name: str
    description: str
    error: Callable[[Exception, str], Response]
    has_problems: bool


OWN = Protocol("rankserve", "Ranking, models and their catalogues.", problem_response, has_problems=True)
PROBES = Protocol("probes", "For load balancers and orchestrators.", problem_response, has_problems=True)
OPEN_INFERENCE = Protocol(
    "Open Inference Protocol v2", "As KServe and Triton speak it.", plain_error_response, has_problems=False
)
TF_SERVING = Protocol("TF Serving", "As TensorFlow Serving's REST API.", plain_error_response, has_problems=False)

MODEL = Parameter("model", "The model's name.", where="path")
VERSION = Parameter("version", "A version's number, or an alias.", where="path")
