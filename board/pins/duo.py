"""Two fixed cables on one Raspberry Pi Pico, three phases each, lights on one WS2812 string.

The RP2040 has three converter inputs on pins: two read the pilots, the third is free, so that a cable's coding (PP) and
the residual current's value are not measured; the trips are. Nets as in docs/board-reference-design.md, twice.
"""

MODEL = "pico-duo"
PHASES = 3
LINK = "usb"
UART_ID = 0
UART_PINS = (0, 1)
UART_BAUD = 115200

CONNECTORS = (
    {
        "contactor": 16,
        "mirror": 17,
        "cp_pwm": 15,
        "cp_short": 14,
        "cp_adc": 26,
        "rcd_dc": 18,
        "rcd_ac": 19,
        "rcd_test": 20,
        "limits": {"max_da": 320},
    },
    {
        "contactor": 2,
        "mirror": 3,
        "cp_pwm": 13,
        "cp_short": 12,
        "cp_adc": 27,
        "rcd_dc": 4,
        "rcd_ac": 5,
        "rcd_test": 6,
        "limits": {"max_da": 320},
    },
)

EMERGENCY = 21
DOOR = 22
TILT = None
ALIVE = 8
NEOPIXEL = 9
"""One WS2812 for each connector, in order."""

OUTPUTS = {"fan": 7}
