"""Facts, open transactions and outbox in one place, because they are committed together.

Tables: transactions, stop_samples, outbox, outbox_state, discarded; a start deletes its row of reservations. A fact
and everything that follows from it is one commit; so is an acknowledgement, its bound reference and its deleted row.
Facts are stored as JSON of our own types, free of any OCPP version. Implements `charging.ports.Journal` (for the
station) and `Outbox` (for the pump). Cost does not grow with the depth of the outbox. OCPP 1.6 3.7 (R16-133 to
R16-142), docs/store.md.
"""

import logging
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import get_args

import msgspec

from agent.charging.facts import (
    DurableFact,
    Sample,
    SecurityEventRaised,
    TransactionFact,
    TransactionMetered,
    TransactionStarted,
    TransactionStopped,
    TransactionUpdated,
)
from agent.charging.ids import ConnectorId, EvseId, IdToken, IdTokenType, StopReason, TransactionId
from agent.charging.ports import OpenTransaction, OutboxRow
from agent.errors import StoreCorrupt
from agent.store.db import Database
from agent.store.security_log import add_event
from agent.store.timestamps import parse_time, time_text

logger = logging.getLogger(__name__)

HISTORY_LIMIT = 10_000
DISCARDED_LIMIT = 1_000

_encoder = msgspec.json.Encoder()
# The class names are in the `kind` column of released databases: they never change.
_decoders: Mapping[str, msgspec.json.Decoder[DurableFact]] = {
    kind.__name__: msgspec.json.Decoder(kind) for kind in get_args(DurableFact)
}
_sample_decoder = msgspec.json.Decoder(Sample)


@dataclass(frozen=True, slots=True)
class EndedTransaction:
    """One line of the history: what a transaction came to, whether or not the CSMS knows yet."""

    transaction_id: TransactionId
    evse_id: EvseId
    connector_id: ConnectorId
    id_token: IdToken | None
    started_at: datetime
    stopped_at: datetime
    meter_start_wh: int
    meter_stop_wh: int
    reason: StopReason
    reference: str | None
    is_delivered: bool
    """The CSMS acknowledged all of it (or it was given up)."""


@dataclass(frozen=True, slots=True)
class OutboxState:
    depth: int
    oldest_at: datetime | None
    """When the oldest fact in it happened; None: it is empty, or that cannot be read."""
    discarded: int
    """Facts that were given up, the last 1,000 at most."""


