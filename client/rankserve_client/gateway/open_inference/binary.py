"""Triton's extension for binary tensors: JSON first, then the bytes of each tensor in their order, little-endian."""

import math
import sys
from array import array
from collections.abc import Sequence

from rankserve_client.gateway.calls import Call
from rankserve_client.gateway.open_inference.messages import InferRequest, RequestInput
from rankserve_client.gateway.problems import invalid
from rankserve_client.gateway.tensors import Tensor, check_shape

LENGTH_HEADER = "Inference-Header-Content-Length"
SIZE = "binary_data_size"
_SWAPPED = sys.byteorder == "big"


def split(call: Call) -> tuple[bytes, bytes]:
    """The JSON of a request and what comes behind it.

    Raises:
        BadRequestError: where the header says more than there is.
    """
    text = call.request.headers.get(LENGTH_HEADER)
    if text is None:
        return call.body, b""
    if not text.isdigit() or int(text) > len(call.body):
        raise invalid(LENGTH_HEADER, f"should be 0 to {len(call.body)}, the size of the body, got {text[:40]!r}")
    return call.body[: int(text)], call.body[int(text) :]


def tensors_of(request: InferRequest, content: bytes) -> dict[str, Tensor]:
    """The inputs whose elements are bytes, by name.

    Raises:
        BadRequestError: where they do not fit together.
    """
    found: dict[str, Tensor] = {}
    start = 0
    for entry in request.inputs:
        size = entry.parameters.get(SIZE)
        if size is None:
            continue
        if type(size) is not int or not 0 <= size <= len(content) - start:
            raise invalid(entry.name, f"its {SIZE} should be 0 to {len(content) - start}, the bytes left, got {size!r}")
        found[entry.name] = _tensor(entry, content[start : start + size])
        start += size
    if start != len(content):
        raise invalid("inputs", f"should say of {len(content)} bytes behind the JSON whose they are, got {start}")
    return found


def encoded(scores: Sequence[float]) -> bytes:
    """Scores as FP32."""
    elements = array("f", scores)
    if _SWAPPED:
        elements.byteswap()
    return elements.tobytes()


def _tensor(entry: RequestInput, content: bytes) -> Tensor:
    check_shape(entry.name, entry.shape)
    elements = array("q" if entry.datatype == "INT64" else "i")
    if len(content) % elements.itemsize:
        raise invalid(entry.name, f"should have {elements.itemsize} bytes for each element, got {len(content)} bytes")
    elements.frombytes(content)
    if _SWAPPED:
        elements.byteswap()
    ids = elements.tolist()
    if len(ids) != math.prod(entry.shape):
        raise invalid(entry.name, f"its shape {entry.shape} should have as many elements as its bytes: {len(ids)}")
    return Tensor(ids, tuple(entry.shape))
