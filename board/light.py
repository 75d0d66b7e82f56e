"""The status light: when a pattern is lit, and in which colour where the light can have one; pure.

Patterns: LED_PATTERNS of `board/wire.py`; which one is shown decides `board/connector.py`. Called by `hw.py`.
"""

DARK = (0, 0, 0)
COLOURS = {
    "on": (0, 40, 0),
    "blink": (0, 25, 25),
    "breathe": (0, 0, 50),
    "fast": (60, 0, 0),
    "flash": (40, 30, 0),
    "off": DARK,
}
"""Red, green, blue of 255: green free, cyan connected, blue charging, red fault, yellow without a host."""


def is_lit(pattern: str, now_ms: int) -> bool:
    if pattern == "blink":
        return now_ms % 1000 < 500
    if pattern == "fast":
        return now_ms % 250 < 125
    if pattern == "flash":
        return now_ms % 2000 < 100
    if pattern == "breathe":
        return now_ms % 3000 < 2000
    return pattern == "on"
