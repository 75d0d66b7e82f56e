"""The one database file: open, check, migrate, commit, close; SQLite in WAL mode with synchronous=FULL.

Every statement runs on one writer thread, so the event loop never waits for a disk; a commit is one fsync.
This is the border where sqlite3's errors become StoreCorrupt and StoreFull. It knows no table but those of
the start check. Used by the repositories of this package; opened and closed by `agent/app.py`. See docs/store.md.
"""

import asyncio
import fcntl
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar, TypeVarTuple

from agent.durations import Durations
from agent.errors import StoreCorrupt, StoreError, StoreFull, StoreTooNew

logger = logging.getLogger(__name__)

APPLICATION_ID = 0x45565345  # "EVSE", so that `file` and we ourselves know whose database it is
MIGRATIONS = Path(__file__).parent / "migrations"
# Small tables that charging depends on. The rest would make the start as long as the outbox is deep; SQLite
# notices damage there when it reads it.
CHECKED_TABLES = (
    "outbox_state",
    "settings",
    "availability",
    "tokens",
    "charging_profiles",
    "local_list_state",
    "reservations",
)
WAL_LIMIT_BYTES = 4 * 1024 * 1024

_NO_SPACE = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_AUTH,
}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_UNREADABLE = {
    sqlite3.SQLITE_IOERR_READ,
    sqlite3.SQLITE_IOERR_SHORT_READ,
    sqlite3.SQLITE_IOERR_CORRUPTFS,
}

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


def copy_path(path: Path) -> Path:
    """Where the copy of a database lies that a firmware update keeps for the release before it."""
    return path.with_name(path.name + ".before-update")


def open_or_bring_back(path: Path) -> "Database":
    """`Database.open`; after a firmware update that was rolled back, the copy made before it takes the place of a
    database that the newer release has changed. Raises like `Database.open`."""
    try:
        return Database.open(path)
    except StoreTooNew as error:
        copy = copy_path(path)
        if not copy.exists():
            raise
        logger.warning("%s; taking the copy made before the update", error)
        lock = _take_lock(path)
        try:
            # The log belongs to the file that goes: with the copy it would be nonsense.
            for name in (path.name + "-wal", path.name + "-shm"):
                path.with_name(name).unlink(missing_ok=True)
            copy.replace(path)
            _sync_folder(path.parent)
        finally:
            os.close(lock)
        return Database.open(path)


