"""Where the messages of other protocols are registered.

A process can hold two files of one protocol only in two pools. In the default one, whoever imports a client library of
such a protocol beside the server, before it or after it, would get an error. The generated modules use this module in
the place of `google.protobuf.descriptor_pool`.
"""

from google.protobuf import any_pb2, wrappers_pb2
from google.protobuf.descriptor_pool import DescriptorPool

_POOL = DescriptorPool()
# What they import, which this pool knows nothing of either.
for _file in (any_pb2.DESCRIPTOR, wrappers_pb2.DESCRIPTOR):
    _POOL.AddSerializedFile(_file.serialized_pb)


def Default() -> DescriptorPool:  # noqa: N802, the generated code calls it that
    """The pool."""
    return _POOL
