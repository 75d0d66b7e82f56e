"""The pins of this printed circuit board: a Raspberry Pi Pico on the reference carrier of docs/board.md.

Nothing but numbers and names, so that another board needs another copy of this file only. Inputs are wired so
that a broken wire reads as the unsafe case; what each level means stands beside it. Read by `board/hw.py`.
"""

MODEL = "pico"
PHASES = 3
LINK = "usb"
"""Where the host is: "usb" (the Pico's own port) or "uart" (UART_ID at UART_BAUD, pins 0 and 1)."""
UART_ID = 0
UART_BAUD = 115200

CONNECTORS = (
    {
        "max_da": 320,
        "has_lock": True,
        "has_ventilation": False,
        "cp_pwm": 15,  # 0 = -12 V, 1 = +12 V behind 1 kOhm
        "cp_short": 14,  # 1 ties the pilot to 0 V (state E)
        "cp_adc": 26,  # 0..65535 = -15..+15 V
        "pp_adc": 27,  # 1 kOhm to 3.3 V
        "residual_adc": 28,  # 0..65535 = 0..100 mA
        "contactor": 16,  # 1 = close; pulled down
        "mirror": 17,  # mirror contact to ground: 0 = main contacts open, 1 = closed (or wire broken)
        "rcd_dc": 18,  # 1 = fine, 0 = tripped (or wire broken)
        "rcd_ac": 19,
        "rcd_test": 20,
        "lock_motor": 21,  # 1 = towards locked
        "unlock_motor": 22,  # 1 = towards open
        "bolt": 10,  # switch to ground: 0 = locked, 1 = not (or wire broken)
        "light": 25,
    },
)

EMERGENCY = 13
"""Normally closed contact to ground: 1 = pressed (or wire broken). None: no such input."""
DOOR = 9
TILT = None

OUTPUTS = {"fan": 11, "light": 12}
"""Auxiliary relays by name."""
TEMPERATURE_ADC = 4
"""The sensor in the RP2040 itself."""
