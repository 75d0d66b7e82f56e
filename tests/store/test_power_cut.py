"""The power goes at any moment: what was committed is there, and what is there is one of the steps, never between.

`Model` says in plain Python what the journal promises; the stateful test drives both and cuts the power at will.
"""

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.charging.facts import (
    DurableFact,
    Sample,
    TransactionMetered,
    TransactionStarted,
    TransactionStopped,
)
from agent.store.availability import SqlAvailability
from agent.store.db import Database
from agent.store.journal import SqlJournal
from agent.store.settings import SqlSettings
from tests.helpers.disk import Photographs, photograph, power_cuts
from tests.store.example_facts import metered, minute, sample, security_event, started, stopped

Value = TypeVar("Value")
State = dict[str, object]


async def state_of(path: Path) -> State:
    """Everything that a station finds after a restart on `path`."""
    database = Database.open(path)
    try:
        journal = SqlJournal(database)
        rows = await database.read(
            lambda sql: sql.execute("SELECT row_id, kind, attempts FROM outbox ORDER BY row_id").fetchall()
        )
        pending = await database.read(
            lambda sql: sql.execute("SELECT sum(pending) FROM transactions").fetchone()
        )
        # A depth or a count of pending rows that does not fit the rows would never be noticed by its readers.
        assert await journal.depth() == len(rows)
        assert (pending[0] or 0) == sum(kind != "SecurityEventRaised" for _, kind, _ in rows)
        return {
            "outbox": rows,
            "open": await journal.open_transactions(),
            "samples": await journal.stop_samples("tx1"),
            "history": await journal.history(100),
            "references": [await journal.reference(name) for name in ("tx1", "tx2")],
            "settings": await SqlSettings(database).load(),
            "availability": await SqlAvailability(database).load(),
        }
    finally:
        database.close()


async def _two_transactions(database: Database) -> None:
    """Every kind of write, as a station makes them."""
    journal = SqlJournal(database)
    await SqlSettings(database).save({"a": "1", "b": "2"})
    await journal.record(security_event())
    await journal.record(started("tx1"))
    await journal.add_stop_sample("tx1", sample(0))
    await journal.confirm(1)
    await journal.count_attempt(2)
    await journal.confirm(2, "17")
    await journal.note_register("tx1", 1200, minute(1))
    await journal.record(metered("tx1", seq_no=1, register_wh=1500))
    await SqlAvailability(database).save({(0, 0): False, (1, 0): False}, {(0, 0): False})
    await journal.add_stop_sample("tx1", sample(1))
    await journal.record(stopped("tx1", seq_no=2), started("tx2", evse_id=2))
    await journal.discard(3, "refused three times")
    await journal.confirm(4)
    await journal.confirm(5, "18")
    await journal.record(stopped("tx2", seq_no=1))


async def test_every_durable_step_is_a_state_of_its_own_and_survives(
    database: Database, tmp_path: Path
) -> None:
    photographs = Photographs(database, tmp_path / "photographs")
    await _two_transactions(database)
    states = [await state_of(step) for step in photographs.steps]
    assert len(states) == 16
    for before, after in itertools.pairwise(states):
        assert before != after
    assert states[-1]["outbox"] == [(6, "TransactionStopped", 0)]


async def test_a_cut_at_any_step_finds_exactly_what_was_committed(tmp_path: Path) -> None:
    states: list[State] = []
    for cut in power_cuts(tmp_path):
        database = Database.open(cut.before / "agent.db")
        cut.watch(database)
        await cut.during(_two_transactions(database))
        database.close()
        states.append(await state_of(cut.after / "agent.db"))
    assert len(states) == 17, "16 cuts and the run that was not cut"
    assert states[-1] == states[-2]


