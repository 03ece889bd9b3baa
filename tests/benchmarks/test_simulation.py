"""The simulation of servers, held against what can be worked out by hand."""

import random
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from simulation.callers import closed_loop, open_loop
from simulation.clock import Clock
from simulation.fitting import fit, measures
from simulation.fleet import Fleet, Policy, at_random, by_user, least_of_two, round_robin, zipf
from simulation.processors import Machine, Processors, Stalls, Thread
from simulation.server import Server, Times
from simulation.waking import LoneCall, Waking

# Enough processors that nobody waits for one.
STEADY = Machine(processors=3)
TIMES = Times(
    fixed=100e-6,
    event=10e-6,
    take=50e-6,
    batch=200e-6,
    compute=30e-6,
    answer=60e-6,
    way=20e-6,
    client=40e-6,
    turn=10e-6,
    most=20,
)
WAKING = Waking(idle=(0.0, 0.001), wake=(10e-6, 500e-6), spread=0.0, timer=70e-6)
# Of a lone request: the client's part and its two turns, the way there and back, and each step once.
LONE = 40e-6 + 2 * 10e-6 + 2 * 20e-6 + 100e-6 + 10e-6 + 50e-6 + 200e-6 + 30e-6 + 60e-6


def test_a_lone_caller_waits_for_each_step_once() -> None:
    rate, latencies = closed_loop(TIMES, STEADY, callers=1, requests=100)
    # It takes the answer and sends again in one turn.
    assert np.median(latencies) == pytest.approx(LONE - TIMES.turn)
    assert rate == pytest.approx(1 / np.median(latencies), rel=0.05)


def test_callers_are_answered_at_the_rate_that_they_wait_for() -> None:
    """Little's law; and none is lost."""
    times = replace(TIMES, client=0.0, turn=0.0)  # what a caller does meanwhile is not part of a wait
    for callers in (2, 7, 40):
        rate, latencies = closed_loop(times, STEADY, callers, requests=5_000)
        assert rate * np.mean(latencies) == pytest.approx(callers, rel=0.02)


def test_many_callers_find_the_lane_busy_with_nothing_but_their_requests() -> None:
    rate, _ = closed_loop(TIMES, STEADY, callers=2_000, requests=40_000)
    # They come back one by one, as they are answered.
    each = TIMES.event + TIMES.take + TIMES.answer + TIMES.fixed / TIMES.most
    assert rate == pytest.approx(1 / each, rel=0.05)


def test_all_that_is_done_shares_one_processor() -> None:
    times = replace(TIMES, turn=0.0, event=0.0)  # those of several requests are shared as it happens
    rate, _ = closed_loop(times, Machine(processors=1), callers=2_000, requests=40_000)
    of_batch = (TIMES.fixed + TIMES.batch) / TIMES.most
    each = TIMES.client + TIMES.take + TIMES.compute + TIMES.answer + of_batch
    assert rate == pytest.approx(1 / each, rel=0.05)


def test_threads_that_want_one_processor_take_turns() -> None:
    clock, done = Clock(), list[str]()
    processors = Processors(clock, Machine(processors=1, slice=0.0025), random.Random(0))
    threads = {name: Thread() for name in "ab"}

    def work_on(name: str) -> None:
        done.append(name)
        processors.run(threads[name], 0.001, work_on, name)

    for name, thread in threads.items():
        processors.run(thread, 0.001, work_on, name)
    clock.run(0.0125)
    assert "".join(done) == "aaabbbaaabbb"


def test_who_waits_for_something_else_lends_its_processor() -> None:
    clock, ends = Clock(), list[float]()
    processors = Processors(clock, Machine(processors=1, slice=1.0), random.Random(0))
    for thread in (Thread(), Thread()):
        processors.run(thread, 0.001, lambda: ends.append(clock.now))
    clock.run(1.0)
    assert ends == pytest.approx([0.001, 0.002])


def test_what_comes_seldom_waits_until_its_client_and_the_server_are_awake() -> None:
    latencies = open_loop(TIMES, replace(STEADY, awake=0.01, waking=WAKING), rate=2.0, seconds=300)
    assert len(latencies) == pytest.approx(600, rel=0.2)
    assert np.median(latencies) == pytest.approx(LONE + WAKING.timer + WAKING.wake[-1], rel=0.01)


def test_a_processor_that_was_just_busy_does_not_sleep() -> None:
    clock, ends = Clock(), list[float]()
    processors = Processors(clock, Machine(processors=1, awake=0.002, waking=WAKING), random.Random(0))
    for start in (1.0, 1.002, 1.1):
        clock.at(start, processors.run, Thread(), 0.001, lambda: ends.append(clock.now))
    clock.run(2.0)
    assert ends == pytest.approx([1.0015, 1.003, 1.1015])


def test_a_thread_goes_back_to_its_processor() -> None:
    clock, ends = Clock(), list[float]()
    processors = Processors(clock, Machine(processors=2, awake=0.01, waking=WAKING), random.Random(0))
    first, second = Thread(), Thread()
    for start, thread in ((1.0, first), (1.0, second), (1.1, second), (1.105, first), (1.107, second)):
        clock.at(start, processors.run, thread, 0.001, lambda: ends.append(clock.now))
    clock.run(2.0)
    assert ends == pytest.approx([1.0015, 1.0015, 1.1015, 1.1065, 1.108])


