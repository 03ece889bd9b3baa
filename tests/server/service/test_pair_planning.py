"""Pairs become one query for each user; one version answers them all."""

from pathlib import Path

import numpy as np
import pytest

from rankserve_server.limits import Limits
from rankserve_server.service.pair_planning import PairPlanner
from rankserve_server.service.planning import Planner
from rankserve_server.service.selector import Selection
from rankserve_server.versions import plan_changes
from rankserve_server.versions.repository import Repository
from rankserve_server.versions.shadowing import ShadowScorer
from server.versions.directory import Directory

CURRENT: Selection = {"name": "a", "version": None, "alias": None}
FOREVER = float("inf")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    directory = Directory(tmp_path)
    directory.add("a/1", "a/2")
    return directory.loaded()


@pytest.fixture
def pairs(repository: Repository) -> PairPlanner:
    return PairPlanner(Planner(repository, Limits(), ShadowScorer(repository)), repository, Limits())


def test_there_is_a_query_for_each_user_in_order_of_appearance(pairs: PairPlanner) -> None:
    users, items = np.array([9, 2, 9, 5, 2]), np.array([1, 4, 4, 7, 1])
    planned = pairs.plan(users, items, CURRENT, FOREVER)
    queries = [request.query for request in planned.requests]
    assert [query.user_id for query in queries] == [9, 2, 5]
    assert [None if query.candidate_ids is None else query.candidate_ids.tolist() for query in queries] == [
        [1, 4],
        [4, 1],
        [7],
    ]
    assert [job.count for job in planned.jobs] == [2, 2, 1]


@pytest.mark.parametrize("users", [[2], [2, 2, 2]])
def test_one_user_is_one_query(pairs: PairPlanner, users: list[int]) -> None:
    planned = pairs.plan(np.array(users), np.array([1, 4, 7]), CURRENT, FOREVER)
    assert [request.query.user_id for request in planned.requests] == [2]
    assert planned.places is None


def test_the_first_user_decides_about_the_canary(pairs: PairPlanner, repository: Repository) -> None:
    repository.change_plan("a", plan_changes.set_canary(1, 50))
    by_version = {repository.select("a", user_id=user).version: user for user in range(1, 50)}
    assert set(by_version) == {1, 2}
    for version, user in by_version.items():
        other = by_version[3 - version]
        planned = pairs.plan(np.array([user, other]), np.array([1, 4]), CURRENT, FOREVER)
        assert planned.model.version == version
        assert {request.model.version for request in planned.requests} == {version}
