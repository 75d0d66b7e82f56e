"""Recorded sessions: the history of transactions with their curves. Tables: recorded_sessions, session_samples; who
charged, when and how much is read from transactions.

The recorder writes through the one writer thread, small batches about once a minute. Readers have a connection of
their own, opened for one question and closed: a long list never keeps a fact of charging waiting, and nothing stays
open that would make the log grow. The agent asks `StoredSessions` on a thread, the command line directly when no agent
runs.
"""

import asyncio
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from agent.charging.ids import IdToken, IdTokenType, StopReason
from agent.charging.recording import (
    PACE_S,
    Batch,
    RecordedSession,
    SessionCurve,
    SessionQuery,
    SessionSample,
    Totals,
)
from agent.errors import StoreError
from agent.store.db import Database, border
from agent.store.timestamps import parse_time, time_text

SESSIONS_SINCE = 14
"""The schema that brought the tables."""
PRUNED_AT_ONCE = 50
"""Curves removed in one commit: after a change of the configuration there may be thousands."""

_samples_decoder = msgspec.json.Decoder(tuple[SessionSample, ...])
_totals_decoder = msgspec.json.Decoder(Totals)

_COLUMNS = (
    "SELECT transaction_id, evse_id, connector_id, id_token, id_token_type, started_at, stopped_at, meter_start_wh,"
    " register_wh, register_at, stop_reason, reference, totals FROM transactions"
    " LEFT JOIN recorded_sessions ON transaction_number = number"
)


class SqlSessions:
    """The recorder's side. Every write is one commit and raises StoreFull, StoreCorrupt or StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def path(self) -> Path:
        return self._database.path

    async def save(self, batches: Sequence[Batch]) -> None:
        """One commit. A batch of a transaction that is not in the history (any more) is dropped."""
        # Packed elsewhere: the writer thread has facts of charging to write.
        bodies = await asyncio.to_thread(lambda: [_packed(batch.samples) for batch in batches])
        await self._database.commit(_save, batches, bodies)

    async def load(self, transaction_id: str) -> tuple[tuple[SessionSample, ...], int, Totals] | None:
        """Samples, pace and totals of what was recorded before a restart; None: nothing."""
        return await self._database.read(_load, transaction_id)

    async def prune(self, most: int, oldest_at: datetime | None) -> int:
        """One commit: at most 50 curves beyond the latest `most`, or of sessions that ended before `oldest_at`; who
        charged is forgotten then, too, where the CSMS knows it all. Returns how many went."""
        return await self._database.commit(_prune, most, oldest_at)


class StoredSessions:
    """The readers' side. Both methods block and raise StoreError."""

    def __init__(self, path: Path, *, is_in_use: bool) -> None:
        """`is_in_use`: this process has the database open. If not, nobody may have: it is read without a trace."""
        self._path = path
        self._is_in_use = is_in_use

    def sessions(self, query: SessionQuery, now: datetime) -> list[RecordedSession]:
        """Newest first. `now` is for the duration of those that run; with no agent it ends at their last register."""
        with self._open() as sql:
            return _select(sql, query, now if self._is_in_use else None)

    def session(self, session_id: str, now: datetime) -> SessionCurve | None:
        """None: there is no such session."""
        with self._open() as sql:
            row = sql.execute(f"{_COLUMNS} WHERE transaction_id = ?", (session_id,)).fetchone()
            if row is None:
                return None
            recorded = _load(sql, session_id)
            samples, pace_s = (recorded[0], recorded[1]) if recorded is not None else ((), PACE_S)
            return SessionCurve(_decode(row, now if self._is_in_use else None), pace_s, samples)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        path = self._path
        # A file opened and closed beside SQLite would take SQLite's locks with it: never while this process uses it.
        if not self._is_in_use:
            from agent.store.inspection import readable  # the running agent does without
        uri_of = nullcontext(f"{path.absolute().as_uri()}?mode=ro") if self._is_in_use else readable(path)
        try:
            with border(path), uri_of as uri, closing(sqlite3.connect(uri, uri=True, timeout=5.0)) as sql:
                (schema,) = sql.execute("PRAGMA user_version").fetchone()
                if schema < SESSIONS_SINCE:
                    raise StoreError(f"the store {path} was last used by a version that recorded no sessions")
                yield sql
        except OSError as error:
            raise StoreError(f"the store {path} cannot be read: {error.strerror}") from error


# --- writing: each of these runs inside one transaction ---------------------------------------------------


def _packed(samples: Sequence[SessionSample]) -> bytes:
    return zlib.compress(msgspec.json.encode(samples))


