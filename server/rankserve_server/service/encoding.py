"""RankResponse to bytes without building all of the message.

The scores are the bytes of their array already, and the ids of a catalogue are encoded once when it is loaded; to turn
both into Python numbers and back takes longer than all the rest of an answer. Serialised messages may be joined: the
parts of one message in a row are the message (https://protobuf.dev/programming-guides/encoding/#last-one-wins).
"""

from functools import cache

import numpy as np
import numpy.typing as npt

from rankserve.v1 import ranking_pb2
from rankserve_server.loaded_model import LoadedModel
from rankserve_server.ranking import Ranking
from rankserve_server.told import UserBasis

_LENGTH_DELIMITED = 2
_BITS = 7


class ResponseEncoder:
    """Encodes the responses of one model version."""

    def __init__(self, model: LoadedModel) -> None:
        """Encodes the ids of the catalogue."""
        self._encoded_ids = _encoded_ids(model.catalog.ids)
        self._same_part = {basis: _same_part(model, basis) for basis in UserBasis}

    def encode(self, ranking: Ranking) -> bytes:
        """What the response with this ranking is on the wire, up to the order of its fields."""
        # Little-endian, as the wire wants it; on the machines that JAX runs on this converts nothing.
        scores = ranking.scores.astype("<f4", copy=False).tobytes()
        parts = [self._same_part[ranking.user_basis], *self._item_ids(ranking), _SCORES, _length(len(scores)), scores]
        if ranking.choice_scores is not None:
            choices = ranking.choice_scores.astype("<f4", copy=False).tobytes()
            parts += _CHOICE_SCORES, _length(len(choices)), choices
        if ranking.unknown_item_ids or ranking.titles:
            rest = ranking_pb2.RankResponse(
                unknown_item_ids=ranking.unknown_item_ids,
                described_item_ids=ranking.described_item_ids,
                titles=ranking.titles or (),
            )
            parts.append(rest.SerializeToString())
        return b"".join(parts)

    def _item_ids(self, ranking: Ranking) -> tuple[bytes, ...]:
        if self._encoded_ids is None or ranking.unknown_item_ids:
            return (ranking_pb2.RankResponse(item_ids=ranking.item_ids.tolist()).SerializeToString(),)
        ids = self._encoded_ids.take(ranking.item_rows).tobytes()
        return _ITEM_IDS, _length(len(ids)), ids


def _same_part(model: LoadedModel, basis: UserBasis) -> bytes:
    """What all responses have in common whose users were scored by the same."""
    return ranking_pb2.RankResponse(
        user_known=basis in (UserBasis.KNOWN, UserBasis.KNOWN_AND_HISTORY),
        user_basis=ranking_pb2.UserBasis.ValueType(basis),
        model_name=model.name,
        model_version=model.version,
    ).SerializeToString()


def _encoded_ids(ids: npt.NDArray[np.int64]) -> npt.NDArray[np.unsignedinteger] | None:
    """Each id as a varint, all of one width, as one number: element r is that of row r.

    A varint may be longer than it need be: leading groups of zeros are groups too. So each id is as long as the
    longest, rounded up to a width that an array can have. None where that is more than 8 bytes, for ids from 2^56 on.
    """
    largest = int(ids[-1]) if len(ids) else 0
    for width in (1, 2, 4, 8):
        if largest < 1 << _BITS * width:
            break
    else:
        return None
    encoded = np.zeros((len(ids) + 1, width), np.uint8)
    for byte in range(width):
        encoded[1:, byte] = ids >> _BITS * byte & 0x7F
    encoded[:, :-1] |= 0x80  # all but the last byte say that another one follows
    return encoded.view(f"u{width}").reshape(-1)


@cache
def _length(count: int) -> bytes:
    """A length as a varint; they are few."""
    return _varint(count)


def _varint(number: int) -> bytes:
    """A number of 0 or more as a varint: seven bits a byte, the lowest first."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= _BITS
    encoded.append(number)
    return bytes(encoded)


def _packed_tag(field_number: int) -> bytes:
    return _varint(field_number << 3 | _LENGTH_DELIMITED)


_ITEM_IDS = _packed_tag(ranking_pb2.RankResponse.ITEM_IDS_FIELD_NUMBER)
_SCORES = _packed_tag(ranking_pb2.RankResponse.SCORES_FIELD_NUMBER)
_CHOICE_SCORES = _packed_tag(ranking_pb2.RankResponse.CHOICE_SCORES_FIELD_NUMBER)