class SqlJournal:
    """The durable journal. Every write is one commit (one fsync) and on the disk when its coroutine returns.

    All methods raise StoreCorrupt or StoreFull; nothing was changed then."""

    def __init__(self, database: Database, history_limit: int = HISTORY_LIMIT) -> None:
        self._database = database
        self._history_limit = history_limit

    async def record(self, *facts: DurableFact) -> None:
        """One commit: transactions opened, updated or closed as the facts say, and one outbox row for each fact.

        A security event goes into the security log, and into the outbox only if it is pushed. Raises ValueError for
        a transaction started twice, or not open: the caller lost count of its own facts."""
        if facts:
            await self._database.commit(record_facts, facts, self._history_limit)

    async def note_register(self, transaction_id: TransactionId, register_wh: int, at: datetime) -> None:
        """One commit. A register below the last one is not believed (R16-159); an ended transaction is let be."""
        await self._database.commit(_note_register, transaction_id, register_wh, at)

    async def add_stop_sample(self, transaction_id: TransactionId, sample: Sample) -> None:
        """One commit. Kept until the transaction stops: TransactionStopped then carries the samples itself."""
        await self._database.commit(_add_stop_sample, transaction_id, sample)

    async def stop_samples(self, transaction_id: TransactionId) -> Sequence[Sample]:
        """In the order in which they were added."""
        rows = await self._database.read(_select_stop_samples, transaction_id)
        return [_decode_sample(body) for body in rows]

    async def open_transactions(self) -> Sequence[OpenTransaction]:
        """Those without a stop, oldest first."""
        return [_decode_open(row) for row in await self._database.read(_select_open)]

    async def history(self, limit: int) -> Sequence[EndedTransaction]:
        """The last `limit` ended transactions, newest first; at most the last 10,000 are kept."""
        return [_decode_ended(row) for row in await self._database.read(_select_ended, limit)]

    async def first(self) -> OutboxRow | None:
        """The oldest row. A row that cannot be read is put aside, so that it never blocks those behind it."""
        while (row := await self._database.read(_select_first)) is not None:
            row_id, kind, body, attempts = row
            try:
                fact = _decoders[bytes(kind).decode()].decode(body)
            except (KeyError, UnicodeDecodeError, msgspec.DecodeError) as error:
                await self.discard(row_id, f"cannot be read: {error!r}")
                continue
            return OutboxRow(row_id, fact, attempts)
        return None

    async def confirm(self, row_id: int, reference: str | None = None) -> None:
        """One commit: the row is deleted, `reference` bound to its transaction. Twice does no harm."""
        await self._database.commit(_delete_row, row_id, reference)

    async def discard(self, row_id: int, reason: str) -> None:
        """One commit: the row moves to the table `discarded` (the last 1,000), with the reason."""
        kind = await self._database.commit(_discard, row_id, reason)
        if kind is not None:
            logger.error("gave up the %s in outbox row %d: %s", kind, row_id, reason)

    async def count_attempt(self, row_id: int) -> None:
        """One commit."""
        await self._database.commit(_count_attempt, row_id)

    async def reference(self, transaction_id: TransactionId) -> str | None:
        """What the CSMS calls the transaction; known as long as the transaction is in the history."""
        return await self._database.read(_select_reference, transaction_id)

    async def depth(self) -> int:
        """Rows in the outbox; one small read whatever the depth."""
        return await self._database.read(_select_depth)

    async def outbox_state(self) -> "OutboxState":
        """For metrics; one small read whatever the depth."""
        depth, oldest, discarded = await self._database.read(_select_outbox_state)
        try:
            oldest_at = None if oldest is None else parse_time(oldest)
        except ValueError:  # damaged; it will be put aside when its turn comes
            oldest_at = None
        return OutboxState(depth, oldest_at, discarded)

    async def last_row_id(self) -> int:
        """One small read."""
        return await self._database.read(_select_last_row_id)

    async def has_queued(self, transaction_id: TransactionId | None) -> bool:
        """Whether the outbox holds anything about this transaction, or about any; one small read."""
        return await self._database.read(_select_pending, transaction_id)


# --- writing: each of these runs inside one transaction ---------------------------------------------------


def record_facts(sql: sqlite3.Connection, facts: Sequence[DurableFact], history_limit: int) -> None:
    """For repositories that commit facts together with a table of their own."""
    told: list[DurableFact] = []
    for fact in facts:
        if isinstance(fact, SecurityEventRaised):
            add_event(sql, fact)
            if not fact.is_pushed:
                continue
        told.append(fact)
    last, depth = sql.execute("SELECT last_row_id, depth FROM outbox_state").fetchone()
    for row_id, fact in enumerate(told, start=last + 1):
        number = _apply(sql, fact, history_limit) if isinstance(fact, TransactionFact) else None
        sql.execute(
            "INSERT INTO outbox (row_id, transaction_number, kind, body) VALUES (?, ?, ?, ?)",
            (row_id, number, type(fact).__name__, _encode(fact)),
        )
    sql.execute("UPDATE outbox_state SET last_row_id = ?, depth = ?", (last + len(told), depth + len(told)))


