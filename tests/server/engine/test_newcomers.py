"""Rows that are summed of entries: their scores, and that these depend on nothing but the entries."""

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rankserve_server.engine.compiling import compile_engine
from rankserve_server.engine.engine import Engine
from rankserve_server.engine.jax_setup import jax
from rankserve_server.engine.newcomers import NO_ENTRIES, NO_ROW, SLOTS, Bag, NewUser
from rankserve_training.model.folded import FoldedModel
from server.engine.test_towers import tower_model

USERS, ITEMS, USER_BAG, ITEM_BAG = 50, 3_000, 700, 30
TOLERANCE = 1e-4

Rows = npt.NDArray[np.int32]
Scores = npt.NDArray[np.float32]
Table = npt.NDArray[np.float64]

MODEL = tower_model(48, 20, 11)
BAGS = tower_model(48, 20, 11, users=USER_BAG, items=ITEM_BAG)


@dataclass(frozen=True)
class Entries:
    row: int
    rows: Rows
    weights: Scores

    def bag(self) -> Bag:
        return Bag.of(self.rows, self.weights)

    def user(self) -> NewUser:
        return NewUser(self.row, self.bag())

    def summed(self, tables: list[tuple[Scores, Scores]]) -> list[Table]:
        """The row, by its definition; `tables` are pairs of known rows and those of entries."""
        return [
            (known[self.row].astype(np.float64) if self.row != NO_ROW else np.zeros(known.shape[1]))
            + self.weights.astype(np.float64) @ entries[self.rows].astype(np.float64)
            for known, entries in tables
        ]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return compile_engine(MODEL, newcomers=BAGS)


def tables(side: str) -> list[tuple[Scores, Scores]]:
    return list(zip(_tables(MODEL, side), _tables(BAGS, side), strict=True))


def _tables(model: FoldedModel, side: str) -> list[Scores]:
    assert model.rating_towers is not None
    assert model.choice_towers is not None
    half = model.user_half if side == "user" else model.item_half
    return [half.table, getattr(model.rating_towers, side), getattr(model.choice_towers, side)]


def random_entries(random: np.random.Generator, most: int, table_rows: int, known: int = 0) -> Entries:
    count = int(random.integers(1, most + 1))
    row = int(random.integers(0, known + 1)) if known and random.integers(2) else NO_ROW
    rows = random.integers(0, table_rows + 1, count).astype(np.int32)
    return Entries(row, rows, np.asarray(random.normal(size=count) / np.sqrt(count), np.float32))


def expected(user: list[Table], item: list[Table]) -> tuple[float, float]:
    hidden = np.maximum(user[0] + item[0], 0) @ MODEL.output.kernel[:, 0].astype(np.float64)
    return float(np.clip(hidden + user[1] @ item[1], -1, 1)), float(user[2] @ item[2])


def alone(engine: Engine, user: NewUser, items: Rows, new_items: list[Bag]) -> Scores:
    return engine.start_newcomers([user], new_items, np.zeros(len(items), np.int32), items).result()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), most=st.sampled_from([1, 16, 17, 60, 5_000]))
def test_scores_are_those_of_the_summed_rows(engine: Engine, seed: int, most: int) -> None:
    random = np.random.default_rng(seed)
    user = random_entries(random, most, USER_BAG, USERS)
    new = [random_entries(random, 6, ITEM_BAG) for _ in range(3)]
    items = np.array([0, 1, 77, ITEMS, ITEMS + 2, ITEMS + 1, ITEMS + 3, ITEMS + 2], np.int32)
    scores = alone(engine, user.user(), items, [entries.bag() for entries in new])
    for item, rating, choice in zip(items.tolist(), *scores.tolist(), strict=True):
        known = [table[item].astype(np.float64) for table in _tables(MODEL, "item")] if item <= ITEMS else None
        row = known or new[item - ITEMS - 1].summed(tables("item"))
        assert (rating, choice) == pytest.approx(expected(user.summed(tables("user")), row), abs=TOLERANCE)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), most=st.sampled_from([10, 100, 600]))
def test_bits_do_not_depend_on_neighbours(engine: Engine, seed: int, most: int) -> None:
    """Whatever the slots, the buckets, and the blocks and calls that the entries come in."""
    random = np.random.default_rng(seed)
    users = [random_entries(random, most, USER_BAG, USERS).user() for _ in range(int(random.integers(1, SLOTS + 1)))]
    new = [random_entries(random, 6, ITEM_BAG).bag() for _ in range(int(random.integers(1, SLOTS + 1)))]
    count = int(random.integers(1, engine.slice_rows + 1))
    places = random.integers(0, len(users), count).astype(np.int32)
    items = random.integers(0, ITEMS + 1, count).astype(np.int32)
    is_new = random.integers(0, 4, count) == 0
    items[is_new] = ITEMS + 1 + random.integers(0, len(new), int(is_new.sum()))
    scores = engine.start_newcomers(users, new, places, items).result()
    assert scores.shape == (2, count)
    for place in set(places[:5].tolist()):
        own = places == place
        np.testing.assert_array_equal(alone(engine, users[place], items[own], new), scores[:, own])
    at = int(random.integers(count))
    bag = [new[items[at] - ITEMS - 1]] if is_new[at] else []
    item = np.array([ITEMS + 1 if bag else items[at]], np.int32)
    np.testing.assert_array_equal(alone(engine, users[places[at]], item, bag)[:, 0], scores[:, at])


def test_known_pairs_keep_their_bits(engine: Engine) -> None:
    random = np.random.default_rng(3)
    new = [random_entries(random, 6, ITEM_BAG).bag()]
    items = np.append(random.integers(0, ITEMS + 1, 400), ITEMS + 1).astype(np.int32)
    for user in range(USERS + 1):
        scores = alone(engine, NewUser(user, NO_ENTRIES), items, new)
        np.testing.assert_array_equal(scores[:, :-1], engine.score(np.full(400, user, np.int32), items[:-1]))


def test_the_order_of_entries_only_rounds(engine: Engine) -> None:
    random = np.random.default_rng(4)
    items = np.arange(100, dtype=np.int32)
    for most in (20, 2_000):
        entries = random_entries(random, most, USER_BAG)
        order = random.permutation(len(entries.rows))
        shuffled = Entries(NO_ROW, entries.rows[order], entries.weights[order])
        one, other = (alone(engine, which.user(), items, []) for which in (entries, shuffled))
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


def test_nothing_compiles_once_it_is_built(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    random = np.random.default_rng(5)
    with caplog.at_level(logging.DEBUG, logger="jax"), jax.log_compiles():
        for most in (1, 40, 3_000, 10_000):
            for count in (1, 9, 300, engine.slice_rows):
                user = random_entries(random, most, USER_BAG, USERS).user()
                new = [random_entries(random, 6, ITEM_BAG).bag()]
                alone(engine, user, random.integers(0, ITEMS + 2, count).astype(np.int32), new)
    assert not [record for record in caplog.records if "ompil" in record.getMessage()]


def test_tables_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"rows of \(48, 20, 11\) columns cannot be summed of \(48, 20, 12\)"):
        compile_engine(MODEL, newcomers=tower_model(48, 20, 12, users=USER_BAG, items=ITEM_BAG))


@pytest.mark.usefixtures("few_buckets")
def test_a_model_that_knows_nothing_but_ids_says_so() -> None:
    engine = compile_engine(tower_model(8, 4, 2, items=5))
    with pytest.raises(ValueError, match=r"knows nothing of newcomers"):
        alone(engine, NewUser(1, NO_ENTRIES), np.ones(1, np.int32), [])
