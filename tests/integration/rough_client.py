"""A client that behaves as badly as clients do: `python -m integration.rough_client ADDRESS SECONDS SEED [THREADS]`.

Eight threads call; some calls are cancelled at random moments, some have deadlines that cannot be kept, some channels
are closed with calls in flight. Answers that do arrive are checked. The process may be killed at any time.
"""

import os
import random
import sys
import threading
import time
from typing import Any

import grpc

from integration.client_processes import end_within
from rankserve.v1 import ranking_pb2, ranking_pb2_grpc

_THREADS = 8
_EXPECTED = {
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}


class RoughClient(threading.Thread):
    """Calls until its time is up."""

    def __init__(self, address: str, seconds: float, seed: int) -> None:
        super().__init__()
        self._address = address
        self._until = time.monotonic() + seconds
        self._random = random.Random(seed)
        self.answers = 0
        self.wrong: list[str] = []

    def run(self) -> None:
        """Opens a channel for some dozens of calls, and another one."""
        while time.monotonic() < self._until:
            options = [("grpc.use_local_subchannel_pool", 1)]
            with grpc.insecure_channel(self._address, options=options) as channel:
                stub = ranking_pb2_grpc.RankingServiceStub(channel)
                pending = [self._call(stub) for _ in range(self._random.randrange(8, 65))]
                if self._random.random() < 0.3:
                    time.sleep(self._random.random() / 200)
                    continue  # closes the channel with the calls in flight
                for request, call in pending:
                    self._settle(request, call)

    def _call(self, stub: ranking_pb2_grpc.RankingServiceStub) -> tuple[ranking_pb2.RankRequest, Any]:
        count = self._random.choice([1, 100, 500, 5_000])
        request = ranking_pb2.RankRequest(
            user_id=self._random.randrange(2_000),
            candidate_ids=[self._random.randrange(1, 2_000) for _ in range(count)],
        )
        timeout = self._random.random() / 250 if self._random.random() < 0.3 else 30
        kind = self._random.random()
        call: Any
        if kind < 0.8:
            call = stub.Rank.future(request, timeout=timeout)
        else:
            batch = ranking_pb2.BatchRankRequest(requests=[request] * 3)
            call = stub.BatchRank.future(batch, timeout=timeout)
        if kind > 0.9:
            self._break_off_a_stream(stub, request)
        return request, call

    def _break_off_a_stream(self, stub: ranking_pb2_grpc.RankingServiceStub, request: ranking_pb2.RankRequest) -> None:
        answers = stub.RankStream(iter([request] * 20), timeout=30)
        try:
            for _ in range(self._random.randrange(4)):
                next(answers)
        except grpc.RpcError as error:
            self._expect(error.code().value[0], error.details())
        answers.cancel()

    def _settle(self, request: ranking_pb2.RankRequest, call: Any) -> None:
        if self._random.random() < 0.3:
            call.cancel()
            return
        try:
            answer = call.result()
        except grpc.RpcError as error:
            self._expect(error.code().value[0], error.details())
            return
        for response in [answer] if isinstance(answer, ranking_pb2.RankResponse) else answer.responses:
            if response.HasField("error"):
                self._expect(response.error.code, response.error.message)
            elif sorted(response.item_ids) == sorted(request.candidate_ids) and len(response.scores) == len(
                response.item_ids
            ):
                self.answers += 1
            else:
                self.wrong.append(f"an answer to another request: {_in_short(response)} to {_in_short(request)}")

    def _expect(self, code: int, details: str | None) -> None:
        if code not in {status.value[0] for status in _EXPECTED}:
            self.wrong.append(f"{code}: {details}")


def _in_short(message: ranking_pb2.RankRequest | ranking_pb2.RankResponse) -> str:
    """So much as a pipe holds that nobody reads yet."""
    encoded = message.SerializeToString()
    return f"{len(encoded)} bytes that begin with {encoded[:100].hex()}"


def main(address: str, seconds: float, seed: int, threads: int = _THREADS) -> None:
    """Prints the number of answers, or what was wrong with them."""
    end_within(seconds)
    clients = [RoughClient(address, seconds, seed * 1_000 + number) for number in range(threads)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    wrong = [reason for client in clients for reason in client.wrong]
    print(wrong[0] if wrong else sum(client.answers for client in clients), flush=True)
    # Not `sys.exit`: where channels were closed with calls in flight, the library's threads may still be at it, and can
    # hold up an interpreter that is taken down around them.
    os._exit(bool(wrong))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), *map(int, sys.argv[3:]))
