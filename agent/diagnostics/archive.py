"""One file out of many parts: a tar.gz of bounded size, or lines of JSON. Blocks: callers use a thread.

A file is written beside its place and moved there when it is whole and on the disk, so that a power cut leaves all of
it or none. Every text is cleaned of secrets here, at the one way out. Called by `collecting.py`.
"""

import io
import os
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from agent.diagnostics.secrets import Secrets
from agent.log import redact_text

PART_LIMIT_BYTES = 8 * 1024 * 1024
"""Of one part before it is packed; of a longer one the end is kept, where the latest is."""
CUT_MARK = "... older lines do not fit\n"


@dataclass(frozen=True, slots=True)
class Part:
    """A file within the archive. `lines` end in a newline; they are asked for once, in the writing thread."""

    name: str
    lines: Iterable[str]


def write_archive(target: Path, parts: Iterable[Part], secrets: Secrets, at: datetime) -> None:
    """A tar.gz with one directory named as the file. Raises OSError; nothing is at `target` then."""
    import tarfile  # it brings all compressions with it

    folder = target.name.partition(".tar")[0]
    with _arriving(target) as file, tarfile.open(fileobj=file, mode="w:gz", compresslevel=6) as archive:
        for part in parts:
            content = _bounded(part.lines, secrets)
            header = tarfile.TarInfo(f"{folder}/{part.name}")
            header.size, header.mtime, header.mode = len(content), int(at.timestamp()), 0o644
            archive.addfile(header, io.BytesIO(content))


def write_lines(target: Path, lines: Iterable[str], secrets: Secrets) -> None:
    """Raises OSError; nothing is at `target` then."""
    with _arriving(target) as file:
        file.write(_bounded(lines, secrets))


def _bounded(lines: Iterable[str], secrets: Secrets) -> bytes:
    kept: deque[bytes] = deque()
    size, is_cut = 0, False
    for line in lines:
        kept.append(secrets.hide(redact_text(line)).encode(errors="replace"))
        size += len(kept[-1])
        while size > PART_LIMIT_BYTES and len(kept) > 1:
            size -= len(kept.popleft())
            is_cut = True
    if is_cut:
        kept.appendleft(CUT_MARK.encode())
    return b"".join(kept)


@contextmanager
def _arriving(target: Path) -> Iterator[BinaryIO]:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
