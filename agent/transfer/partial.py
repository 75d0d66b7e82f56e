"""A file that is still arriving, and the note beside it that says how to go on after a break or a restart.

The note `<file>.resume` names the location (as a digest) and the server's mark of the version (ETag, time and size);
it is on the disk before the first byte and removed after the last one. Without a matching note a transfer starts over:
half of one version and half of another are worse than a longer download. Calls block: callers use a thread.
"""

import os
import threading
from contextlib import suppress
from pathlib import Path

import msgspec

from agent.transfer.errors import TransferError, TransferFailure


class Note(msgspec.Struct, frozen=True):
    location: str
    version: str


def note_path(file: Path) -> Path:
    return file.with_name(file.name + ".resume")


def read_note(file: Path, location: str) -> str:
    """The version that the file beside it came from (or went to); "" if unknown or from another location."""
    try:
        note = msgspec.json.decode(note_path(file).read_bytes(), type=Note)
    except (OSError, msgspec.DecodeError):
        return ""
    return note.version if note.location == location else ""


def write_note(file: Path, location: str, version: str) -> None:
    """Raises TransferError (NO_SPACE)."""
    try:
        note_path(file).write_bytes(msgspec.json.encode(Note(location, version)))
    except OSError as error:
        raise _unusable(note_path(file), error) from error


def drop_note(file: Path) -> None:
    with suppress(OSError):
        note_path(file).unlink(missing_ok=True)


class PartialFile:
    """Where a download goes. `write` and `close` may be called from different threads."""

    def __init__(self, target: Path, location: str, most_bytes: int | None) -> None:
        """`location` is `Location.digest`."""
        self._target = target
        self._location = location
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self.size = 0
        """Bytes that the file holds now."""

    def held(self) -> tuple[int, str]:
        """How many bytes an earlier attempt left, and of which version; (0, "") when it has to start over."""
        version = read_note(self._target, self._location)
        try:
            size = self._target.stat().st_size
        except OSError:
            size = 0
        return (size, version) if size and version else (0, "")

    def begin(self, at: int, version: str, total: int | None) -> None:
        """Go on behind the first `at` bytes. `version` "": the server gives no mark, so nothing can be resumed.

        Raises TransferError: TOO_LARGE before a byte is fetched, NO_SPACE."""
        if total is not None:
            self._check(total)
        with self._lock:
            try:
                if self._descriptor is None:
                    self._descriptor = os.open(self._target, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
                if version:
                    write_note(self._target, self._location, version)
                else:
                    drop_note(self._target)
                os.ftruncate(self._descriptor, at)
                os.lseek(self._descriptor, at, os.SEEK_SET)
            except OSError as error:
                raise _unusable(self._target, error) from error
            self.size = at

    def write(self, block: bytes | memoryview) -> None:
        """Raises TransferError: TOO_LARGE, NO_SPACE, BROKEN once closed."""
        self._check(self.size + len(block))
        with self._lock:
            rest = memoryview(block)
            while rest:
                if self._descriptor is None:
                    raise TransferError(TransferFailure.BROKEN, "the transfer was given up")
                try:
                    written = os.write(self._descriptor, rest)
                except OSError as error:
                    raise _unusable(self._target, error) from error
                self.size += written
                rest = rest[written:]

    def finish(self, total: int | None = None) -> None:
        """All has arrived and is on the disk. Raises TransferError: BROKEN if it is not `total` bytes, NO_SPACE."""
        if total is not None and self.size != total:
            raise TransferError(
                TransferFailure.BROKEN, f"{self.size} of {total} bytes arrived before the end"
            )
        with self._lock:
            if self._descriptor is not None:
                try:
                    os.fsync(self._descriptor)
                except OSError as error:
                    raise _unusable(self._target, error) from error
        drop_note(self._target)

    def close(self) -> None:
        """What is there stays, for the next attempt."""
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def _check(self, size: int) -> None:
        if self._most_bytes is not None and size > self._most_bytes:
            raise TransferError(
                TransferFailure.TOO_LARGE, f"{size} bytes, but at most {self._most_bytes} are allowed"
            )


def _unusable(path: Path, error: OSError) -> TransferError:
    return TransferError(TransferFailure.NO_SPACE, f"{path} cannot be written: {error.strerror}")
