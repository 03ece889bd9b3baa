"""A real gRPC server on a real port whose answers a test scripts."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NoReturn

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, status_pb2
from grpc_status import rpc_status

from rankserve.v1 import catalog_pb2, models_pb2, models_pb2_grpc, ranking_pb2, ranking_pb2_grpc

ITEM = catalog_pb2.Item(item_id=204, title="Back to the Future (1985)", genres=["Comedy", "Sci-Fi"], rating_count=350)
Answer = Callable[[ranking_pb2.RankRequest], ranking_pb2.RankResponse]


@dataclass
class RefusedError(Exception):
    """Raised by a script: ends a unary call with this status, or becomes the `error` of one response of several."""

    code: grpc.StatusCode
    message: str = "the script says no"
    details: tuple[Message, ...] = ()

    def packed(self) -> list[any_pb2.Any]:
        packed = []
        for detail in self.details:
            wrapper = any_pb2.Any()
            wrapper.Pack(detail)
            packed.append(wrapper)
        return packed

    def abort(self, context: grpc.ServicerContext) -> NoReturn:
        if not self.details:
            context.abort(self.code, self.message)
        number = code_pb2.Code.Value(self.code.name)
        status = status_pb2.Status(code=number, message=self.message, details=self.packed())
        context.abort_with_status(rpc_status.to_status(status))

    def as_response(self) -> ranking_pb2.RankResponse:
        number = code_pb2.Code.Value(self.code.name)
        error = ranking_pb2.RequestError(code=number, message=self.message, details=self.packed())
        return ranking_pb2.RankResponse(error=error)


def echo(request: ranking_pb2.RankRequest) -> ranking_pb2.RankResponse:
    """The candidates in their order, with falling scores and the user's id as the model's version."""
    count = len(request.candidate_ids)
    return ranking_pb2.RankResponse(
        item_ids=request.candidate_ids,
        scores=[count - place for place in range(count)],
        titles=[f"item {item}" for item in request.candidate_ids] if request.include_titles else (),
        user_known=True,
        model_name="scripted",
        model_version=request.user_id,
    )


@dataclass
class ScriptedServer:
    """Answers as the script says and remembers what it was asked. Hold it as a context manager.

    `called` is set when a call arrives, and `ended` when one has ended: if its answer is still being made, then by the
    client.
    """

    answer: Answer = echo
    models: list[models_pb2.Model] = field(default_factory=list)
    address: str = "127.0.0.1:0"
    credentials: grpc.ServerCredentials | None = None
    requests: list[Any] = field(default_factory=list)
    metadata: list[dict[str, str | bytes]] = field(default_factory=list)
    trailing_metadata: tuple[tuple[str, str | bytes], ...] = ()
    forgotten_answers: int = 0
    refusal: RefusedError | None = None
    called: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    target: str = ""

    def __enter__(self) -> "ScriptedServer":
        self._pool = ThreadPoolExecutor(8)
        self._server = grpc.server(self._pool, options=[("grpc.so_reuseport", 0)])
        ranking_pb2_grpc.add_RankingServiceServicer_to_server(_Ranking(self), self._server)
        models_pb2_grpc.add_ModelServiceServicer_to_server(_Models(self), self._server)
        if self.credentials:
            port = self._server.add_secure_port(self.address, self.credentials)
        else:
            port = self._server.add_insecure_port(self.address)
        self.target = self.address if self.address.startswith("unix:") else f"{self.address.rpartition(':')[0]}:{port}"
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends every call and connection at once."""
        self._server.stop(grace=0).wait()
        self._pool.shutdown(wait=False)

    def asked(self, request: Any, context: grpc.ServicerContext) -> None:
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        context.add_callback(self.ended.set)
        context.set_trailing_metadata(self.trailing_metadata)
        self.called.set()


