"""The database file: created safely, refused when it cannot be trusted, committed or not at all."""

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest

from agent.errors import StoreCorrupt, StoreError, StoreFull
from agent.store import db
from agent.store.db import Database
from agent.store.journal import SqlJournal
from agent.store.settings import SqlSettings
from tests.store.example_facts import metered, started

NEWEST_SCHEMA = len(list(db.MIGRATIONS.glob("*.sql")))


def _insert(sql: sqlite3.Connection, name: str) -> None:
    sql.execute("INSERT INTO settings (name, value) VALUES (?, '')", (name,))


def _names(sql: sqlite3.Connection) -> list[str]:
    return [name for (name,) in sql.execute("SELECT name FROM settings ORDER BY name")]


def _pragma(sql: sqlite3.Connection, text: str) -> object:
    return sql.execute(f"PRAGMA {text}").fetchone()[0]


def _closed_database(folder: Path, settings: int = 0) -> Path:
    """A tidy database file, with some settings in it."""
    path = folder / "agent.db"
    database = Database.open(path)
    with database.transaction() as sql:
        for number in range(settings):
            _insert(sql, f"setting {number:05}")
    database.close()
    return path


# --- opening ----------------------------------------------------------------------------------------------


@pytest.mark.req("A01.FR.10")
def test_directory_and_files_are_created_for_their_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state" / "agent.db"
    database = Database.open(path)
    try:
        files = list(path.parent.iterdir())
        assert {file.name for file in files} >= {"agent.db", "agent.db-wal", "agent.db.lock"}
        assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
        assert path.parent.stat().st_mode & 0o777 == 0o700
    finally:
        database.close()


async def test_a_commit_waits_for_the_disk(database: Database) -> None:
    assert await database.read(_pragma, "journal_mode") == "wal"
    assert await database.read(_pragma, "synchronous") == 2  # FULL
    assert await database.read(_pragma, "foreign_keys") == 1


async def test_the_file_says_whose_it_is_and_which_schema_it_has(database: Database) -> None:
    assert await database.read(_pragma, "application_id") == db.APPLICATION_ID
    assert await database.read(_pragma, "user_version") == NEWEST_SCHEMA


