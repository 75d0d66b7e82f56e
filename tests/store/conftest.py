"""An open database in a fresh directory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.store.db import Database
from agent.store.journal import SqlJournal


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(tmp_path / "state" / "agent.db")
    yield database
    database.close()


@pytest.fixture
def journal(database: Database) -> SqlJournal:
    return SqlJournal(database)
