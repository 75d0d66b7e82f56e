"""A long report in parts, each within a number of entries and a number of bytes. Pure; knows no message.

Used by the rooms of 2.x that report more than one message may hold. OCPP 2.0.1 part 2, B07, B08, K09, N02, O03.
"""

from collections.abc import Sequence
from typing import TypeVar

from msgspec import Struct

from agent.ocpp.codec import encode

P = TypeVar("P", bound=Struct)


def pages(entries: Sequence[P], most_items: int, most_bytes: int) -> list[tuple[P, ...]]:
    """The entries in their order; never an empty page, unless there is no entry at all.

    `most_bytes` is for the entries alone, as JSON with a comma each. One that is longer by itself goes alone."""
    parts: list[list[P]] = [[]]
    size = 0
    for entry in entries:
        length = len(encode(entry).encode()) + 1
        if parts[-1] and (len(parts[-1]) >= most_items or size + length > most_bytes):
            parts.append([])
            size = 0
        parts[-1].append(entry)
        size += length
    return [tuple(part) for part in parts]