class _Ranking(ranking_pb2_grpc.RankingServiceServicer):
    def __init__(self, script: ScriptedServer) -> None:
        self._script = script

    def Rank(self, request: ranking_pb2.RankRequest, context: grpc.ServicerContext) -> ranking_pb2.RankResponse:
        self._script.asked(request, context)
        try:
            return self._script.answer(request)
        except RefusedError as refused:
            refused.abort(context)

    def BatchRank(
        self, request: ranking_pb2.BatchRankRequest, context: grpc.ServicerContext
    ) -> ranking_pb2.BatchRankResponse:
        self._script.asked(request, context)
        responses = [self._one_of_several(each) for each in request.requests]
        return ranking_pb2.BatchRankResponse(responses=responses[self._script.forgotten_answers :])

    def RankStream(
        self, request_iterator: Iterator[ranking_pb2.RankRequest], context: grpc.ServicerContext
    ) -> Iterator[ranking_pb2.RankResponse]:
        self._script.asked(None, context)
        for request in request_iterator:
            self._script.requests.append(request)
            if request.user_id < 0:  # the script's way to end a whole stream
                RefusedError(grpc.StatusCode.UNAVAILABLE, "shutting down").abort(context)
            yield self._one_of_several(request)

    def _one_of_several(self, request: ranking_pb2.RankRequest) -> ranking_pb2.RankResponse:
        try:
            return self._script.answer(request)
        except RefusedError as refused:
            return refused.as_response()


class _Models(models_pb2_grpc.ModelServiceServicer):
    def __init__(self, script: ScriptedServer) -> None:
        self._script = script

    def ListModels(
        self, request: models_pb2.ListModelsRequest, context: grpc.ServicerContext
    ) -> models_pb2.ListModelsResponse:
        self._script.asked(request, context)
        return models_pb2.ListModelsResponse(models=self._script.models)

    def GetModel(
        self, request: models_pb2.GetModelRequest, context: grpc.ServicerContext
    ) -> models_pb2.GetModelResponse:
        self._script.asked(request, context)
        if not self._script.models:
            RefusedError(grpc.StatusCode.NOT_FOUND, "no models").abort(context)
        return models_pb2.GetModelResponse(model=self._script.models[0])

    def Reload(self, request: models_pb2.ReloadRequest, context: grpc.ServicerContext) -> models_pb2.ReloadResponse:
        self._script.asked(request, context)
        return models_pb2.ReloadResponse(models=self._script.models)

    def ChangeServing(
        self, request: models_pb2.ChangeServingRequest, context: grpc.ServicerContext
    ) -> models_pb2.ChangeServingResponse:
        self._answered(request, context)
        return models_pb2.ChangeServingResponse(models=self._script.models)

    def GetItems(
        self, request: catalog_pb2.GetItemsRequest, context: grpc.ServicerContext
    ) -> catalog_pb2.GetItemsResponse:
        self._answered(request, context)
        return catalog_pb2.GetItemsResponse(
            items=[ITEM], unknown_item_ids=[9999], model_name="scripted", model_version=4
        )

    def SearchItems(
        self, request: catalog_pb2.SearchItemsRequest, context: grpc.ServicerContext
    ) -> catalog_pb2.SearchItemsResponse:
        self._answered(request, context)
        return catalog_pb2.SearchItemsResponse(items=[ITEM], model_name="scripted", model_version=4)

    def GetUser(
        self, request: catalog_pb2.GetUserRequest, context: grpc.ServicerContext
    ) -> catalog_pb2.GetUserResponse:
        self._answered(request, context)
        return catalog_pb2.GetUserResponse(
            known=True, seen_count=7, seen_items=[ITEM], model_name="scripted", model_version=4
        )

    def GetBaseline(
        self, request: catalog_pb2.GetBaselineRequest, context: grpc.ServicerContext
    ) -> catalog_pb2.GetBaselineResponse:
        self._answered(request, context)
        return catalog_pb2.GetBaselineResponse(scores=[3.5, 4.25], model_name="scripted", model_version=4)

    def _answered(self, request: object, context: grpc.ServicerContext) -> None:
        self._script.asked(request, context)
        if self._script.refusal is not None:
            self._script.refusal.abort(context)
