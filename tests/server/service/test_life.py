"""Before a server is ready, and while it stops."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from integration.statuses import status_of
from rankserve.v1 import models_pb2, ranking_pb2
from server.service.conftest import Health, LocalServer, Serve, read

Request = ranking_pb2.RankRequest
CheckRequest = health_pb2.HealthCheckRequest
RANKING = "rankserve.v1.RankingService"
SHUTTING_DOWN = "the server is shutting down; another one can answer"
# Takes 49 slices.
LARGE = ranking_pb2.BatchRankRequest(requests=[Request(user_id=2, candidate_ids=[1] * 10_000)] * 10)
# Far below the drain time, and enough for a busy machine.
SOON = 5.0


async def assert_unavailable(server: LocalServer, message: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await server.ranking.Rank(Request(candidate_ids=[1]))
    status = status_of(caught.value)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert (status.message, list(status.details)) == (message, [])


async def silence() -> AsyncIterator[ranking_pb2.RankRequest]:
    """Requests of a client that sends none and does not end."""
    await asyncio.Event().wait()
    yield Request()


class TestLoading:
    async def test_it_says_that_it_is_not_ready(self, serve: Serve) -> None:
        loaded = threading.Event()
        async with serve(loaded=loaded) as server:
            await assert_unavailable(server, "the server is loading its models; try again later")
            # The whole call, not each request in it, so that a client's retries see it.
            # A stream that sends nothing: grpc.aio's client can take a failed write for the call's status.
            for call in (
                server.ranking.BatchRank(ranking_pb2.BatchRankRequest(requests=[Request(candidate_ids=[1])])),
                server.ranking.RankStream().read(),
            ):
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await call
                assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
            for service in ("", RANKING):
                assert (await server.health.Check(CheckRequest(service=service))).status == Health.NOT_SERVING
            (model,) = (await server.models.ListModels(models_pb2.ListModelsRequest())).models
            assert (model.name, model.version, model.state) == ("small", 3, models_pb2.MODEL_STATE_LOADING)
            assert not model.is_default
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await server.models.GetModel(models_pb2.GetModelRequest())
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            loaded.set()
            await server.health_is(Health.SERVING)
            assert list((await server.ranking.Rank(Request(candidate_ids=[1]))).item_ids) == [1]

    async def test_watchers_learn_when_it_is(self, serve: Serve) -> None:
        loaded = threading.Event()
        async with serve(loaded=loaded) as server:
            watches = [server.health.Watch(CheckRequest(service=service)) for service in ("", RANKING)]
            for watch in watches:
                assert (await watch.read()).status == Health.NOT_SERVING
            loaded.set()
            for watch in watches:
                assert (await watch.read()).status == Health.SERVING
            server.stop()
            for watch in watches:
                assert (await watch.read()).status == Health.NOT_SERVING

    async def test_it_can_be_stopped(self, serve: Serve) -> None:
        async with serve(loaded=threading.Event()) as server:
            assert await server.stopped() < SOON


class TestStopping:
    async def test_what_is_in_flight_is_answered_and_nothing_new_is_taken(self, serve: Serve) -> None:
        async with serve() as server:
            server.engine.pause = 0.03
            batch = server.ranking.BatchRank(LARGE)
            alone = server.ranking.Rank(Request(user_id=5, candidate_ids=[1] * 10_000))
            stream = server.ranking.RankStream()
            for _ in range(3):
                await stream.write(Request(user_id=9, candidate_ids=[1] * 3_000))
            await asyncio.to_thread(server.engine.wait_for_users, {1, 2, 3})
            server.stop()
            await server.health_is(Health.NOT_SERVING)
            await assert_unavailable(server, SHUTTING_DOWN)
            assert len((await alone).item_ids) == 10_000
            assert [len(response.item_ids) for response in (await batch).responses] == [10_000] * 10
            assert [len((await read(stream)).item_ids) for _ in range(3)] == [3_000] * 3
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stream.read()
            assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.UNAVAILABLE, SHUTTING_DOWN)
            assert await server.stopped() < SOON

    async def test_open_streams_and_watches_do_not_hold_it_up(self, serve: Serve) -> None:
        async with serve() as server:
            stream = server.ranking.RankStream()
            await stream.write(Request(candidate_ids=[1]))
            assert list((await read(stream)).item_ids) == [1]
            watch = server.health.Watch(CheckRequest())
            assert (await watch.read()).status == Health.SERVING
            server.stop()
            assert (await watch.read()).status == Health.NOT_SERVING
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stream.read()
            assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.UNAVAILABLE, SHUTTING_DOWN)
            assert await server.stopped() < SOON

    async def test_a_call_whose_request_never_comes_does_not_hold_it_up(self, serve: Serve) -> None:
        async with serve() as server:
            method: Any = server.channel.stream_unary(f"/{RANKING}/Rank", Request.SerializeToString)
            call = method(silence())
            await call.wait_for_connection()
            await asyncio.sleep(0.1)
            assert await server.stopped() < SOON
            assert await call.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)

    async def test_an_idle_one_ends_at_once(self, serve: Serve) -> None:
        async with serve() as server:
            assert list((await server.ranking.Rank(Request(candidate_ids=[1]))).item_ids) == [1]
            assert await server.stopped() < 1.0

    async def test_it_waits_no_longer_than_the_drain_time(self, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
        async with serve(drain_seconds=0.2) as server:
            server.engine.pause = 0.1
            call = server.ranking.BatchRank(LARGE)  # would take 5 seconds
            await asyncio.to_thread(server.engine.wait_for_batches, 1)
            assert await server.stopped() < 3.0
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
        assert "Stopping with 1 requests in flight." in caplog.text

    async def test_a_second_signal_ends_it_at_once(self, serve: Serve) -> None:
        async with serve() as server:
            server.engine.pause = 0.1
            call = server.ranking.BatchRank(LARGE)
            await asyncio.to_thread(server.engine.wait_for_batches, 1)
            server.stop()
            await server.health_is(Health.NOT_SERVING)
            server.stop()
            assert await server.stopped() < 3.0
            with pytest.raises(grpc.aio.AioRpcError):
                await call

    async def test_a_second_signal_ends_it_at_once_while_it_loads(self, serve: Serve) -> None:
        async with serve(loaded=threading.Event()) as server:
            server.stop()
            server.stop()
            assert await server.stopped() < SOON


class TestHealth:
    async def test_the_whole_and_the_ranking_service_can_be_asked_for(self, serve: Serve) -> None:
        async with serve() as server:
            for service in ("", RANKING):
                assert (await server.health.Check(CheckRequest(service=service))).status == Health.SERVING

    async def test_of_other_services_it_knows_nothing(self, serve: Serve) -> None:
        async with serve() as server:
            for service in ("other", "rankserve.v1.RankingService/Rank"):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await server.health.Check(CheckRequest(service=service))
                assert caught.value.code() is grpc.StatusCode.NOT_FOUND
                watch = server.health.Watch(CheckRequest(service=service))
                assert (await watch.read()).status == Health.SERVICE_UNKNOWN
                watch.cancel()

    async def test_probes_are_answered_beside_many_watches(self, serve: Serve) -> None:
        async with serve() as server:
            watches = [server.health.Watch(CheckRequest()) for _ in range(40)]
            for watch in watches:
                assert (await watch.read()).status == Health.SERVING
            await assert_side_services_answer(server)
            for watch in watches:
                watch.cancel()

    async def test_probes_are_answered_beside_open_reflection_streams(self, serve: Serve) -> None:
        async with serve() as server:
            stub: Any = reflection_pb2_grpc.ServerReflectionStub(server.channel)  # type: ignore[arg-type]  # for its stubs, an aio channel is none
            streams = [stub.ServerReflectionInfo() for _ in range(20)]
            for stream in streams:
                await stream.write(reflection_pb2.ServerReflectionRequest(list_services=""))
            for stream in streams:
                assert (await stream.read()).HasField("list_services_response")
            await assert_side_services_answer(server)
            for stream in streams:
                stream.cancel()


async def assert_side_services_answer(server: LocalServer) -> None:
    assert (await server.health.Check(CheckRequest(), timeout=SOON)).status == Health.SERVING
    assert (await server.models.ListModels(models_pb2.ListModelsRequest(), timeout=SOON)).models
