"""A look into the database while no agent uses it: schema, damage, what waits to be sent, stored settings.

For `evse-agent doctor`. Changes nothing, not even the files that SQLite lays beside a database: a file whose log was
moved into it is read as it is, otherwise a copy of both is looked into. Reads tables: settings, outbox, outbox_state,
network_profiles, network_state. Of a newer schema nothing is read.
"""

import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from agent.charging.network import StoredNetworks
from agent.errors import StoreCorrupt, StoreError, StoreFull
from agent.store.db import APPLICATION_ID, MIGRATIONS
from agent.store.networks import select_networks
from agent.store.timestamps import parse_time

NETWORKS_SINCE = 8
"""The schema that brought the tables of network profiles."""


@dataclass(frozen=True, slots=True)
class StoreSight:
    """What is in the database."""

    schema: int
    known_schema: int
    """The newest that this program knows."""
    outbox_depth: int = 0
    oldest_at: datetime | None = None
    """When the fact happened that waits longest."""
    settings: Mapping[str, str] = field(default_factory=dict)
    networks: StoredNetworks = field(default_factory=lambda: StoredNetworks({}))
    """Where the CSMS sent the station (2.x)."""


def inspect(path: Path) -> StoreSight:
    """Raises StoreCorrupt (damaged, or of another program), StoreFull when it cannot be read, StoreError,
    PermissionError, and FileNotFoundError: it is not there, or nothing is in it yet."""
    try:
        with readable(path) as uri, closing(sqlite3.connect(uri, uri=True)) as sql:
            return _look(path, sql)
    except (FileNotFoundError, PermissionError):
        raise
    except OSError as error:
        raise StoreFull(f"{path} cannot be read: {error.strerror}") from error
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_ERROR:  # what was asked does not fit its tables
            raise StoreCorrupt(f"{path} is damaged: {error}") from error
        raise StoreError(f"{path} cannot be read: {error}") from error
    except sqlite3.DatabaseError as error:
        raise StoreCorrupt(f"{path} is damaged: {error}") from error


def holder(path: Path, locks: Path = Path("/proc/locks")) -> str | None:
    """The process that uses the database, as the kernel's list of locks has it; None: nobody."""
    try:
        status = os.stat(path.with_name(path.name + ".lock"))
        lines = locks.read_text().splitlines()
    except OSError:
        return None
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in lines:
        words = line.split()
        if "FLOCK" in words and place in words:
            return words[words.index(place) - 1]
    return None


@contextmanager
def readable(path: Path) -> Iterator[str]:
    """The address of something that may be opened without a trace."""
    log = path.with_name(path.name + "-wal")
    os.close(os.open(path, os.O_RDONLY))
    if not log.exists() or log.stat().st_size == 0:
        yield f"{path.absolute().as_uri()}?immutable=1"
        return
    with TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        shutil.copyfile(path, copy)
        shutil.copyfile(log, copy.with_name(log.name))
        yield f"{copy.as_uri()}?mode=rw"


def _look(path: Path, sql: sqlite3.Connection) -> StoreSight:
    (owner,) = sql.execute("PRAGMA application_id").fetchone()
    (tables,) = sql.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if owner == 0 and not tables:
        raise FileNotFoundError(f"{path} is empty: a first start was cut off")
    if owner != APPLICATION_ID:
        raise StoreCorrupt(f"{path} is a database of another program")
    (schema,) = sql.execute("PRAGMA user_version").fetchone()
    known = len(list(MIGRATIONS.glob("[0-9][0-9][0-9][0-9]_*.sql")))
    (verdict,) = sql.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise StoreCorrupt(f"{path} is damaged: {verdict}")
    if schema > known:
        return StoreSight(schema=int(schema), known_schema=known)
    (depth,) = sql.execute("SELECT depth FROM outbox_state").fetchone()
    oldest = sql.execute("SELECT json_extract(body, '$.at') FROM outbox ORDER BY row_id LIMIT 1").fetchone()
    settings = dict(sql.execute("SELECT name, value FROM settings").fetchall())
    return StoreSight(
        schema=int(schema),
        known_schema=known,
        outbox_depth=int(depth),
        oldest_at=parse_time(oldest[0]) if oldest and oldest[0] else None,
        settings=settings,
        networks=select_networks(sql) if schema >= NETWORKS_SINCE else StoredNetworks({}),
    )
