"""The store between real processes: SIGKILL, a file size limit, two agents on one file."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.errors import StoreError
from agent.store.db import Database
from agent.store.journal import SqlJournal
from tests.store.example_facts import started

pytestmark = pytest.mark.system

WRITER = """
import asyncio, resource, sys
from pathlib import Path
from agent.errors import StoreFull
from agent.store.db import Database
from agent.store.journal import SqlJournal
from tests.store.example_facts import metered, started

async def main(path, limit):
    database = Database.open(Path(path))
    journal = SqlJournal(database)
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        await journal.record(started())
        for number in range(1, 100_000):
            print(number, flush=True)
            await journal.record(metered(seq_no=number, register_wh=1000 + number))
    except StoreFull as error:
        print(error, flush=True)
    database.close()

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


@contextmanager
def _writer(path: Path, size_limit: int = 0) -> Iterator[subprocess.Popen[str]]:
    """A process that records facts and prints how many are committed, until it is killed or the disk is full."""
    command = [sys.executable, "-c", WRITER, str(path), str(size_limit)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _printed(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None
    for line in process.stdout:
        yield line.strip()


async def _found(path: Path) -> tuple[int, int]:
    """Depth of the outbox, and the next sequence number of the open transaction."""
    database = Database.open(path)
    journal = SqlJournal(database)
    (transaction,) = await journal.open_transactions()
    assert transaction.started == started()
    found = await journal.depth(), transaction.next_seq_no
    database.close()
    return found


@pytest.mark.parametrize("steps", [1, 40, 700])
def test_what_was_told_to_be_committed_is_there_after_sigkill(tmp_path: Path, steps: int) -> None:
    path = tmp_path / "agent.db"
    with _writer(path) as process:
        for line in _printed(process):
            if int(line) >= steps:
                process.kill()
                break
        told = max([steps, *(int(line) for line in _printed(process) if line)])
    depth, next_seq_no = asyncio.run(_found(path))
    assert depth >= told
    assert next_seq_no == depth


def test_a_disk_that_takes_no_more_is_told_and_what_was_committed_is_there(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    with _writer(path, size_limit=300_000) as process:
        *numbers, complaint = _printed(process)
        assert process.wait(20) == 0
    assert "cannot be written" in complaint
    assert [int(number) for number in numbers] == list(range(1, len(numbers) + 1))
    depth, next_seq_no = asyncio.run(_found(path))
    assert depth == next_seq_no == len(numbers)


def test_two_agents_never_share_a_store_and_a_killed_one_leaves_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "agent.db"
    with _writer(path) as process:
        next(_printed(process))
        with pytest.raises(StoreError, match=rf"in use by another agent \(process {process.pid}\)"):
            Database.open(path)
        process.kill()
        process.wait(20)
        assert asyncio.run(_found(path))[0] > 0