def _apply(sql: sqlite3.Connection, fact: TransactionFact, history_limit: int) -> int:
    """Open, update or close the transaction; returns its number."""
    if isinstance(fact, TransactionStarted):
        return _open(sql, fact, history_limit)
    number = _open_number(sql, fact.transaction_id)
    if number is None:
        raise ValueError(f"{type(fact).__name__}: transaction {fact.transaction_id} is not open")
    sql.execute(
        "UPDATE transactions SET next_seq_no = ?, pending = pending + 1, last_fact_at = ? WHERE number = ?",
        (fact.seq_no + 1, time_text(fact.at), number),
    )
    match fact:
        case TransactionUpdated():
            _update(sql, number, fact)
        case TransactionMetered():
            _raise_register(sql, number, fact.register_wh, fact.at)
        case TransactionStopped():
            sql.execute(
                "UPDATE transactions SET register_wh = ?, register_at = ?, stopped_at = ?, stop_reason = ?"
                " WHERE number = ?",
                (fact.meter_stop_wh, time_text(fact.at), time_text(fact.at), fact.reason, number),
            )
            sql.execute("DELETE FROM stop_samples WHERE transaction_number = ?", (number,))
    return number


def _update(sql: sqlite3.Connection, number: int, fact: TransactionUpdated) -> None:
    """Who ends an authorization may be another one of the group; the transaction keeps its driver."""
    sql.execute("UPDATE transactions SET is_authorized = ? WHERE number = ?", (fact.is_authorized, number))
    if fact.id_token is not None and fact.is_authorized:
        sql.execute(
            "UPDATE transactions SET id_token = ?, id_token_type = ? WHERE number = ?",
            (fact.id_token.value, fact.id_token.type, number),
        )
    if fact.is_placed:
        sql.execute(
            "UPDATE transactions SET is_placed = 1, evse_id = ?, connector_id = ? WHERE number = ?",
            (fact.evse_id, fact.connector_id, number),
        )
    if fact.meter_start_wh is not None:
        register = (fact.meter_start_wh, fact.meter_start_wh, time_text(fact.at), number)
        sql.execute(
            "UPDATE transactions SET meter_start_wh = ?, register_wh = ?, register_at = ? WHERE number = ?",
            register,
        )
    _use_reservation(sql, fact.reservation_id)


def _use_reservation(sql: sqlite3.Connection, reservation_id: int | None) -> None:
    if reservation_id is not None:
        sql.execute("DELETE FROM reservations WHERE reservation_id = ?", (reservation_id,))


def _open(sql: sqlite3.Connection, fact: TransactionStarted, history_limit: int) -> int:
    if sql.execute("SELECT 1 FROM transactions WHERE transaction_id = ?", (fact.transaction_id,)).fetchone():
        raise ValueError(f"transaction {fact.transaction_id} was started before")
    token = fact.id_token
    cursor = sql.execute(
        "INSERT INTO transactions (transaction_id, evse_id, connector_id, id_token, id_token_type, started_at,"
        " meter_start_wh, register_wh, register_at, next_seq_no, pending, is_authorized, is_placed, started)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?)",
        (
            fact.transaction_id,
            fact.evse_id,
            fact.connector_id,
            None if token is None else token.value,
            None if token is None else token.type,
            time_text(fact.at),
            fact.meter_start_wh,
            fact.meter_start_wh,
            time_text(fact.at),
            fact.seq_no + 1,
            token is not None,
            fact.is_placed,
            _encode(fact),
        ),
    )
    _use_reservation(sql, fact.reservation_id)
    number = cursor.lastrowid
    assert number is not None  # an INSERT into a table with a rowid gives one
    # Forced onto the partial index: a deep outbox of ended transactions must not be scanned each time.
    sql.execute(
        "DELETE FROM transactions INDEXED BY transactions_finished"
        " WHERE stopped_at IS NOT NULL AND pending = 0 AND number <= ?",
        (number - history_limit,),
    )
    return number


def _note_register(
    sql: sqlite3.Connection, transaction_id: TransactionId, register_wh: int, at: datetime
) -> None:
    number = _open_number(sql, transaction_id)
    if number is not None:  # else it ended while the reading was under way
        _raise_register(sql, number, register_wh, at)


def _raise_register(sql: sqlite3.Connection, number: int, register_wh: int, at: datetime) -> None:
    sql.execute(
        "UPDATE transactions SET register_wh = ?, register_at = ? WHERE number = ? AND register_wh <= ?",
        (register_wh, time_text(at), number, register_wh),
    )