def _save(sql: sqlite3.Connection, batches: Sequence[Batch], bodies: Sequence[bytes]) -> None:
    for batch, body in zip(batches, bodies, strict=True):
        row = sql.execute(
            "SELECT number FROM transactions WHERE transaction_id = ?", (batch.transaction_id,)
        ).fetchone()
        if row is None:
            continue
        (number,) = row
        sql.execute(
            "INSERT INTO recorded_sessions (transaction_number, totals, pace_s) VALUES (?1, ?2, ?3)"
            " ON CONFLICT (transaction_number) DO UPDATE SET totals = ?2, pace_s = ?3",
            (number, msgspec.json.encode(batch.totals).decode(), batch.pace_s),
        )
        if batch.is_whole:
            sql.execute("DELETE FROM session_samples WHERE transaction_number = ?", (number,))
        if batch.samples:
            sql.execute(
                "INSERT INTO session_samples (transaction_number, body) VALUES (?, ?)", (number, body)
            )


def _prune(sql: sqlite3.Connection, most: int, oldest_at: datetime | None) -> int:
    beyond = sql.execute(
        "SELECT transaction_number FROM recorded_sessions ORDER BY transaction_number DESC LIMIT 1 OFFSET ?",
        (most,),
    ).fetchone()
    before = time_text(oldest_at) if oldest_at is not None else ""
    found = sql.execute(
        "SELECT number FROM transactions JOIN recorded_sessions ON transaction_number = number"
        " WHERE stopped_at IS NOT NULL AND (number <= ? OR stopped_at < ?) ORDER BY number LIMIT ?",
        (-1 if beyond is None else beyond[0], before, PRUNED_AT_ONCE),
    ).fetchall()
    for each in found:
        sql.execute("DELETE FROM session_samples WHERE transaction_number = ?", each)
        sql.execute("DELETE FROM recorded_sessions WHERE transaction_number = ?", each)
    if oldest_at is not None:
        sql.execute(
            "UPDATE transactions SET id_token = NULL, id_token_type = NULL, started = NULL"
            " WHERE id_token IS NOT NULL AND stopped_at < ? AND pending = 0",
            (before,),
        )
    return len(found)


# --- reading ----------------------------------------------------------------------------------------------


def _load(
    sql: sqlite3.Connection, transaction_id: str
) -> tuple[tuple[SessionSample, ...], int, Totals] | None:
    row = sql.execute(
        "SELECT transaction_number, totals, pace_s FROM recorded_sessions"
        " JOIN transactions ON transaction_number = number WHERE transaction_id = ?",
        (transaction_id,),
    ).fetchone()
    if row is None:
        return None
    number, totals, pace_s = row
    bodies = sql.execute(
        "SELECT body FROM session_samples WHERE transaction_number = ? ORDER BY position", (number,)
    )
    samples: list[SessionSample] = []
    for (body,) in bodies:
        samples.extend(_decode_samples(body))
    return tuple(samples), int(pace_s), _decode_totals(totals)


def _decode_samples(body: bytes) -> tuple[SessionSample, ...]:
    """A batch that cannot be read is left out: a curve with a gap is worth more than none."""
    try:
        return _samples_decoder.decode(zlib.decompress(body))
    except (zlib.error, msgspec.DecodeError):
        return ()


def _decode_totals(text: str | None) -> Totals:
    try:
        return Totals() if text is None else _totals_decoder.decode(text)
    except msgspec.DecodeError:
        return Totals()


def _select(sql: sqlite3.Connection, query: SessionQuery, now: datetime | None) -> list[RecordedSession]:
    rows = sql.execute(
        f"{_COLUMNS} WHERE (:since IS NULL OR stopped_at IS NULL OR stopped_at >= :since)"
        " AND (:until IS NULL OR started_at <= :until) AND (:evse_id IS NULL OR evse_id = :evse_id)"
        " ORDER BY number DESC LIMIT :limit",
        {
            "since": None if query.since is None else time_text(query.since),
            "until": None if query.until is None else time_text(query.until),
            "evse_id": query.evse_id,
            "limit": query.limit,
        },
    )
    return [_decode(row, now) for row in rows]


def _decode(row: Sequence[Any], now: datetime | None) -> RecordedSession:
    (transaction_id, evse_id, connector_id, token, token_type, started_at, stopped_at, meter_start_wh) = row[
        :8
    ]
    register_wh, register_at, reason, reference, totals = row[8:]
    started = parse_time(started_at)
    stopped = None if stopped_at is None else parse_time(stopped_at)
    return RecordedSession(
        session_id=transaction_id,
        evse_id=evse_id,
        connector_id=connector_id,
        id_token=None if token is None else IdToken(token, IdTokenType(token_type)),
        started_at=started,
        stopped_at=stopped,
        meter_start_wh=meter_start_wh,
        meter_stop_wh=None if stopped is None else register_wh,
        energy_wh=float(max(0, register_wh - meter_start_wh)),
        stop_reason=None if reason is None else StopReason(reason),
        reference=reference,
        totals=_decode_totals(totals),
        duration_s=max(timedelta(), (stopped or now or parse_time(register_at)) - started).total_seconds(),
    )
