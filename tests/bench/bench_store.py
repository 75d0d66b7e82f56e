"""`python -m tests.bench.bench_store`: what a durable step costs, and that depth does not matter.

Prints a table of medians: insert, confirm, first and start-up at 0, 1,000 and 100,000 rows in the outbox, beside
the disk's own append + fsync. Options: --rounds N, --folder PATH (a directory on the disk to be measured).
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from agent.store.db import Database
from agent.store.journal import SqlJournal
from tests.helpers.disk import photograph
from tests.store.example_facts import metered, sample, started, stopped

DEPTHS = (0, 1_000, 100_000)
PER_TRANSACTION = 50
CHUNK = 5_000


def floor_us(folder: Path, rounds: int) -> float:
    """Append 4 KB and fsync."""
    block = os.urandom(4096)
    times = []
    with (folder / "floor").open("ab", buffering=0) as file:
        for _ in range(rounds):
            begin = time.perf_counter()
            file.write(block)
            os.fsync(file.fileno())
            times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1e6


async def fill(journal: SqlJournal, depth: int) -> None:
    """Transactions of 50 rows that ended while the CSMS was away."""
    rows = []
    for number in range(depth // PER_TRANSACTION):
        name = f"filled{number}"
        rows.append(started(name))
        rows += [metered(name, seq_no=seq_no) for seq_no in range(1, PER_TRANSACTION - 1)]
        rows.append(stopped(name, seq_no=PER_TRANSACTION - 1, samples=(sample(),)))
        if len(rows) >= CHUNK:
            await journal.record(*rows)
            rows.clear()
    await journal.record(*rows)


async def measure(work: Callable[[int], Awaitable[object]], rounds: int) -> float:
    """Median in microseconds, as the loop sees it (the way to the writer thread and back included)."""
    times = []
    for number in range(rounds):
        begin = time.perf_counter()
        await work(number)
        times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1e6


async def start_up(path: Path) -> float:
    """Open, find the open transactions, the first row and the depth: what a boot asks for, in milliseconds."""
    begin = time.perf_counter()
    database = Database.open(path)
    journal = SqlJournal(database)
    await journal.open_transactions()
    await journal.first()
    await journal.depth()
    elapsed = time.perf_counter() - begin
    database.close()
    return elapsed * 1e3


async def column(folder: Path, depth: int, rounds: int) -> list[str]:
    path = folder / f"depth{depth}" / "agent.db"
    database = Database.open(path)
    journal = SqlJournal(database)
    await fill(journal, depth)
    await journal.record(started("running"))
    template = metered("running")
    first = await measure(lambda _: journal.first(), rounds)
    insert = await measure(
        lambda number: journal.record(replace(template, seq_no=number + 1, register_wh=2000 + number)), rounds
    )
    row = await journal.first()
    assert row is not None
    confirm = await measure(lambda number: journal.confirm(row.row_id + number, "17"), rounds)
    asked = await measure(lambda _: journal.depth(), rounds)
    size = path.stat().st_size / 1e6
    killed = [photograph(path, folder / f"killed{depth}-{number}") for number in range(9)]
    database.close()
    starts = [await start_up(copy) for copy in killed]
    clean = [await start_up(path) for _ in range(9)]
    return [
        f"{insert:.0f} us",
        f"{confirm:.0f} us",
        f"{first:.0f} us",
        f"{asked:.0f} us",
        f"{statistics.median(clean):.1f} ms",
        f"{statistics.median(starts):.1f} ms",
        f"{size:.1f} MB",
    ]


async def bench(folder: Path, rounds: int) -> None:
    print(f"append 4 KB + fsync on this disk: {floor_us(folder, rounds):.0f} us\n")
    names = ("record", "confirm", "first", "depth", "start, clean", "start, after a kill", "file")
    columns = [await column(folder, depth, rounds) for depth in DEPTHS]
    print("| median | " + " | ".join(f"{depth:,} rows" for depth in DEPTHS) + " |")
    print("|---" * (len(DEPTHS) + 1) + "|")
    for name, *figures in zip(names, *columns, strict=True):
        print(f"| {name} | " + " | ".join(figures) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        asyncio.run(bench(Path(folder), options.rounds))


if __name__ == "__main__":
    main()
