"""The methods of other protocols that need no scores, as handlers of grpcio's public servers."""

from collections.abc import AsyncIterator, Mapping

import grpc

from rankserve_server.observing.seen_call import current_request_id, with_trailers_of_call
from rankserve_server.protocols.service import Answer
from rankserve_server.service.async_scoring import Unary
from rankserve_server.service.calls import Context, fail, message_read
from rankserve_server.service.status import call_status_of


def threaded_handlers(answers: Mapping[str, Answer]) -> "dict[str, grpc.RpcMethodHandler[bytes, bytes]]":
    """Handlers by name of the method, for a thread each, on either of grpcio's servers."""
    return {name: grpc.unary_unary_rpc_method_handler(_Threaded(answer)) for name, answer in answers.items()}


class _Threaded:
    """Answers a call; an error becomes its status."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def __call__(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            return self._answer(request)
        except Exception as error:  # a bug too must reach the client as a status
            code, message, trailers = call_status_of(error, current_request_id())
            context.set_trailing_metadata(with_trailers_of_call(trailers))
            context.abort(code, message)


def answered(answer: Answer) -> Unary:
    """A handler of grpc.aio that answers at once, on its loop; see `AsyncScoring` for why it reads for itself."""

    async def handle(_requests: AsyncIterator[bytes], context: Context) -> bytes:
        request = await context.read()
        try:
            return answer(message_read(request))
        except Exception as error:  # as above
            await fail(context, error)

    return handle
