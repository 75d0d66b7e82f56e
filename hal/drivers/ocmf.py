"""Text in registers, and the outer shape of an OCMF record: what the drivers of signing meters share. Pure.

A record is passed on untouched: only its shape is looked at here, so that half a record is never taken for one.
Source: SAFE OCMF 1.0 (header, payload and signature between bars).
"""

import struct
from collections.abc import Sequence

from hal.errors import DeviceFault, DeviceProtocolError, OutOfRange
from hal.ports import SignedReading

ENCODING = "OCMF"


def no_record(detail: str) -> DeviceFault:
    """The meter has no signed record of this moment."""
    return DeviceFault("no_record", detail)


def to_words(text: str, most_words: int) -> tuple[int, ...]:
    """Two characters a register, ended by a zero. Raises OutOfRange: half a text would say something else."""
    octets = text.encode() + b"\0"
    if len(octets) > 2 * most_words:
        raise OutOfRange(f"{text!r} is longer than the {2 * most_words - 1} characters that the meter takes")
    octets += b"\0" * (len(octets) % 2)
    return struct.unpack(f">{len(octets) // 2}H", octets)


def to_octets(words: Sequence[int]) -> bytes:
    return struct.pack(f">{len(words)}H", *words)


def to_record(text: str) -> SignedReading:
    """A whole record as a reading. Raises DeviceProtocolError for anything else."""
    parts = text.split("|")
    if len(parts) != 3 or parts[0] != ENCODING or not all(part.strip().startswith("{") for part in parts[1:]):
        raise DeviceProtocolError(f"the meter gave no OCMF record but {text[:40]!r}")
    return SignedReading(text, ENCODING)


def decoded(octets: bytes) -> str:
    """The text before the first zero. Raises DeviceProtocolError."""
    try:
        return octets.split(b"\0", 1)[0].decode()
    except UnicodeDecodeError as error:
        raise DeviceProtocolError("the meter's record is no text") from error


def with_minimal_numbers(signature: bytes) -> bytes:
    """An ECDSA signature in DER whose two numbers have no zeros in front that do not belong there.

    Some meters pad them to the full width, and strict verifiers refuse that. Raises DeviceProtocolError."""
    numbers = []
    rest = signature[2:]
    if len(signature) < 8 or signature[0] != 0x30 or signature[1] != len(rest):
        raise DeviceProtocolError("the signature is not a DER sequence")
    for _ in range(2):
        if len(rest) < 2 or rest[0] != 0x02 or len(rest) < 2 + rest[1]:
            raise DeviceProtocolError("the signature does not hold two numbers")
        digits = rest[2 : 2 + rest[1]].lstrip(b"\0") or b"\0"
        numbers.append(b"\0" + digits if digits[0] & 0x80 else digits)
        rest = rest[2 + rest[1] :]
    if rest:
        raise DeviceProtocolError("the signature holds more than two numbers")
    body = b"".join(b"\x02" + bytes((len(number),)) + number for number in numbers)
    return b"\x30" + bytes((len(body),)) + body
