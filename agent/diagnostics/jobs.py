"""The order under way, kept on disk so that a restart in the middle of an upload is one failed attempt, not the end.

One small file beside the archive, replaced as a whole. The location in it may hold credentials: mode 0600. Blocks:
callers use a thread. Used by `uploads.py`.
"""

import logging
import os
from datetime import datetime
from pathlib import Path

import msgspec

from agent.charging.requests import UploadLog

log = logging.getLogger(__name__)

NAME = "order.json"


class UploadJob(msgspec.Struct):
    """Not frozen: `attempts` counts."""

    request: UploadLog
    file_name: str
    ordered_at: datetime
    attempts: int = 0
    """Begun so far."""


class JobFile:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / NAME

    def load(self) -> UploadJob | None:
        """None also for a file that cannot be read: an upload is not worth a station that does not start."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=UploadJob)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            log.error("the order of an upload cannot be read and is dropped: %s", error)
            return None

    def save(self, job: UploadJob) -> None:
        """Durable on return. Raises OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = self._path.with_name(NAME + ".part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(job))
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._path)
        self._sync_folder()

    def drop(self) -> None:
        """Raises OSError."""
        self._path.unlink(missing_ok=True)
        self._sync_folder()

    def sweep(self, keep: str | None) -> None:
        """Remove what former orders left, except the file of the present one. Raises OSError."""
        if not self._folder.is_dir():
            return
        for path in self._folder.iterdir():
            is_of_order = keep is not None and path.name in (NAME, keep, f"{keep}.resume")
            if not is_of_order and path.is_file():
                path.unlink(missing_ok=True)

    def _sync_folder(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