def _add_stop_sample(sql: sqlite3.Connection, transaction_id: TransactionId, sample: Sample) -> None:
    number = _open_number(sql, transaction_id)
    if number is not None:  # else it ended while the sample was taken
        sql.execute(
            "INSERT INTO stop_samples (transaction_number, body) VALUES (?, ?)", (number, _encode(sample))
        )


def _delete_row(sql: sqlite3.Connection, row_id: int, reference: str | None) -> None:
    row = sql.execute("SELECT transaction_number FROM outbox WHERE row_id = ?", (row_id,)).fetchone()
    if row is None:
        return
    sql.execute("DELETE FROM outbox WHERE row_id = ?", (row_id,))
    sql.execute("UPDATE outbox_state SET depth = depth - 1")
    (number,) = row
    if number is not None:
        # A delivered stop leaves nothing but the history line.
        sql.execute(
            "UPDATE transactions SET pending = pending - 1, reference = coalesce(?, reference),"
            " started = CASE WHEN stopped_at IS NOT NULL AND pending = 1 THEN NULL ELSE started END"
            " WHERE number = ?",
            (reference, number),
        )


def _discard(sql: sqlite3.Connection, row_id: int, reason: str) -> str | None:
    """Returns the kind of the fact, None if there is no such row."""
    row = sql.execute("SELECT CAST(kind AS BLOB) FROM outbox WHERE row_id = ?", (row_id,)).fetchone()
    if row is None:
        return None
    sql.execute(
        "INSERT INTO discarded SELECT row_id, kind, body, attempts, ? FROM outbox WHERE row_id = ?",
        (reason, row_id),
    )
    sql.execute(
        "DELETE FROM discarded WHERE row_id <="
        " (SELECT row_id FROM discarded ORDER BY row_id DESC LIMIT 1 OFFSET ?)",
        (DISCARDED_LIMIT,),
    )
    _delete_row(sql, row_id, None)
    return bytes(row[0]).decode(errors="replace")


def _count_attempt(sql: sqlite3.Connection, row_id: int) -> None:
    sql.execute("UPDATE outbox SET attempts = attempts + 1 WHERE row_id = ?", (row_id,))


# --- reading ----------------------------------------------------------------------------------------------


def _open_number(sql: sqlite3.Connection, transaction_id: TransactionId) -> int | None:
    row = sql.execute(
        "SELECT number FROM transactions WHERE transaction_id = ? AND stopped_at IS NULL", (transaction_id,)
    ).fetchone()
    return None if row is None else int(row[0])


def _select_first(sql: sqlite3.Connection) -> tuple[int, bytes, bytes, int] | None:
    # As bytes: damaged text must fail in the decoder, where it can be put aside, not in sqlite3.
    row: tuple[int, bytes, bytes, int] | None = sql.execute(
        "SELECT row_id, CAST(kind AS BLOB), CAST(body AS BLOB), attempts FROM outbox ORDER BY row_id LIMIT 1"
    ).fetchone()
    return row


def _select_depth(sql: sqlite3.Connection) -> int:
    return int(sql.execute("SELECT depth FROM outbox_state").fetchone()[0])


def _select_outbox_state(sql: sqlite3.Connection) -> tuple[int, str | None, int]:
    row = sql.execute(
        "SELECT CASE WHEN json_valid(body) THEN json_extract(body, '$.at') END"
        " FROM outbox ORDER BY row_id LIMIT 1"
    ).fetchone()
    (discarded,) = sql.execute("SELECT count(*) FROM discarded").fetchone()
    return _select_depth(sql), None if row is None or row[0] is None else str(row[0]), int(discarded)


def _select_last_row_id(sql: sqlite3.Connection) -> int:
    return int(sql.execute("SELECT last_row_id FROM outbox_state").fetchone()[0])


def _select_reference(sql: sqlite3.Connection, transaction_id: TransactionId) -> str | None:
    row = sql.execute(
        "SELECT reference FROM transactions WHERE transaction_id = ?", (transaction_id,)
    ).fetchone()
    return None if row is None else row[0]