def test_waking_is_what_a_call_takes_longer_that_finds_everything_asleep() -> None:
    chance = np.random.default_rng(0)
    lone = []
    for idle in chance.uniform(0.0001, 0.003, 20_000):
        wake = (1e-4 + 0.02 * idle) * chance.lognormal(0.0, 0.5)
        lone.append(LoneCall(idle, 7e-5, 5e-4 + wake))
    waking = Waking.of(lone, [5e-4] * 100)
    assert waking.timer == pytest.approx(7e-5)
    assert waking.spread == pytest.approx(0.5, abs=0.1)
    for idle in (0.0005, 0.001, 0.002):
        taken = [waking.after(idle, random.Random(seed)) for seed in range(500)]
        assert np.median(taken) == pytest.approx(1e-4 + 0.02 * idle, rel=0.1)


def test_the_pace_of_a_machine_is_that_of_its_server() -> None:
    half, _ = closed_loop(TIMES, replace(STEADY, paces=(0.5,)), callers=200, requests=5_000)
    full, _ = closed_loop(TIMES, STEADY, callers=200, requests=5_000)
    assert half / full == pytest.approx(0.5, rel=0.03)


def test_work_goes_on_after_a_stall() -> None:
    stalls = Stalls(random.Random(1), per_second=2.0, mean=0.1)
    ends = [stalls.end_of(start, 0.01) for start in np.arange(0, 2_000, 1.0)]
    late = np.array(ends) - np.arange(0, 2_000, 1.0) - 0.01
    assert np.all(late >= -1e-9)
    # It stands still for a mean of 0.1 s after a mean of 0.5 s: a sixth of the time, and half as long again on average.
    assert np.mean(late > 1e-9) == pytest.approx(1 / 6 + 0.01 * 2, abs=0.04)
    assert np.mean(late[late > 1e-9]) == pytest.approx(0.1, rel=0.25)


def test_a_fit_foretells_what_it_was_not_made_of() -> None:
    times, machine = replace(TIMES, spread=0.3), Machine(stalls_per_second=10.0, stall=0.001, awake=2e-4, waking=WAKING)
    measured = {callers: measures(*closed_loop(times, machine, callers, 2_000, seed=99)) for callers in (1, 8, 64)}
    opened = {2_000.0: measures(2_000.0, open_loop(times, machine, 2_000.0, 5, seed=98))}
    found = fit(measured, opened, WAKING, TIMES.most, evaluations=40, requests=1_000)
    for rate in (1_000, 3_000):
        was, said = (np.median(open_loop(*made, rate, 10)) for made in ((times, machine), (found.times, found.machine)))
        assert said == pytest.approx(was, rel=0.15)


@pytest.mark.parametrize("policy", [round_robin(), at_random, least_of_two, by_user])
def test_every_request_of_a_fleet_is_answered_once(policy: Policy) -> None:
    outcome = Fleet(TIMES, STEADY, servers=5, rate=4_000, policy=policy).run(2.0, seed=3)
    assert len(outcome.latencies) == pytest.approx(4_000 * 1.5, rel=0.1)
    assert (outcome.retried, outcome.failed) == (0, 0)
    assert np.min(outcome.latencies) >= LONE - TIMES.client - 2 * TIMES.turn - 1e-9


def test_the_less_busy_of_two_spares_a_slow_server() -> None:
    fleet = Fleet(TIMES, STEADY, servers=10, rate=50_000, policy=round_robin(), slow=3.0)
    blind = fleet.run(1.5).latencies
    seeing = Fleet(TIMES, STEADY, servers=10, rate=50_000, policy=least_of_two, slow=3.0).run(1.5).latencies
    assert np.quantile(seeing, 0.99) < 0.5 * np.quantile(blind, 0.99)


def test_users_who_ask_most_are_felt_where_they_always_go() -> None:
    outcome = Fleet(TIMES, STEADY, servers=20, rate=10_000, policy=by_user).run(2.0)
    first = 1 / np.sum(1 / np.arange(1, 1_000_001))
    assert outcome.busiest > 20 * first
    ranks = zipf(np.random.default_rng(0), 100_000)
    assert np.mean(ranks == 0) == pytest.approx(first, rel=0.05)


def test_what_a_server_had_when_it_failed_is_sent_elsewhere() -> None:
    outcome = Fleet(TIMES, STEADY, servers=5, rate=10_000, policy=at_random, fails_at=1.0).run(3.0)
    assert outcome.retried > 10_000 / 5 * 0.9  # nobody notices for a second
    assert outcome.failed < 0.01 * outcome.retried
    assert len(outcome.late) == pytest.approx(10_000, rel=0.1)
    assert len(outcome.latencies) == pytest.approx(25_000, rel=0.05)


def test_a_server_that_has_failed_answers_nothing() -> None:
    clock, answered = Clock(), list[int]()
    server: Server[int] = Server(
        clock, TIMES, Processors(clock, STEADY, random.Random(0)), random.Random(0), answered.append
    )
    server.arrive(1)
    server.arrive(2)
    clock.run(1e-5)
    assert sorted(server.fail()) == [1, 2]
    clock.run(1.0)
    assert not answered
