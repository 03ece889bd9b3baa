"""Rank requests of the plainest kind, decoded many at a time.

Most requests are a user and candidates, and nothing else. Protobuf makes several objects for each of them; here the
ids of all the requests of a round become one array, in a quarter of the time. Whatever is not exactly of that kind, or
wrong in any way, is left to protobuf: what this module decodes it decodes as protobuf does
(https://protobuf.dev/programming-guides/encoding).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rankserve.v1 import ranking_pb2
from rankserve_server.told import Ids

_USER_ID_TAG = ranking_pb2.RankRequest.USER_ID_FIELD_NUMBER << 3
_CANDIDATE_IDS_TAG = ranking_pb2.RankRequest.CANDIDATE_IDS_FIELD_NUMBER << 3 | 2
# Longer messages are protobuf's: it is as fast where there are many ids in each.
_MOST_MESSAGE_BYTES = 2_048
# Of a varint. So an id is below 2^28 and fits into 32 bits on the way.
_MOST_VARINT_BYTES = 4
_PAYLOAD = 0x7F
_CONTINUED = 0x80


@dataclass(slots=True)
class PlainRequest:
    """A user and candidates: int64[n], n is 1 or more."""

    user_id: int
    candidate_ids: Ids


def decode_plain(messages: Sequence[bytes | None]) -> list[PlainRequest | None]:
    """Decodes serialised RankRequests.

    Args:
        messages: of whatever content; None stands for none.

    Returns:
        For each message what it says; None where protobuf has to look at it.
    """
    decoded: list[PlainRequest | None] = [None] * len(messages)
    places, users, payloads = [], [], []
    for place, message in enumerate(messages):
        split = _split(message) if message else None
        if split is not None:
            places.append(place)
            users.append(split[0])
            payloads.append(split[1])
    if places:
        for place, user, ids in zip(places, users, _decode_ids(payloads), strict=True):
            if ids is not None:
                decoded[place] = PlainRequest(user, ids)
    return decoded


def _split(message: bytes) -> tuple[int, bytes] | None:
    """The user, and the bytes of the candidates; None where the message is not made of these two in this order."""
    size = len(message)
    # Two tags, two varints and an id are five bytes at least.
    if not 5 <= size <= _MOST_MESSAGE_BYTES or message[0] != _USER_ID_TAG:
        return None
    user, at = _varint(message, 1)
    if at + 2 >= size or message[at] != _CANDIDATE_IDS_TAG:
        return None
    length, at = _varint(message, at + 1)
    if at + length != size or at == size or message[-1] >= _CONTINUED:
        return None
    return user, message[at:]


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """The number that starts there, and where it ends; an end behind the message where it is none of up to 4 bytes."""
    number = 0
    for place, byte in enumerate(message[at : at + _MOST_VARINT_BYTES]):
        number |= (byte & _PAYLOAD) << 7 * place
        if byte < _CONTINUED:
            return number, at + place + 1
    return 0, len(message) + 1


def _decode_ids(payloads: Sequence[bytes]) -> list[Ids | None]:
    """The ids of each payload; None where one is longer than 4 bytes.

    Args:
        payloads: varints, one behind the other; each payload ends with the last byte of one.
    """
    encoded = np.frombuffer(b"".join(payloads), np.uint8)
    last_bytes = np.flatnonzero(encoded < _CONTINUED)
    lengths = np.diff(last_bytes, prepend=-1)
    longest = int(lengths.max())
    groups = np.bitwise_and(encoded, np.uint8(_PAYLOAD))
    ids = _joined_groups(groups, last_bytes, lengths, min(longest, _MOST_VARINT_BYTES)).astype(np.int64)
    ends = np.searchsorted(last_bytes, np.cumsum([len(payload) for payload in payloads])).tolist()
    starts = [0, *ends[:-1]]
    return [
        None if longest > _MOST_VARINT_BYTES and lengths[start:end].max() > _MOST_VARINT_BYTES else ids[start:end]
        for start, end in zip(starts, ends, strict=True)
    ]


def _joined_groups(
    groups: npt.NDArray[np.uint8], last_bytes: npt.NDArray[np.intp], lengths: npt.NDArray[np.intp], longest: int
) -> npt.NDArray[np.uint32]:
    """The numbers whose groups of seven bits end there; the last group is the highest."""
    numbers = groups.take(last_bytes).astype(np.uint32)
    for back in range(1, longest):
        lower = groups.take(last_bytes - back, mode="clip")
        numbers = np.where(lengths > back, numbers << np.uint32(7) | lower, numbers)
    return numbers
