"""An empty grpc.aio server: sends the candidates back unscored. What Python's gRPC costs by itself."""

import asyncio
import sys
from pathlib import Path

import grpc
import uvloop

from rankserve.v1 import ranking_pb2, ranking_pb2_grpc


class Echo(ranking_pb2_grpc.RankingServiceServicer):
    """Ranks nothing."""

    async def Rank(self, request, _context):
        """Sends the candidates back."""
        return ranking_pb2.RankResponse(item_ids=request.candidate_ids)


async def main(_models_dir: Path, port: int) -> None:
    """Serves until it is killed."""
    server = grpc.aio.server()
    ranking_pb2_grpc.add_RankingServiceServicer_to_server(Echo(), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    print("ready", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.install()
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
