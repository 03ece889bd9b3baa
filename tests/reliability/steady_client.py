"""A client that does nothing wrong and has to be answered rightly whatever others do."""

import itertools
import threading
import time
from typing import Self

import grpc

from rankserve.v1 import ranking_pb2
from rankserve.v1.ranking_pb2_grpc import RankingServiceStub
from server.tower_answers import assert_answers
from server.two_towers import Towers

_SECONDS = 30
_REFUSED_SECONDS = 0.05
_REQUESTS = [
    ranking_pb2.RankRequest(user_id=3, candidate_ids=[5, 10, 1]),
    ranking_pb2.RankRequest(user_id=60, candidate_ids=range(1, 200)),
    ranking_pb2.RankRequest(user_id=1, top_k=20),
    ranking_pb2.RankRequest(
        user_id=1, candidate_ids=[5, 50, 7], history=ranking_pb2.History(item_ids=[10, 450], ratings=[5, 1.5])
    ),
]


class SteadyClient:
    """Calls one call after the other, on a connection of its own, until it is left; then what was wrong is raised.

    It comes again where it is refused.

    Attributes:
        answers: how many were right, bit for bit what they were before.
    """

    def __init__(self, address: str, towers: Towers) -> None:
        self.answers = 0
        self._address = address
        self._towers = towers
        self._begun = threading.Event()
        self._left = threading.Event()
        self._wrong: list[Exception] = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        self._begun.wait(_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._thread.join()
        if self._wrong:
            raise self._wrong[0]
        assert self.answers > len(_REQUESTS), "it was hardly answered"

    def _run(self) -> None:
        try:
            with grpc.insecure_channel(self._address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
                self._call(RankingServiceStub(channel))
        except Exception as error:
            self._wrong.append(error)
        finally:
            self._begun.set()

    def _call(self, stub: RankingServiceStub) -> None:
        alone = []
        for request in _REQUESTS:
            answer = stub.Rank(request, timeout=_SECONDS)
            assert_answers(request, answer, self._towers)
            alone.append(answer.SerializeToString(deterministic=True))
        for place in itertools.cycle(range(len(_REQUESTS))):
            # At least one round, however short the attack.
            if self._left.is_set() and self.answers > len(_REQUESTS):
                return
            try:
                answer = stub.Rank(_REQUESTS[place], timeout=_SECONDS)
            except grpc.RpcError as error:
                # On a slow machine others may be too much; that it is told so is no wrong answer.
                if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise
                time.sleep(_REFUSED_SECONDS)
                continue
            assert answer.SerializeToString(deterministic=True) == alone[place], "another answer than before"
            self.answers += 1
            self._begun.set()
