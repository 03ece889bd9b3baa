"""How a server is asked for the scores of one user's candidates: ours, and the Open Inference Protocol v2 of others."""

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rankserve.v1 import ranking_pb2

OIP_MODEL = "movielens"
_LENGTH_DELIMITED = 2

Scores = list[tuple[int, float]]


@dataclass(frozen=True)
class Protocol:
    """One way to ask.

    Attributes:
        method: the gRPC method, as `package.Service/Method`.
        encode: the request's message for a user and candidates.
        decode: each candidate with its score from an answer, which it is told what was asked for.
        metadata: sent with each request.
    """

    method: str
    encode: Callable[[int, Sequence[int]], bytes]
    decode: Callable[[bytes, Sequence[int]], Scores]
    metadata: tuple[tuple[str, str], ...] = ()


def _encode_ranking(user: int, items: Sequence[int]) -> bytes:
    return ranking_pb2.RankRequest(user_id=user, candidate_ids=items).SerializeToString()


def _decode_ranking(answer: bytes, items: Sequence[int]) -> Scores:
    response = ranking_pb2.RankResponse.FromString(answer)
    falling = list(response.scores) == sorted(response.scores, reverse=True)
    if not falling or sorted(response.item_ids) != sorted(items):
        raise ValueError("not a ranking of the candidates")
    return list(zip(response.item_ids, response.scores, strict=True))


def _encode_inference(user: int, items: Sequence[int]) -> bytes:
    """A ModelInferRequest of `user` int32[1, 1] and `item` int32[1, n], in raw bytes, as tritonclient sends them.

    Written by hand: the stubs of any two of these servers clash in one process.
    """
    tensors = [("user", np.array([[user]], np.int32)), ("item", np.array([items], np.int32))]
    inputs = [
        _field(5, _field(1, name.encode()) + _field(2, b"INT32") + _field(3, b"".join(map(_varint, tensor.shape))))
        for name, tensor in tensors
    ]
    return b"".join([_field(1, OIP_MODEL.encode()), *inputs, *(_field(7, tensor.tobytes()) for _, tensor in tensors)])


def _decode_inference(answer: bytes, items: Sequence[int]) -> Scores:
    """The scores of a ModelInferResponse, in the order of the request."""
    (raw,) = (value for number, value in _fields(answer) if number == 6)
    return list(zip(items, np.frombuffer(raw, np.float32).tolist(), strict=True))


def _field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Those of a message whose fields are all strings, bytes or messages, as ModelInferResponse's are."""
    position = 0
    while position < len(message):
        tag, position = _read_varint(message, position)
        if tag & 7 != _LENGTH_DELIMITED:
            raise ValueError(f"unexpected wire type {tag & 7}")
        length, position = _read_varint(message, position)
        yield tag >> 3, message[position : position + length]
        position += length


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while message[position] > 0x7F:
        value |= (message[position] & 0x7F) << shift
        position, shift = position + 1, shift + 7
    return value | message[position] << shift, position + 1


def frame(message: bytes) -> bytes:
    """A message as gRPC sends it, uncompressed."""
    return b"\0" + struct.pack(">I", len(message)) + message


RANKING = Protocol("rankserve.v1.RankingService/Rank", _encode_ranking, _decode_ranking)
OPEN_INFERENCE = Protocol("inference.GRPCInferenceService/ModelInfer", _encode_inference, _decode_inference)
