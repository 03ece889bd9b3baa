"""A service of another protocol, as the transports see it: they know its methods by name and nothing else."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from google.protobuf.message import Message

from rankserve_server.service.conversion import parsed
from rankserve_server.service.planning import PlanMessage

_Request = TypeVar("_Request", bound=Message)
# From an encoded request to the encoded answer; raises a RequestError.
Answer: TypeAlias = Callable[[bytes], bytes]
# From an encoded request of a stream, and why it is refused, to the encoded answer that says so.
RefuseMessage: TypeAlias = Callable[[bytes, Exception], bytes]


@dataclass(frozen=True)
class ScoredStream:
    """A method with a stream of requests, each with one answer, in their order.

    Attributes:
        plan: of a request.
        refuse: the answer to one that cannot be answered; the stream goes on.
    """

    plan: PlanMessage
    refuse: RefuseMessage


@dataclass(frozen=True)
class ProtocolService:
    """The methods of one service, by name.

    Attributes:
        name: with its package.
        scored: unary ones that need the engine.
        streams: likewise, of streams.
        quick: unary ones that are answered at once, on whichever thread.
        slow: unary ones that may take seconds.
    """

    name: str
    scored: Mapping[str, PlanMessage] = field(default_factory=dict)
    streams: Mapping[str, ScoredStream] = field(default_factory=dict)
    quick: Mapping[str, Answer] = field(default_factory=dict)
    slow: Mapping[str, Answer] = field(default_factory=dict)


def answering(request_type: type[_Request], answer: Callable[[_Request], Message]) -> Answer:
    """An `Answer` from one that takes and gives messages."""

    def answer_encoded(message: bytes) -> bytes:
        return answer(parsed(request_type, message)).SerializeToString()

    return answer_encoded