async def test_a_log_torn_at_any_byte_is_a_state_between_two_commits_never_half_of_one(
    database: Database, tmp_path: Path
) -> None:
    """The power goes while the disk writes: the log ends anywhere, or with rubbish of the right length."""
    begin = photograph(database.path, tmp_path / "begin")
    photographs = Photographs(database, tmp_path / "photographs")
    await _two_transactions(database)
    legal = [await state_of(path) for path in (begin, *photographs.steps)]
    whole = photograph(database.path, tmp_path / "whole")
    log = whole.with_name("agent.db-wal").read_bytes()
    numbers: list[int] = []
    frame = 4096 + 24
    for number, length in enumerate(
        itertools.chain(range(0, len(log), frame), range(32 + frame // 2, len(log), frame))
    ):
        for name, tail in (("cut", b""), ("rubbish", b"\xa5" * (len(log) - length))):
            torn = tmp_path / f"torn{number}{name}"
            shutil.copytree(whole.parent, torn)
            (torn / "agent.db-wal").write_bytes(log[:length] + tail)
            numbers.append(legal.index(await state_of(torn / "agent.db")))  # ValueError: half of a commit
    assert set(numbers) >= {0, len(legal) - 2}
    assert set(numbers) <= set(range(len(legal)))


# --- against a model --------------------------------------------------------------------------------------


@dataclass
class ModelTransaction:
    register_wh: int
    next_seq_no: int
    reference: str | None = None
    samples: list[Sample] = field(default_factory=list)
    is_open: bool = True


@dataclass
class Model:
    """What the journal promises, without a disk."""

    transactions: dict[str, ModelTransaction] = field(default_factory=dict)
    outbox: list[tuple[int, DurableFact, int]] = field(default_factory=list)
    last_row_id: int = 0

    def record(self, *facts: DurableFact) -> None:
        for fact in facts:
            self.last_row_id += 1
            self.outbox.append((self.last_row_id, fact, 0))
            match fact:
                case TransactionStarted():
                    self.transactions[fact.transaction_id] = ModelTransaction(
                        fact.meter_start_wh, fact.seq_no + 1
                    )
                case TransactionMetered():
                    transaction = self.transactions[fact.transaction_id]
                    transaction.next_seq_no = fact.seq_no + 1
                    transaction.register_wh = max(transaction.register_wh, fact.register_wh)
                case TransactionStopped():
                    transaction = self.transactions[fact.transaction_id]
                    transaction.is_open = False
                    transaction.samples = []
                case _:
                    pass


class JournalMachine(RuleBasedStateMachine):
    """Random lives of a station's journal; after each step the store answers as the model does."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp())
        self.life = 0
        self.model = Model()
        self.names = itertools.count()

    def wait(self, work: Awaitable[Value]) -> Value:
        async def waited() -> Value:
            return await work

        return self.loop.run_until_complete(waited())

    @property
    def running(self) -> list[str]:
        return [name for name, one in self.model.transactions.items() if one.is_open]

    @initialize()
    def begin(self) -> None:
        self.database = Database.open(self.folder / "life0" / "agent.db")
        self.journal = SqlJournal(self.database)

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.database.close()
        self.loop.close()
        shutil.rmtree(self.folder)

    def record(self, *facts: DurableFact) -> None:
        self.wait(self.journal.record(*facts))
        self.model.record(*facts)

    @rule(meter_start_wh=st.integers(0, 10**9))
    def start(self, meter_start_wh: int) -> None:
        self.record(started(f"tx{next(self.names)}", meter_start_wh=meter_start_wh))

    @rule()
    def raise_security_event(self) -> None:
        self.record(security_event())

    @precondition(lambda self: self.running)
    @rule(choice=st.integers(0), wh=st.integers(-5, 5000))
    def meter(self, choice: int, wh: int) -> None:
        name, one = self._pick(choice)
        self.record(metered(name, seq_no=one.next_seq_no, register_wh=max(0, one.register_wh + wh)))

    @precondition(lambda self: self.running)
    @rule(choice=st.integers(0), wh=st.integers(-5, 5000))
    def note_register(self, choice: int, wh: int) -> None:
        name, one = self._pick(choice)
        register_wh = max(0, one.register_wh + wh)
        self.wait(self.journal.note_register(name, register_wh, minute(1)))
        one.register_wh = max(one.register_wh, register_wh)

    @precondition(lambda self: self.running)
    @rule(choice=st.integers(0), number=st.integers(0, 100))
    def add_stop_sample(self, choice: int, number: int) -> None:
        name, one = self._pick(choice)
        self.wait(self.journal.add_stop_sample(name, sample(number)))
        one.samples.append(sample(number))

    @precondition(lambda self: self.running)
    @rule(choice=st.integers(0))
    def stop(self, choice: int) -> None:
        name, one = self._pick(choice)
        self.record(stopped(name, seq_no=one.next_seq_no, meter_stop_wh=one.register_wh))

    @precondition(lambda self: self.model.outbox)
    @rule(reference=st.none() | st.text(max_size=5), is_given_up=st.booleans())
    def deliver(self, reference: str | None, is_given_up: bool) -> None:
        row_id, fact, _ = self.model.outbox.pop(0)
        if is_given_up:
            self.wait(self.journal.discard(row_id, "given up"))
        else:
            self.wait(self.journal.confirm(row_id, reference))
            if reference is not None and isinstance(
                fact, TransactionStarted | TransactionMetered | TransactionStopped
            ):
                self.model.transactions[fact.transaction_id].reference = reference

    @precondition(lambda self: self.model.outbox)
    @rule()
    def count_attempt(self) -> None:
        row_id, fact, attempts = self.model.outbox[0]
        self.wait(self.journal.count_attempt(row_id))
        self.model.outbox[0] = (row_id, fact, attempts + 1)

    @rule(is_clean=st.booleans())
    def restart(self, is_clean: bool) -> None:
        self.life += 1
        folder = self.folder / f"life{self.life}"
        if not is_clean:
            photograph(self.database.path, folder)
        self.database.close()
        if is_clean:
            photograph(self.database.path, folder)
        self.database = Database.open(folder / "agent.db")
        self.journal = SqlJournal(self.database)

    @invariant()
    def agrees_with_the_model(self) -> None:
        if not hasattr(self, "journal"):
            return
        assert self.wait(self.journal.depth()) == len(self.model.outbox)
        first = self.wait(self.journal.first())
        assert (first and (first.row_id, first.fact, first.attempts)) == (
            self.model.outbox[0] if self.model.outbox else None
        )
        found = self.wait(self.journal.open_transactions())
        assert [(one.started.transaction_id, one.last_register_wh, one.next_seq_no) for one in found] == [
            (name, self.model.transactions[name].register_wh, self.model.transactions[name].next_seq_no)
            for name in self.running
        ]
        for name, one in self.model.transactions.items():
            assert self.wait(self.journal.reference(name)) == one.reference
            assert self.wait(self.journal.stop_samples(name)) == one.samples
        undelivered = {getattr(fact, "transaction_id", None) for _, fact, _ in self.model.outbox}
        assert {(one.transaction_id, one.is_delivered) for one in self.wait(self.journal.history(1000))} == {
            (name, name not in undelivered)
            for name, one in self.model.transactions.items()
            if not one.is_open
        }

    def _pick(self, choice: int) -> tuple[str, ModelTransaction]:
        name = self.running[choice % len(self.running)]
        return name, self.model.transactions[name]


TestJournalAgainstModel = JournalMachine.TestCase
TestJournalAgainstModel.settings = settings(
    max_examples=30,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
