"""Writes a cpio archive of the kind that a Linux kernel takes as its first root file system ("newc").

Pure: names and bytes in, bytes out. Source: the kernel's "Documentation/driver-api/early-userspace/buffer-format.rst".
"""

DIRECTORY = 0o040755
PROGRAM = 0o100755
_TRAILER = "TRAILER!!!"


def archive(files: dict[str, bytes]) -> bytes:
    """`files` by their path without the leading slash, all executable; their folders are made."""
    entries: dict[str, tuple[int, bytes]] = {}
    for path, content in files.items():
        parts = path.split("/")
        for depth in range(1, len(parts)):
            entries["/".join(parts[:depth])] = (DIRECTORY, b"")
        entries[path] = (PROGRAM, content)
    packed = [_entry(number, path, *entries[path]) for number, path in enumerate(sorted(entries), start=1)]
    return b"".join([*packed, _entry(0, _TRAILER, 0, b"")])


def _entry(inode: int, path: str, mode: int, content: bytes) -> bytes:
    name = path.encode() + b"\0"
    links = 2 if mode == DIRECTORY else 1
    fields = (inode, mode, 0, 0, links, 0, len(content), 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    return _padded(header) + _padded(content)


def _padded(octets: bytes) -> bytes:
    return octets + bytes(-len(octets) % 4)
