"""Network connection profiles. Tables: network_profiles, network_state.

It judges nothing: `agent/network_desk.py` does, its only user. Every write is one commit. OCPP 2.0.1 part 2, B09, B10.
"""

import sqlite3
from collections.abc import Collection

import msgspec

from agent.charging.network import FORMER_SLOT, NetworkProfile, StoredNetworks
from agent.errors import StoreCorrupt
from agent.store.db import Database

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(NetworkProfile)


class SqlNetworks:
    """Implements `charging.ports.NetworkStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> StoredNetworks:
        return await self._database.read(select_networks)

    async def put(self, slot: int, profile: NetworkProfile | None) -> None:
        """None: the connection of the configuration file."""
        await self._database.commit(_put, slot, profile)

    async def put_new(self, slot: int, profile: NetworkProfile) -> None:
        await self._database.commit(_put_new, slot, profile)

    async def drop(self, slots: Collection[int]) -> None:
        """These slots are empty from now on."""
        await self._database.commit(_drop, tuple(slots))

    async def note_good(self, slot: int) -> None:
        await self._database.commit(_note_good, slot)

    async def note_configured(self, url: str) -> None:
        await self._database.commit(_note_configured, url)


def select_networks(sql: sqlite3.Connection) -> StoredNetworks:
    rows = sql.execute("SELECT slot, CAST(body AS BLOB) FROM network_profiles ORDER BY slot").fetchall()
    good, url = sql.execute("SELECT last_good_slot, configured_url FROM network_state").fetchone()
    try:
        profiles = {slot: None if body is None else _decoder.decode(body) for slot, body in rows}
    except (msgspec.DecodeError, ValueError) as error:
        raise StoreCorrupt(f"a network profile cannot be read: {error}") from error
    return StoredNetworks(profiles, good, url)


def _put(sql: sqlite3.Connection, slot: int, profile: NetworkProfile | None) -> None:
    body = None if profile is None else _encoder.encode(profile).decode()
    sql.execute("INSERT OR REPLACE INTO network_profiles (slot, body) VALUES (?, ?)", (slot, body))


def _put_new(sql: sqlite3.Connection, slot: int, profile: NetworkProfile) -> None:
    worked = (
        "SELECT body FROM network_profiles JOIN network_state ON slot = last_good_slot"
        " WHERE slot = ? AND body IS NOT ?"
    )
    kept = sql.execute(worked, (slot, _encoder.encode(profile).decode())).fetchone()
    if kept is not None:
        sql.execute(
            "INSERT OR REPLACE INTO network_profiles (slot, body) VALUES (?, ?)", (FORMER_SLOT, *kept)
        )
        sql.execute("UPDATE network_state SET last_good_slot = ?", (FORMER_SLOT,))
    _put(sql, slot, profile)


def _drop(sql: sqlite3.Connection, slots: tuple[int, ...]) -> None:
    sql.executemany("DELETE FROM network_profiles WHERE slot = ?", [(slot,) for slot in slots])


def _note_good(sql: sqlite3.Connection, slot: int) -> None:
    sql.execute("UPDATE network_state SET last_good_slot = ?", (slot,))
    if slot != FORMER_SLOT:
        _drop(sql, (FORMER_SLOT,))


def _note_configured(sql: sqlite3.Connection, url: str) -> None:
    sql.execute("UPDATE network_state SET configured_url = ?", (url,))