class Database:
    """An open database. Build it with `Database.open`; the methods raise StoreCorrupt, StoreFull or StoreError."""

    def __init__(self, path: Path, sql: sqlite3.Connection, lock: int) -> None:
        self.path = path
        self.on_commit: list[Callable[[], None]] = []
        """Called on the writer thread after each commit that changed something; tests cut the power there."""
        self.commit_times = Durations()
        """Of commits that succeeded, from their turn on the writer thread until they were on the disk."""
        self.failed_commits = 0
        self._sql = sql
        self._lock = lock
        self._is_open = True
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")

    @classmethod
    def open(cls, path: Path) -> "Database":
        """Open or create the file (0600), take the lock, check, migrate. Blocks for a few milliseconds.

        Its time does not depend on the depth of the outbox. Raises StoreCorrupt for a damaged, foreign or
        newer file (nothing is changed then), StoreFull when it cannot be written, StoreError when it is in use."""
        try:
            _create(path)
            lock = _take_lock(path)
        except OSError as error:
            raise StoreFull(
                f"cannot open the store {path}: {error.filename or path}: {error.strerror}"
            ) from error
        sql: sqlite3.Connection | None = None
        try:
            with border(path):
                sql = _connect(path)
                _check_owner(path, sql)
                _configure(path, sql)
                database = cls(path, sql, lock)
                database._migrate()
                _check_tables(path, sql)
        except BaseException:
            if sql is not None:
                sql.close()
            os.close(lock)
            raise
        return database

    async def read(
        self, work: Callable[[sqlite3.Connection, *Arguments], Result], *args: *Arguments
    ) -> Result:
        """Run `work(sql, *args)` on the writer thread, after everything that was asked for before."""
        return await self._submit(self._read, work, *args)

    async def commit(
        self, work: Callable[[sqlite3.Connection, *Arguments], Result], *args: *Arguments
    ) -> Result:
        """Run `work(sql, *args)` on the writer thread in one transaction; on return it is on the disk (one fsync).

        It is carried out even if the caller is cancelled meanwhile. If it raises, nothing was changed."""
        return await self._submit(self._commit, work, *args)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One commit around the block, or none of it. Only on the writer thread, or before there is one."""
        sql = self._sql
        before = sql.total_changes
        _roll_back(sql)
        sql.execute("BEGIN IMMEDIATE")
        try:
            yield sql
            sql.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # the first error tells more; the next transaction tries again
                _roll_back(sql)
            raise
        if sql.total_changes != before:
            for listener in self.on_commit:
                listener()

    def close(self) -> None:
        """Finish what was asked for, move the log into the file, release the lock. May be called twice.

        When the log cannot be moved (a full disk, somebody looks inside), it stays and the next start reads it."""
        if not self._is_open:
            return
        self._is_open = False
        self._writer.shutdown(wait=True)
        self._sql.close()
        os.close(self._lock)

    async def _submit(self, work: Callable[[*Arguments], Result], *args: *Arguments) -> Result:
        if not self._is_open:
            raise StoreError(f"the store {self.path} is closed")
        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(self._writer, work, *args))

    def _read(self, work: Callable[[sqlite3.Connection, *Arguments], Result], *args: *Arguments) -> Result:
        with border(self.path):
            return work(self._sql, *args)

    def _commit(self, work: Callable[[sqlite3.Connection, *Arguments], Result], *args: *Arguments) -> Result:
        begun_time = time.perf_counter()
        try:
            with border(self.path), self.transaction() as sql:
                answer = work(sql, *args)
        except Exception:
            self.failed_commits += 1
            raise
        self.commit_times.note(time.perf_counter() - begun_time)
        return answer

    def _migrate(self) -> None:
        """Apply what is missing, each file in one transaction with its version number."""
        version = _pragma(self._sql, "user_version")
        scripts = sorted(MIGRATIONS.glob("[0-9][0-9][0-9][0-9]_*.sql"))
        if version > len(scripts):
            raise StoreTooNew(
                f"the store {self.path} was written by a newer version of the agent (schema {version}, this one"
                f" knows {len(scripts)}): install that version again, or move the file away to start empty"
            )
        for number, script in enumerate(scripts[version:], start=version + 1):
            with self.transaction() as sql:
                for statement in _statements(script.read_text(encoding="utf-8")):
                    sql.execute(statement)
                sql.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                sql.execute(f"PRAGMA user_version = {number}")


def _create(path: Path) -> None:
    """Make the directory and an empty file that only we may read (it holds tokens and the CSMS's password)."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        return
    _sync_folder(path.parent)  # SQLite syncs the directory for its log, not for the file itself


def _sync_folder(folder: Path) -> None:
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _take_lock(path: Path) -> int:
    """Two agents on one file would each deliver the queue. The kernel releases the lock when we die."""
    lock = os.open(path.with_name(path.name + ".lock"), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
    except BlockingIOError as error:
        holder = os.pread(lock, 20, 0).decode("ascii", "replace") or "unknown"
        os.close(lock)
        raise StoreError(
            f"the store {path} is already in use by another agent (process {holder}): stop it first"
        ) from error
    except OSError:
        os.close(lock)
        raise
    return lock


def _connect(path: Path) -> sqlite3.Connection:
    # mode=rw: never create it here, with the wrong permissions. The thread check is ours: one writer thread.
    # A read-only look with the sqlite3 command may hold the file for a moment: wait for it instead of failing.
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=5.0,
    )


def _check_owner(path: Path, sql: sqlite3.Connection) -> None:
    owner = _pragma(sql, "application_id")
    is_empty = owner == 0 and not sql.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall()
    if owner != APPLICATION_ID and not is_empty:
        raise StoreCorrupt(f"{path} is a database of another program: name another state directory")


def _configure(path: Path, sql: sqlite3.Connection) -> None:
    (mode,) = sql.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StoreError(f"the file system of {path} does not allow a write-ahead log (it gave {mode!r})")
    sql.execute("PRAGMA synchronous = FULL")
    sql.execute("PRAGMA foreign_keys = ON")
    sql.execute("PRAGMA temp_store = MEMORY")
    sql.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")


def _check_tables(path: Path, sql: sqlite3.Connection) -> None:
    for table in CHECKED_TABLES:
        (verdict,) = sql.execute(f"PRAGMA integrity_check({table})").fetchone()
        if verdict != "ok":
            raise StoreCorrupt(_damage(path, f"{table}: {verdict}"))


def _roll_back(sql: sqlite3.Connection) -> None:
    if sql.in_transaction:  # a full disk may have rolled back by itself
        sql.execute("ROLLBACK")


def _pragma(sql: sqlite3.Connection, name: str) -> int:
    return int(sql.execute(f"PRAGMA {name}").fetchone()[0])


def _statements(script: str) -> Iterator[str]:
    """The statements of a script one by one (executescript would commit on its own)."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if line.rstrip().endswith(";") and sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        raise ValueError(f"a migration ends in the middle of a statement: {statement!r}")


def _damage(path: Path, detail: str) -> str:
    return f"the store {path} is damaged ({detail}): keep a copy, then move it away to start empty"


@contextmanager
def border(path: Path) -> Iterator[None]:
    """sqlite3's errors become ours. What is left (a broken constraint, wrong SQL) is a bug and stays as it is."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        translated = _translate(path, error)
        if translated is None:
            raise
        raise translated from error


def _translate(path: Path, error: sqlite3.DatabaseError) -> StoreError | None:
    extended = getattr(error, "sqlite_errorcode", None)
    if extended is None:  # sqlite3's own complaint, e.g. text that is not UTF-8
        is_damage = isinstance(error, sqlite3.OperationalError)
        return StoreCorrupt(_damage(path, str(error))) if is_damage else None
    code = extended & 0xFF
    if code in _DAMAGED or extended in _UNREADABLE:
        return StoreCorrupt(_damage(path, str(error)))
    if code in _NO_SPACE or code == sqlite3.SQLITE_IOERR:
        return StoreFull(
            f"the store {path} cannot be written ({error}): no space left, read-only, or a failing disk"
        )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreError(f"the store {path} is held by another program ({error})")
    return None
