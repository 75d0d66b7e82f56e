"""The reference design of docs/board-reference-design.md: a Raspberry Pi Pico, one socket with a lock, three phases.

Nothing but numbers and names; what each level means and every net behind it stands there. Inputs are wired so that a
broken wire reads as the unsafe case. Pins 0, 1 (link by UART) and 8 are free.
"""

MODEL = "pico"
PHASES = 3
LINK = "usb"
"""Where the host is: "usb" (the Pico's own port) or "uart" (UART_PINS, TX first)."""
UART_ID = 0
UART_PINS = (0, 1)
UART_BAUD = 115200

CONNECTORS = (
    {
        "contactor": 16,  # 1 = close; pulled down
        "mirror": 17,  # mirror contact to ground: 0 = main contacts open, 1 = closed (or wire broken)
        "cp_pwm": 15,  # 0 = -12 V, 1 = +12 V behind 1 kOhm
        "cp_short": 14,  # 1 ties the pilot to 0 V (state E)
        "cp_adc": 26,  # 0 to full scale = -15 to +15 V
        "pp_adc": 27,  # 1 kOhm to the converter's reference
        "residual_adc": 28,  # 0 to full scale = 0 to 100 mA
        "rcd_dc": 18,  # 1 = fine, 0 = tripped (or wire broken)
        "rcd_ac": 19,
        "rcd_test": 20,  # 1 starts the sensor's self-test
        "lock_motor": 21,  # 1 = towards locked
        "unlock_motor": 22,  # 1 = towards open
        "bolt": 10,  # switch to ground: 0 = locked, 1 = not (or wire broken)
        "ventilation": 3,  # 1 = ventilate
        "phase_relay": 6,  # 1 = three phases
        "phase_mirror": 7,  # mirror contact of L2 and L3: 0 = open, 1 = closed
        "light": 25,
        "limits": {"max_da": 320},
    },
)

EMERGENCY = 13
"""Normally closed contact to ground: 1 = pressed (or wire broken). None: no such input."""
DOOR = 9
TILT = None
ALIVE = 2
"""Changes its level with every tick that has fed the watchdog: the pump of the contactor's supply."""

SERIAL = ({"name": "reader", "id": 1, "tx": 4, "rx": 5, "baud": 9600},)
"""UARTs that the host uses over its link, for a card reader: 9600 baud for an RDM6300, 115200 for a PN532."""

OUTPUTS = {"fan": 11, "light": 12}
"""Auxiliary relays by name."""
