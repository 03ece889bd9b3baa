"""How calls end, whatever ends them."""

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from rankserve_server.errors import OverloadedError
from rankserve_server.service.status import STATUS_DETAILS_KEY, call_status_of


@given(request_id=st.text("0aZ._:/+=-", min_size=1, max_size=128))
def test_a_refusal_that_is_encoded_once_names_each_request(request_id: str) -> None:
    details: list[Any] = []
    for detail in (
        error_details_pb2.RetryInfo(retry_delay=Duration(nanos=50_000_000)),
        error_details_pb2.RequestInfo(request_id=request_id),
    ):
        packed = Any()
        packed.Pack(detail)
        details.append(packed)
    whole = status_pb2.Status(code=code_pb2.RESOURCE_EXHAUSTED, message="full", details=details)
    ended, unnamed = (call_status_of(OverloadedError("full", 0.05), name) for name in (request_id, ""))
    (key, encoded), *others = ended.trailers
    assert (key, encoded) == (STATUS_DETAILS_KEY, whole.SerializeToString())
    assert ended.trailers[1:] == unnamed.trailers[1:] == tuple(others)
    assert others
