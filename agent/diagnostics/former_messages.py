"""The OCPP messages of earlier runs, so that an archive made after a Reset still tells what led to it.

Written once, at an orderly end: while the station runs, its flash would pay for every message. After a power cut there
is only the log. Secrets are hidden before it is written. Blocks: callers use a thread. Used by `building.py`, which
writes, and `collecting.py`, which reads.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from agent.charging.diagnostics import Period
from agent.diagnostics.archive import write_lines
from agent.diagnostics.secrets import Secrets

FILE = Path("log", "messages.jsonl")
"""Within the state directory."""


class _Dated(msgspec.Struct):
    at: datetime


_decoder = msgspec.json.Decoder(_Dated)


def keep(path: Path, lines: Iterable[str], most: int, secrets: Secrets) -> None:
    """Put `lines`, the messages of this run, behind those of earlier ones; the latest `most` stay. Raises OSError."""
    kept = deque(former_lines(path, Period()), maxlen=most)
    kept.extend(lines)
    if kept:
        write_lines(path, kept, secrets)


def former_lines(path: Path, period: Period) -> Iterator[str]:
    """The messages of earlier runs within `period`; none when there is no file, or one that cannot be read."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                at = _time_of(line)
                if at is not None and period.includes(at):
                    yield line
    except OSError:
        return


def _time_of(line: str) -> datetime | None:
    """None: not a whole message."""
    try:
        return _decoder.decode(line).at
    except msgspec.DecodeError:
        return None