def _select_stop_samples(sql: sqlite3.Connection, transaction_id: TransactionId) -> list[bytes]:
    rows = sql.execute(
        "SELECT CAST(body AS BLOB) FROM stop_samples JOIN transactions ON transaction_number = number"
        " WHERE transaction_id = ? ORDER BY position",
        (transaction_id,),
    )
    return [body for (body,) in rows]


_OpenRow = tuple[
    bytes, int, str, int, str | None, str | None, str | None, int, int, int, int, int, str | None
]  # the columns below


def _select_pending(sql: sqlite3.Connection, transaction_id: TransactionId | None) -> bool:
    if transaction_id is None:
        query = "SELECT 1 FROM transactions INDEXED BY transactions_pending WHERE pending > 0 LIMIT 1"
        return sql.execute(query).fetchone() is not None
    row = sql.execute(
        "SELECT pending FROM transactions WHERE transaction_id = ?", (transaction_id,)
    ).fetchone()
    return row is not None and row[0] > 0


def _select_open(sql: sqlite3.Connection) -> list[_OpenRow]:
    return sql.execute(
        "SELECT CAST(started AS BLOB), register_wh, register_at, next_seq_no, reference,"
        " id_token, id_token_type, is_authorized, is_placed, evse_id, connector_id, meter_start_wh, last_fact_at"
        " FROM transactions INDEXED BY transactions_open WHERE stopped_at IS NULL ORDER BY number"
    ).fetchall()


_EndedRow = tuple[
    TransactionId, int, int, str | None, str | None, str, str, int, int, str, str | None, int
]  # the columns below


def _select_ended(sql: sqlite3.Connection, limit: int) -> list[_EndedRow]:
    return sql.execute(
        "SELECT transaction_id, evse_id, connector_id, id_token, id_token_type, started_at, stopped_at,"
        " meter_start_wh, register_wh, stop_reason, reference, pending"
        " FROM transactions WHERE stopped_at IS NOT NULL ORDER BY number DESC LIMIT ?",
        (max(0, limit),),
    ).fetchall()


# --- text and back ----------------------------------------------------------------------------------------


def _encode(value: DurableFact | Sample) -> str:
    return _encoder.encode(value).decode()


def _decode_sample(body: bytes) -> Sample:
    try:
        return _sample_decoder.decode(body)
    except msgspec.DecodeError as error:
        raise StoreCorrupt(f"a stored sample of a transaction cannot be read: {error}") from error


def _decode_open(row: _OpenRow) -> OpenTransaction:
    body, register_wh, register_at, next_seq_no, reference = row[:5]
    token, token_type, is_authorized, is_placed, evse_id, connector_id, meter_start_wh, last_at = row[5:]
    try:
        started = _decoders[TransactionStarted.__name__].decode(body)
        assert isinstance(started, TransactionStarted)
        at = parse_time(register_at)
        last_fact_at = None if last_at is None else parse_time(last_at)
    except ValueError as error:  # msgspec.DecodeError is one too
        raise StoreCorrupt(f"a stored open transaction cannot be read: {error}") from error
    return OpenTransaction(
        msgspec.structs.replace(
            started, evse_id=evse_id, connector_id=connector_id, meter_start_wh=meter_start_wh
        ),
        register_wh,
        at,
        next_seq_no,
        reference,
        None if token is None or token_type is None else IdToken(token, IdTokenType(token_type)),
        bool(is_authorized),
        bool(is_placed),
        last_fact_at,
    )


def _decode_ended(row: _EndedRow) -> EndedTransaction:
    (transaction_id, evse_id, connector_id, token, token_type, started_at, stopped_at) = row[:7]
    (meter_start_wh, register_wh, reason, reference, pending) = row[7:]
    return EndedTransaction(
        transaction_id,
        evse_id,
        connector_id,
        None if token is None or token_type is None else IdToken(token, IdTokenType(token_type)),
        parse_time(started_at),
        parse_time(stopped_at),
        meter_start_wh,
        register_wh,
        StopReason(reason),
        reference,
        pending == 0,
    )
