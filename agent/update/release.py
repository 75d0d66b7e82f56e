"""The firmware file: a zip archive with a manifest; how one is made, judged and unpacked.

Nothing in a file is trusted: names, sizes and kinds of entries are checked before a byte is written, each file against
its digest in the manifest. Blocks: callers use a thread. Knows no slots (`slots.py`) and no signature
(`signatures.py`). Used by `slots.py` and the command line. docs/firmware.md.
"""

import hashlib
import os
import platform
import re
import shutil
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import msgspec

from agent.errors import InstallError, ReleaseBroken

NAME = "evse-agent"
FORMAT = 1
MANIFEST = "manifest.json"
PACKAGES = ("agent", "hal", "board")
ANY_MACHINE = "any"
MOST_FILES = 20_000
MOST_MANIFEST_BYTES = 8 * 1024 * 1024
GROWTH = 8
"""Unpacked, a file may be so many times larger than the largest file that is taken."""
BLOCK_BYTES = 256 * 1024
_EARLIEST = (1980, 1, 1, 0, 0, 0)
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+\-]{0,49}")
_SEGMENT = re.compile(r"[^\x00-\x1f\x7f\\/:]{1,255}")
_BROKEN_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    OverflowError,
    RuntimeError,  # encrypted
    NotImplementedError,
)
"""All that `zipfile` makes of a damaged archive."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a firmware file says of itself: its first entry, and a file in the unpacked release."""

    format: int
    name: str
    version: str
    files: Mapping[str, str]
    """Path with slashes -> SHA-256 in hex."""
    machines: tuple[str, ...] = (ANY_MACHINE,)
    """As `uname -m` says it: "aarch64", "armv7l", "x86_64"; or "any"."""
    models: tuple[str, ...] = ()
    """`station.model` of the stations that it is for; empty: all."""
    python: str = "3.11"
    """The least interpreter."""


@dataclass(frozen=True, slots=True)
class Here:
    """The machine that a file has to fit."""

    model: str
    machine: str = platform.machine()
    python: tuple[int, int] = (sys.version_info.major, sys.version_info.minor)


# --- judging -----------------------------------------------------------------------------------------------


def version_order(version: str) -> tuple[tuple[int, ...], int, str]:
    """A key to sort versions by: 1.9 < 1.10rc1 < 1.10 = 1.10.0 < 1.10+site < 1.10.post1."""
    found = re.match(r"(\d+(?:\.\d+)*)(.*)", version)
    numbers, rest = (found.group(1), found.group(2)) if found else ("0", version)
    parts = [int(part) for part in numbers.split(".")]
    while parts and parts[-1] == 0:
        parts.pop()
    rest = rest.lstrip(".-")
    if not rest:
        return tuple(parts), 1, ""
    return tuple(parts), 2 if rest.startswith(("+", "post")) else 0, rest


def read_manifest(file: Path, most_bytes: int) -> Manifest:
    """What the file says of itself, with everything checked that can be without unpacking. Raises InstallError."""
    with _opened(file) as archive:
        return _checked_manifest(archive, most_bytes)


def unfitness(manifest: Manifest, here: Here) -> str | None:
    """Why this release is not for this machine; None: it is."""
    if ANY_MACHINE not in manifest.machines and here.machine not in manifest.machines:
        return f"it is for {', '.join(manifest.machines)}, this machine is {here.machine}"
    if manifest.models and here.model not in manifest.models:
        return f"it is for model {', '.join(manifest.models)}, this is {here.model}"
    least = re.fullmatch(r"(\d+)\.(\d+)", manifest.python)
    if least is None or here.python < (int(least.group(1)), int(least.group(2))):
        return f"it needs Python {manifest.python}, this is {here.python[0]}.{here.python[1]}"
    return None


def _opened(file: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except FileNotFoundError as error:
        raise InstallError("the file is gone") from error
    except _BROKEN_ZIP as error:
        raise InstallError(f"it is not a firmware file: {error}") from error


def _checked_manifest(archive: zipfile.ZipFile, most_bytes: int) -> Manifest:
    entries = archive.infolist()
    if not entries or entries[0].filename != MANIFEST:
        raise InstallError(f"it is not a firmware file: its first entry is not {MANIFEST}")
    if len(entries) > MOST_FILES + 1:
        raise InstallError(f"it has {len(entries)} entries, at most {MOST_FILES} are allowed")
    manifest = _parsed(b"".join(_content(archive, entries[0], MOST_MANIFEST_BYTES)))
    for name in manifest.files:
        if not _is_safe(name):
            raise InstallError(f"its manifest names a path that is not allowed: {name!r}")
    names = [entry.filename for entry in entries[1:]]
    if sorted(names) != sorted(manifest.files):
        odd = sorted(set(names) ^ set(manifest.files)) or ["an entry twice"]
        raise InstallError(f"its entries are not those of its manifest: {odd[0]!r}")
    for entry in entries:
        if entry.flag_bits & 0x1 or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InstallError(f"{entry.filename!r} is encrypted or packed in a way that is not allowed")
    total = sum(entry.file_size for entry in entries)
    if total > most_bytes * GROWTH:
        raise InstallError(f"unpacked it has {total} bytes, at most {most_bytes * GROWTH} are allowed")
    return manifest


def _parsed(text: bytes) -> Manifest:
    try:
        manifest = msgspec.json.decode(text, type=Manifest)
    except msgspec.DecodeError as error:
        raise InstallError(f"its manifest cannot be read: {error}") from error
    if manifest.format != FORMAT or manifest.name != NAME:
        raise InstallError(f"it holds {manifest.name!r} in format {manifest.format}, not {NAME} in format 1")
    if not _VERSION.fullmatch(manifest.version) or ".." in manifest.version:
        raise InstallError(f"its version is not allowed: {manifest.version!r}")
    return manifest


def _is_safe(name: str) -> bool:
    """A relative path downwards, in plain segments: nothing gets out of the release, nothing replaces the manifest."""
    segments = name.split("/")
    is_plain = all(_SEGMENT.fullmatch(part) and part not in (".", "..") for part in segments)
    return is_plain and name != MANIFEST and len(name) <= 1024


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most_bytes: int) -> Iterator[bytes]:
    """The bytes of an entry, never more than it says. Raises InstallError."""
    left = min(entry.file_size, most_bytes)
    if entry.file_size > most_bytes:
        raise InstallError(f"{entry.filename!r} is too large")
    try:
        with archive.open(entry) as stream:
            while block := stream.read(BLOCK_BYTES):
                left -= len(block)
                if left < 0:
                    raise InstallError(f"{entry.filename!r} is larger than it says")
                yield block
    except _BROKEN_ZIP as error:
        raise InstallError(f"{entry.filename!r} is damaged: {error}") from error