def test_an_empty_file_left_by_a_power_cut_at_creation_is_a_fresh_start(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    path.touch(0o600)
    Database.open(path).close()
    Database.open(path).close()


def test_a_directory_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the directory should be")
    with pytest.raises(StoreFull, match=r"cannot open the store .*/state: File exists"):
        Database.open(tmp_path / "state" / "agent.db")


def test_a_second_agent_on_the_same_file_is_refused_by_name(database: Database) -> None:
    with pytest.raises(StoreError, match=r"already in use by another agent \(process \d+\)"):
        Database.open(database.path)


def test_the_lock_ends_with_close(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    Database.open(path).close()
    Database.open(path).close()


@pytest.mark.parametrize("content", [b"not a database at all" * 500, b"SQLite format 3\x00" + bytes(4000)])
def test_a_garbage_file_is_refused_and_not_touched(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "agent.db"
    path.write_bytes(content)
    with pytest.raises(StoreCorrupt, match=r"agent\.db is damaged .*move it away"):
        Database.open(path)
    assert path.read_bytes() == content


def test_a_database_of_another_program_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE notes (text)")
    other.close()
    content = path.read_bytes()
    with pytest.raises(StoreCorrupt, match="another program"):
        Database.open(path)
    assert path.read_bytes() == content


def test_a_newer_schema_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = _closed_database(tmp_path)
    newer = sqlite3.connect(path)
    newer.execute(f"PRAGMA user_version = {NEWEST_SCHEMA + 1}")
    newer.close()
    content = path.read_bytes()
    with pytest.raises(StoreCorrupt, match=f"newer version of the agent \\(schema {NEWEST_SCHEMA + 1}"):
        Database.open(path)
    assert path.read_bytes() == content


def test_a_refused_file_is_not_left_locked(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    path.write_bytes(b"garbage" * 1000)
    with pytest.raises(StoreCorrupt):
        Database.open(path)
    path.unlink()
    Database.open(path).close()


def test_a_file_that_lost_its_end_is_refused(tmp_path: Path) -> None:
    path = _closed_database(tmp_path, settings=1000)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(StoreCorrupt, match="damaged"):
        Database.open(path)


def test_damaged_settings_are_noticed_at_start(tmp_path: Path) -> None:
    path = _closed_database(tmp_path, settings=1000)
    content = bytearray(path.read_bytes())
    at = content.index(b"setting 00500") // 4096 * 4096
    content[at : at + 4096] = bytes(4096)
    path.write_bytes(content)
    with pytest.raises(StoreCorrupt, match="damaged"):
        Database.open(path)


def test_settings_that_contradict_themselves_are_noticed_at_start(tmp_path: Path) -> None:
    """Whole pages, but the keys are out of order: SQLite would not find some of them."""
    path = _closed_database(tmp_path, settings=3)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"setting 00001", b"setting 99999"))
    with pytest.raises(StoreCorrupt, match=r"damaged \(settings: "):
        Database.open(path)


# --- migrations -------------------------------------------------------------------------------------------


def _write_migrations(folder: Path, monkeypatch: pytest.MonkeyPatch, **scripts: str) -> None:
    first = next(db.MIGRATIONS.glob("0001_*.sql")).read_text()
    folder.mkdir()
    (folder / "0001_first.sql").write_text(first)
    for name, script in scripts.items():
        (folder / f"{name.removeprefix('m')}.sql").write_text(script)
    monkeypatch.setattr(db, "MIGRATIONS", folder)
    monkeypatch.setattr(db, "CHECKED_TABLES", ("settings",))


def test_every_migration_has_a_number_of_its_own_and_none_is_left_out() -> None:
    numbers = sorted(int(script.name[:4]) for script in db.MIGRATIONS.glob("*.sql"))
    assert numbers == list(range(1, NEWEST_SCHEMA + 1))


def test_missing_migrations_are_applied_once_and_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write_migrations(tmp_path / "early", monkeypatch)
    path = _closed_database(tmp_path, settings=3)
    _write_migrations(
        tmp_path / "later",
        monkeypatch,
        m0002_more="CREATE TABLE more (\n  text TEXT -- a ; in a remark\n);\nINSERT INTO more VALUES ('a;b');",
        m0003_again="ALTER TABLE more ADD COLUMN number INTEGER DEFAULT 7;",
    )
    for _ in range(2):
        database = Database.open(path)
        with database.transaction() as sql:
            assert sql.execute("SELECT text, number FROM more").fetchall() == [("a;b", 7)]
            assert _pragma(sql, "user_version") == 3
            assert len(_names(sql)) == 3
        database.close()


def test_a_migration_that_fails_leaves_the_version_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write_migrations(tmp_path / "early", monkeypatch)
    path = _closed_database(tmp_path, settings=3)
    _write_migrations(
        tmp_path / "later", monkeypatch, m0002_broken="DELETE FROM settings;\nINSERT INTO nowhere VALUES (1);"
    )
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        Database.open(path)
    monkeypatch.setattr(db, "MIGRATIONS", tmp_path / "early")
    database = Database.open(path)
    with database.transaction() as sql:
        assert len(_names(sql)) == 3
        assert _pragma(sql, "user_version") == 1
    database.close()


def test_a_migration_that_ends_in_the_middle_is_a_bug_that_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write_migrations(tmp_path / "migrations", monkeypatch, m0002_cut="CREATE TABLE more (")
    with pytest.raises(ValueError, match="middle of a statement"):
        Database.open(tmp_path / "agent.db")


# --- working ----------------------------------------------------------------------------------------------


async def test_work_that_raises_changes_nothing(database: Database) -> None:
    def fail(sql: sqlite3.Connection) -> None:
        _insert(sql, "lost")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await database.commit(fail)
    assert await database.read(_names) == []


async def test_the_loop_runs_on_while_the_disk_is_slow(database: Database) -> None:
    disk = threading.Event()
    slow = asyncio.create_task(database.commit(lambda _sql: disk.wait(5)))
    turns = 0
    while turns < 10:  # a loop that waited for the disk would not come here before 5 s
        await asyncio.sleep(0)
        turns += 1
    assert not slow.done()
    disk.set()
    assert await slow is True


async def test_a_read_sees_every_write_asked_for_before(database: Database) -> None:
    writes = [asyncio.create_task(database.commit(_insert, f"{number}")) for number in range(5)]
    await asyncio.sleep(0)
    assert await database.read(_names) == ["0", "1", "2", "3", "4"]
    await asyncio.gather(*writes)


async def test_a_commit_is_carried_out_although_its_caller_was_cancelled(database: Database) -> None:
    disk = threading.Event()
    slow = asyncio.create_task(database.read(lambda _sql: disk.wait(5)))
    behind = asyncio.create_task(database.commit(_insert, "kept"))
    await asyncio.sleep(0)
    behind.cancel()
    with pytest.raises(asyncio.CancelledError):
        await behind
    disk.set()
    await slow
    assert await database.read(_names) == ["kept"]


async def test_listeners_hear_of_commits_that_changed_something(database: Database) -> None:
    commits: list[str] = []
    database.on_commit.append(lambda: commits.append(threading.current_thread().name))
    await database.commit(_insert, "a")
    await database.commit(_names)
    await database.read(_names)
    assert len(commits) == 1
    assert commits[0].startswith("store")


async def test_close_leaves_one_file_with_everything_in_it(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "agent.db")
    last = asyncio.create_task(database.commit(_insert, "last"))
    await asyncio.sleep(0)
    database.close()
    await last
    assert not (tmp_path / "agent.db-wal").exists()
    alone = sqlite3.connect(tmp_path / "agent.db")
    assert _names(alone) == ["last"]
    alone.close()


async def test_a_closed_store_says_so_and_may_be_closed_again(database: Database) -> None:
    database.close()
    with pytest.raises(StoreError, match="is closed"):
        await database.commit(_insert, "late")
    database.close()


async def test_somebody_may_look_inside_while_it_runs(database: Database) -> None:
    await database.commit(_insert, "seen")
    visitor = sqlite3.connect(f"{database.path.as_uri()}?mode=ro", uri=True)
    assert _names(visitor) == ["seen"]
    await database.commit(_insert, "also seen")
    assert _names(visitor) == ["also seen", "seen"]
    visitor.close()


async def test_somebody_who_looks_inside_does_not_hold_up_the_end(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "agent.db")
    await database.commit(_insert, "kept")
    visitor = sqlite3.connect(f"{database.path.as_uri()}?mode=ro", uri=True, isolation_level=None)
    visitor.execute("BEGIN")
    assert _names(visitor) == ["kept"]
    database.close()
    visitor.close()
    database = Database.open(tmp_path / "agent.db")
    assert await database.read(_names) == ["kept"]
    database.close()


async def test_somebody_who_writes_from_outside_is_named_as_the_cause(database: Database) -> None:
    await database.read(_pragma, "busy_timeout = 1")
    visitor = sqlite3.connect(database.path, isolation_level=None)
    visitor.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="held by another program"):
        await database.commit(_insert, "late")
    visitor.execute("ROLLBACK")
    visitor.close()
    await database.commit(_insert, "now")
    assert await database.read(_names) == ["now"]


# --- a disk that takes no more, or gives back rubbish -----------------------------------------------------


async def test_a_full_disk_is_told_and_loses_nothing(database: Database) -> None:
    journal = SqlJournal(database)
    await journal.record(started())
    pages = await database.read(_pragma, "page_count")
    await database.read(_pragma, f"max_page_count = {pages}")
    kept = 1
    refusal: StoreFull | None = None
    while refusal is None:  # until the pages that are there are full
        try:
            await journal.record(metered(seq_no=kept, register_wh=1000 + kept))
            kept += 1
        except StoreFull as error:
            refusal = error
    assert "no space left" in str(refusal)
    assert await journal.depth() == kept
    (transaction,) = await journal.open_transactions()
    assert transaction.last_register_wh == 1000 + kept - 1

    await database.read(_pragma, "max_page_count = 1000000")
    await journal.record(metered(seq_no=kept, register_wh=1000 + kept))
    assert await journal.depth() == kept + 1


async def test_a_queue_on_a_full_disk_can_still_be_delivered(database: Database) -> None:
    journal = SqlJournal(database)
    await journal.record(started(), *(metered(seq_no=number) for number in range(1, 200)))
    pages = await database.read(_pragma, "page_count")
    await database.read(_pragma, f"max_page_count = {pages}")
    while (row := await journal.first()) is not None:
        await journal.confirm(row.row_id, "17")
    assert await journal.depth() == 0


async def test_a_read_only_file_is_told_and_recovers(database: Database) -> None:
    settings = SqlSettings(database)
    await settings.save({"a": "1"})
    await database.read(lambda sql: sql.execute("PRAGMA query_only = ON").fetchall())
    with pytest.raises(StoreFull, match="read-only"):
        await settings.save({"a": "2"})
    assert await settings.load() == {"a": "1"}
    await database.read(lambda sql: sql.execute("PRAGMA query_only = OFF").fetchall())
    await settings.save({"a": "2"})
    assert await settings.load() == {"a": "2"}


async def test_damage_met_later_is_told_where_it_is_met(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    database = Database.open(path)
    await SqlJournal(database).record(started(), *(metered(seq_no=number) for number in range(1, 200)))
    database.close()
    content = bytearray(path.read_bytes())
    at = content.index(b'"seq_no":100') // 4096 * 4096
    content[at : at + 4096] = b"\xff" * 4096
    path.write_bytes(content)

    database = Database.open(path)
    journal = SqlJournal(database)
    assert await journal.depth() == 200
    delivered: list[object] = []

    async def deliver() -> None:
        while (row := await journal.first()) is not None:
            delivered.append(row.fact)
            await journal.confirm(row.row_id)

    with pytest.raises(StoreCorrupt, match="damaged"):
        await deliver()
    assert delivered[0] == started()
    database.close()


async def test_a_bug_of_ours_is_not_taken_for_a_damaged_disk(database: Database) -> None:
    await database.commit(_insert, "a")
    with pytest.raises(sqlite3.IntegrityError):
        await database.commit(_insert, "a")


async def test_commits_are_timed_and_failed_ones_counted(database: Database) -> None:
    before = sum(database.commit_times.counts)
    await database.commit(lambda sql: sql.execute("DELETE FROM outbox"))
    await database.read(lambda sql: sql.execute("SELECT 1").fetchone())
    assert (sum(database.commit_times.counts), database.failed_commits) == (before + 1, 0)
    with pytest.raises(ZeroDivisionError):
        await database.commit(lambda _sql: 1 // 0)
    assert (sum(database.commit_times.counts), database.failed_commits) == (before + 1, 1)
