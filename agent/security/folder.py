"""A directory that only we may read, whose files are whole or not there: written aside, synced, renamed.

Mode 0700 and 0600 from the first moment on (W A02.FR.05, R16-338). A power cut leaves at most a `.new` file, which the
next look removes. It knows nothing of certificates. Used by `certificates.py`.
"""

import os
from pathlib import Path

_UNFINISHED = ".new"


class Folder:
    """Methods raise OSError; they block for a sync of the disk."""

    def __init__(self, path: Path) -> None:
        """Nothing is made before the first `write`."""
        self.path = path

    def names(self) -> list[str]:
        """The files in it, sorted; none when there is no directory yet."""
        try:
            found = sorted(os.listdir(self.path))
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [name for name in found if not name.endswith(_UNFINISHED)]

    def read(self, name: str) -> str:
        return (self.path / name).read_text(encoding="ascii", errors="replace")

    def write(self, name: str, text: str) -> None:
        """On return the file is on the disk as a whole; before, it was not there, or was as it had been."""
        self._make()
        unfinished = self.path / (name + _UNFINISHED)
        unfinished.unlink(missing_ok=True)
        handle = os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(handle)
        unfinished.replace(self.path / name)
        self._sync()

    def remove(self, name: str) -> None:
        """On return it is gone, also after a power cut; a file that is not there is fine."""
        (self.path / name).unlink(missing_ok=True)
        self._sync()

    def _make(self) -> None:
        if not self.path.is_dir():
            self.path.mkdir(mode=0o700, parents=True)
        self.path.chmod(0o700)  # the umask, or somebody who copied it here, may have left more

    def _sync(self) -> None:
        if self.path.is_dir():
            handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
