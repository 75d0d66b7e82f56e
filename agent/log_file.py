"""The log on disk: a ring of a few files in the state directory, so that diagnostics can hold more than a screenful.

Lines are written by a thread of its own, in batches and without syncing: the loop never waits for a disk, and what is
lost at a power cut is the last moment. Secrets are hidden as in every log. Each line begins with its time in UTC by the
agent's clock, which the CSMS sets; further lines of one entry are indented. Built by `agent/app.py`, read by
`agent/diagnostics`.
"""

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from agent.log import redact_text
from agent.log_fields import fields_of, suffix
from agent.printable import printable

BACKLOG_LINES = 10_000
"""Entries that wait for the disk at most; then the oldest ones go."""
CLOSE_WAIT_S = 5.0
_STAMP = "%Y-%m-%dT%H:%M:%S"
_STAMP_LENGTH = len("2026-01-01T00:00:00.000Z")


class LogFile(logging.Handler):
    """`path` and its elders `path.1`, `path.2` ... hold at most `files` times `most_bytes`."""

    def __init__(self, path: Path, most_bytes: int, files: int, now: Callable[[], datetime]) -> None:
        """Opens nothing yet: the thread begins with the first line."""
        super().__init__()
        self._path = path
        self._most_bytes = most_bytes
        self._files = files
        self._now = now
        self._waiting: deque[str] = deque(maxlen=BACKLOG_LINES)
        self._changed = threading.Condition()
        self._is_writing = False
        self._is_closing = False
        self._thread: threading.Thread | None = None
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Never blocks on the disk."""
        try:
            line = self._line(record)
        except Exception:  # as all handlers do: a bad log call must not crash whoever made it
            self.handleError(record)
            return
        with self._changed:
            if self._is_closing:
                return
            self._waiting.append(line)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log file", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def _line(self, record: logging.LogRecord) -> str:
        at = self._now().astimezone(UTC)
        message, *traceback = printable(redact_text(self.format(record)), keep="\n\t").split("\n")
        text = "\n  ".join((message + suffix(fields_of(record)), *traceback))
        stamp = f"{at.strftime(_STAMP)}.{at.microsecond // 1000:03d}Z"
        return f"{stamp} {record.levelname} {record.name}: {text}\n"

    def settle(self) -> None:
        """Wait until everything logged so far is in the file. Blocks."""
        with self._changed:
            if self._thread is not None:
                self._changed.wait_for(lambda: not self._waiting and not self._is_writing, CLOSE_WAIT_S)

    def close(self) -> None:
        """What waits is still written; nothing is taken any more."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(CLOSE_WAIT_S)
        super().close()

    def paths(self) -> list[Path]:
        """The files that exist, oldest first."""
        elders = [_elder(self._path, number) for number in range(self._files - 1, 0, -1)]
        return [path for path in (*elders, self._path) if path.exists()]

    # --- the thread ------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._changed:
                self._is_writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting or self._is_closing)
                if not self._waiting:
                    return
                lines = list(self._waiting)
                self._waiting.clear()
                self._is_writing = True
            with suppress(OSError):  # a full disk costs the log, never the station
                self._write("".join(lines).encode(errors="replace"))

    def _write(self, batch: bytes) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            size = self._path.stat().st_size
        except FileNotFoundError:
            size = 0
        if size and size + len(batch) > self._most_bytes:
            self._rotate()
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, batch[-self._most_bytes :])
        finally:
            os.close(file)

    def _rotate(self) -> None:
        for number in range(self._files - 1, 0, -1):
            younger = _elder(self._path, number - 1) if number > 1 else self._path
            with suppress(FileNotFoundError):
                younger.replace(_elder(self._path, number))
        if self._files == 1:
            self._path.unlink(missing_ok=True)


def _elder(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def lines_within(path: Path, includes: Callable[[datetime], bool]) -> Iterator[str]:
    """The entries of a file whose time `includes` takes; a line without a time belongs to the entry above it.

    Raises OSError. Blocks."""
    is_wanted = False
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            at = _time_of(line)
            if at is not None:
                is_wanted = includes(at)
            if is_wanted:
                yield line


def _time_of(line: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(line[:_STAMP_LENGTH])
    except ValueError:
        return None
    return at if at.tzinfo is not None else None
