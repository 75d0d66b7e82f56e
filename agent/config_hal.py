"""The keys of [[hal.meters]], [[hal.readers]] and [[hal.gpio]]: what may stand on the host's own lines.

Like `config.py`, which reads them: a field is a key, its metadata the allowed values. What two of them want at once is
found by `hal.factory`. Imports nothing. Keys: docs/configuration.md.
"""

from dataclasses import MISSING, dataclass, field
from typing import Any

EVSES_MAX = 8
BAUD_RATES = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)


def _key(default: Any = MISSING, **limits: Any) -> Any:
    return field(metadata=limits) if default is MISSING else field(default=default, metadata=limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterConfig:
    """One Modbus RTU energy meter."""

    evse: int = _key(least=0, most=EVSES_MAX)
    """0 = the station's main meter."""
    model: str
    port: str
    unit: int | None = _key(None, least=1, most=247)
    """This and the line settings: None = as the meter comes from the factory."""
    baud_rate: int | None = _key(None, choices=BAUD_RATES)
    parity: str | None = _key(None, choices=("none", "even", "odd"))
    stop_bits: int | None = _key(None, choices=(1, 2))
    signs_readings: bool = False
    """The meter signs the readings of transactions; only models that can."""
    public_key: str = _key("", pattern="([0-9A-Fa-f]{2})*", shape="whole bytes in hex")
    """As printed on the meter; empty: asked of the meter with the first record."""
    evse_name: str = _key("", longest=39)
    """What the signed record calls the EVSE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderConfig:
    """One card reader on a serial port."""

    model: str = _key(choices=("rdm6300", "pn532"))
    port: str
    baud_rate: int | None = _key(None, choices=BAUD_RATES)
    """None = as the reader comes from the factory."""
    evses: tuple[int, ...] = _key((), least=1, most=EVSES_MAX)
    """The EVSEs that it serves; empty: all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpioConfig:
    """One GPIO line of the controller."""

    name: str = _key(
        pattern="[a-z][a-z0-9_]{0,29}", shape="1 to 30 of a-z, 0-9 and _, beginning with a letter"
    )
    kind: str = _key(choices=("output", "sensor", "button", "emergency_stop", "door_open", "tilt"))
    line: str = _key(pattern=".{1,31}", shape="1 to 31 characters")
    """Name of the line, or its number on the chip."""
    chip: str = "/dev/gpiochip0"
    active_low: bool = False
    bias: str = _key("as_is", choices=("as_is", "none", "pull_up", "pull_down"))
    debounce_ms: int = _key(20, least=0, most=1000)
    """Of inputs."""
    evses: tuple[int, ...] = _key((), least=1, most=EVSES_MAX)
    """Of a button or a contact: the EVSEs that it serves; empty: all."""
    id_token: str = _key("", longest=36)
    """Of a button: what pressing it presents."""
    token_type: str = _key("Local", choices=("Local", "Central", "KeyCode", "NoAuthorization"))