# --- unpacking ---------------------------------------------------------------------------------------------


def unpack(file: Path, folder: Path, most_bytes: int) -> Manifest:
    """Write a release into `folder`, which must not exist; on return all of it is on the disk.

    Raises InstallError, ReleaseBroken when a file is not what the manifest says, OSError when the disk fails."""
    with _opened(file) as archive:
        manifest = _checked_manifest(archive, most_bytes)
        needed = sum(entry.file_size for entry in archive.infolist())
        free = shutil.disk_usage(folder.parent).free
        if needed + most_bytes // 16 > free:
            raise InstallError(f"it needs {needed} bytes on the disk, {free} are free")
        folder.mkdir(mode=0o755)
        for entry in archive.infolist()[1:]:
            _write(
                archive, entry, folder.joinpath(*PurePosixPath(entry.filename).parts), manifest, most_bytes
            )
    _keep(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
    for each, _folders, _files in os.walk(folder):
        sync_folder(Path(each))
    return manifest


def _write(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, manifest: Manifest, most_bytes: int
) -> None:
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with target.open("xb") as out:
        for block in _content(archive, entry, most_bytes * GROWTH):
            digest.update(block)
            out.write(block)
        _sync(out)
    target.chmod(0o644)
    if digest.hexdigest() != manifest.files[entry.filename].lower():
        raise ReleaseBroken(f"{entry.filename!r} is not what the manifest says")


def read_release(folder: Path) -> Manifest:
    """The manifest of an unpacked release. Raises ReleaseBroken."""
    try:
        return _parsed((folder / MANIFEST).read_bytes())
    except OSError as error:
        raise ReleaseBroken(f"{folder} has no {MANIFEST}") from error
    except InstallError as error:
        raise ReleaseBroken(f"{folder}: {error}") from error


def check_release(folder: Path) -> Manifest:
    """Read every file of an unpacked release back from the disk. Raises ReleaseBroken."""
    manifest = read_release(folder)
    for name, wanted in manifest.files.items():
        try:
            with folder.joinpath(*PurePosixPath(name).parts).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ReleaseBroken(f"{name!r} cannot be read: {error.strerror}") from error
        if found != wanted.lower():
            raise ReleaseBroken(f"{name!r} is not what the manifest says")
    return manifest


def _keep(path: Path, content: bytes) -> None:
    with path.open("wb") as out:
        out.write(content)
        _sync(out)


def _sync(out: BinaryIO) -> None:
    out.flush()
    os.fsync(out.fileno())


def sync_folder(folder: Path) -> None:
    """Names in a directory are on the disk only after this."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- making ------------------------------------------------------------------------------------------------


def pack(
    source: Path,
    output: Path,
    *,
    include: tuple[str, ...] = (),
    machines: tuple[str, ...] = (ANY_MACHINE,),
    models: tuple[str, ...] = (),
) -> Manifest:
    """Make a firmware file of the packages in `source` (and of what `include` names there beside them).

    The version is that of `agent/version.py`. The same source gives the same bytes. Raises InstallError, OSError."""
    found = re.search(r'^VERSION = "([^"]+)"$', (source / "agent" / "version.py").read_text(), re.MULTILINE)
    if found is None:
        raise InstallError(f"{source}/agent/version.py names no VERSION")
    files = {str(path.relative_to(source).as_posix()): path for path in _to_pack(source, include)}
    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in sorted(files.items())}
    manifest = Manifest(
        format=FORMAT, name=NAME, version=found.group(1), files=digests, machines=machines, models=models
    )
    _parsed(msgspec.json.encode(manifest))
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
        text = msgspec.json.format(msgspec.json.encode(manifest))
        archive.writestr(_entry(MANIFEST), text)
        for name in digests:
            archive.writestr(_entry(name), files[name].read_bytes())
    return manifest


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EARLIEST)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o100644 << 16
    return entry


def _to_pack(source: Path, include: tuple[str, ...]) -> Iterator[Path]:
    for top in (*PACKAGES, *include):
        place = source / top
        if place.is_file():
            yield place
            continue
        if not place.is_dir():
            raise InstallError(f"{place} is not there")
        for path in sorted(place.rglob("*")):
            inner = path.relative_to(source)
            if path.is_file() and "__pycache__" not in inner.parts and not path.name.startswith("."):
                yield path
