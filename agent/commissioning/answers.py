"""What a configuration of `evse-agent init` is made of, and what may be answered.

Values and their rules, without a terminal. Whatever the configuration's own rules can judge is judged by them
(`writing.problem_of`); here is only what a person may mean. Lengths of passwords: docs/security.md.
"""

import math
import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit, urlunsplit

PASSWORD_LENGTHS = (16, 40)
"""Characters of a plain text; as hex digits 32 to 40 (OCPP 1.6 AuthorizationKey, 16 to 20 bytes)."""
HEX_KEY = re.compile(r"(?:[0-9A-Fa-f]{2}){16,20}")
LEAST_A = 6.0
"""Below this a car may not be offered anything (IEC 61851-1 Annex A)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterAnswer:
    """A [[hal.meters]]; None: as from the factory."""

    evse: int
    model: str
    port: str
    unit: int | None = None
    baud_rate: int | None = None
    parity: str | None = None
    stop_bits: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderAnswer:
    """A [[hal.readers]]"""

    model: str
    port: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Everything that goes into the file; empty or None: left out."""

    csms_url: str
    identity: str
    vendor: str
    model: str
    serial_number: str = ""
    security_profile: int = 0
    password: str = ""
    password_hex: str = ""
    password_file: str = ""
    ca_file: str = ""
    certificate_file: str = ""
    certificate_key_file: str = ""
    state_dir: str = "/var/lib/evse-agent"
    board_port: str | None = None
    """None: simulated hardware."""
    evses: int = 1
    max_current_a: float | None = None
    meters: tuple[MeterAnswer, ...] = ()
    readers: tuple[ReaderAnswer, ...] = ()


def read_url(text: str) -> str:
    """Raises ValueError with what was probably meant."""
    text = text.strip()
    if not text:
        raise ValueError("an address is needed, such as wss://csms.example.com/ocpp")
    if re.search(r"\s", text):
        raise ValueError("there is a blank in it")
    scheme, colon, rest = text.partition("://")
    if not colon:
        raise ValueError(f"it must begin with ws:// or wss://; did you mean wss://{text}?")
    scheme = scheme.lower()  # what the profiles go by
    if scheme in ("http", "https"):
        meant = "wss" if scheme == "https" else "ws"
        raise ValueError(f"that is an address for browsers; did you mean {meant}://{rest}?")
    return f"{scheme}://{rest}"


def without_identity(url: str, identity: str) -> str:
    """The agent appends the identity itself: an address that ends with it already loses it."""
    parts = urlsplit(url)
    head, slash, last = parts.path.rstrip("/").rpartition("/")
    if not slash or unquote(last) != identity:
        return url
    return urlunsplit((parts.scheme, parts.netloc, head or "/", parts.query, parts.fragment))


def profiles_of(url: str) -> tuple[int, ...]:
    """The security profiles that go with the kind of address; the usual one first."""
    return (2, 0, 3) if url.startswith("wss:") else (0, 1)


def read_profile(text: str, url: str) -> int:
    allowed = profiles_of(url)
    if not text.strip().isdecimal() or int(text) not in allowed:
        kind = "wss://" if url.startswith("wss:") else "ws://"
        choice = ", ".join(map(str, sorted(allowed)))
        raise ValueError(f"with an address of {kind} it can be {choice}")
    return int(text)


def read_password(text: str) -> str:
    least, most = PASSWORD_LENGTHS
    if not least <= len(text) <= most:
        raise ValueError(f"it has {len(text)} characters; OCPP wants {least} to {most} (docs/security.md)")
    return text


def read_port(text: str) -> str:
    """A serial port, of this machine or of the network."""
    port = text.strip()
    if port.startswith("/dev/"):
        return port
    if not port.startswith(("socket://", "rfc2217://")) or re.search(r"\s", port):
        raise ValueError("a port such as /dev/ttyACM0 or socket://host:port")
    try:
        parts = urlsplit(port)
        is_whole = bool(parts.hostname and parts.port)
    except ValueError:
        is_whole = False
    if not is_whole:
        raise ValueError(f"{port}: host and port number are wanted, such as socket://192.168.1.20:4001")
    return port


def read_count(text: str, most: int, of: str) -> int:
    if not text.strip().isdecimal() or not 1 <= int(text) <= most:
        raise ValueError(f"a number from 1 to {most}: {of}")
    return int(text)


def read_current(text: str) -> float:
    """A per phase."""
    current_a = _ampere(text, "a current in ampere per phase, such as 16")
    if not LEAST_A <= current_a <= 80:
        raise ValueError("from 6 A (less cannot be offered to a car) to 80 A")
    return current_a


def _ampere(text: str, wanted: str) -> float:
    try:
        value = float(text.strip().removesuffix("A").strip().replace(",", "."))
    except ValueError:
        raise ValueError(wanted) from None
    if not math.isfinite(value):
        raise ValueError(wanted)
    return value


def share_of_fuse(text: str, evses: int, max_current_a: float) -> float:
    """What each EVSE may offer so that all of them together do not blow the main fuse; "0": nothing is shared."""
    fuse_a = _ampere(text, "a current in ampere per phase, such as 63; 0 if it carries them all")
    if fuse_a < 0:
        raise ValueError("no fuse has less than 0 A; 0 if it carries them all")
    if fuse_a == 0:
        return max_current_a
    share_a = float(int(fuse_a / evses))
    if share_a < LEAST_A:
        raise ValueError(
            f"{fuse_a:g} A for {evses} EVSEs is less than 6 A for each: too little to charge with"
        )
    return min(max_current_a, share_a)


def read_meter(text: str, evse: int) -> MeterAnswer:
    """MODEL,PORT or MODEL,PORT,UNIT"""
    words = [word.strip() for word in text.split(",")]
    if len(words) not in (2, 3) or not all(words):
        raise ValueError("MODEL,PORT,ADDRESS is wanted, such as sdm630,/dev/ttyUSB0,1")
    if len(words) == 3 and (not words[2].isdecimal() or not 1 <= int(words[2]) <= 247):
        raise ValueError(f"{words[2]} is no Modbus address: 1 to 247")
    unit = int(words[2]) if len(words) == 3 else None
    return MeterAnswer(evse=evse, model=words[0], port=words[1], unit=unit)


def read_reader(text: str) -> ReaderAnswer:
    """MODEL,PORT"""
    words = [word.strip() for word in text.split(",")]
    if len(words) != 2 or not all(words):
        raise ValueError("MODEL,PORT is wanted, such as rdm6300,/dev/ttyUSB1")
    return ReaderAnswer(model=words[0], port=words[1])
