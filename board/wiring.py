"""What a pin map (`board/pins/<pcb>.py`) must and may say, and whether it can be: numbers only, touches no pin.

Called by `board/main.py` before any pin becomes an output, and by the tests over every map. A pin map is a module of
plain constants; `Wiring` fills in what it leaves out. Facts of the RP2040 (datasheet 1.4.3, 4.5.2, 4.9): GPIO 0 to 29,
converter inputs on 26 to 29 and the chip's own sensor, PWM outputs in pairs that repeat after 16 pins.
"""

from board.limits import Limits
from board.wire import const

OUT = const(1)
IN = const(2)
ADC = const(3)
PWM = const(4)

CONNECTOR_ROLES = (
    # role, kind, must be there
    ("contactor", OUT, True),
    ("mirror", IN, True),
    ("cp_pwm", PWM, True),
    ("cp_adc", ADC, True),
    ("rcd_dc", IN, True),
    ("rcd_ac", IN, False),
    ("rcd_test", OUT, False),
    ("residual_adc", ADC, False),
    ("cp_short", OUT, False),
    ("pp_adc", ADC, False),
    ("lock_motor", OUT, False),
    ("unlock_motor", OUT, False),
    ("bolt", IN, False),
    ("ventilation", OUT, False),
    ("phase_relay", OUT, False),
    ("phase_mirror", IN, False),
    ("current_l1_adc", ADC, False),
    ("current_l2_adc", ADC, False),
    ("current_l3_adc", ADC, False),
    ("temperature_adc", ADC, False),
    ("light", OUT, False),
)
"""Every role of a connector. What a level means stands in docs/board-reference-design.md."""
TOGETHER = (
    ("pp_adc", "lock_motor", "unlock_motor", "bolt"),  # a socket has all of them, a fixed cable none
)
BOARD_ROLES = (
    # name, kind
    ("EMERGENCY", IN),
    ("DOOR", IN),
    ("TILT", IN),
    ("ALIVE", OUT),
    ("NEOPIXEL", OUT),
)
SERIAL_FIELDS = ("name", "id", "tx", "rx", "baud")
"""Of each of SERIAL: the ports that are tunnelled to the host (card readers)."""
LINKS = ("usb", "uart")
UART_TX = ((0, 12, 16, 28), (4, 8, 20, 24))
"""The pins that may send for each UART of the RP2040; the next pin up receives."""


_LAST_PIN = const(29)
_FIRST_ADC = const(26)
_MAX_PILOTS = const(2)


def _reaches(uart: object, tx: object, rx: object) -> bool:
    return uart in (0, 1) and isinstance(tx, int) and tx in UART_TX[uart] and rx == tx + 1


class Wiring:
    """A pin map, with None for what it leaves out; `problem` says why there is none: no pin is to be touched then."""

    def __init__(self, name: str, pcb: object, problem: str = "") -> None:
        self.name = name
        self.problem = problem
        self.model = str(getattr(pcb, "MODEL", name))
        self.phases = getattr(pcb, "PHASES", 3)
        self.link = getattr(pcb, "LINK", "usb")
        self.uart_id = getattr(pcb, "UART_ID", 0)
        self.uart_baud = getattr(pcb, "UART_BAUD", 115200)
        self.uart_pins = getattr(pcb, "UART_PINS", ())  # type: tuple[int, ...]
        self.emergency = getattr(pcb, "EMERGENCY", None)
        self.door = getattr(pcb, "DOOR", None)
        self.tilt = getattr(pcb, "TILT", None)
        self.alive = getattr(pcb, "ALIVE", None)
        self.neopixel = getattr(pcb, "NEOPIXEL", None)
        self.outputs = getattr(pcb, "OUTPUTS", {})
        self.serial = getattr(pcb, "SERIAL", ())
        self.connectors = getattr(pcb, "CONNECTORS", ())
        self.current_full_da = getattr(pcb, "CURRENT_FULL_DA", 0)
        self.residual_full = getattr(pcb, "RESIDUAL_FULL", 1000)
        self.limits = []  # type: list[Limits]
        self._taken = {}  # type: dict[int, str]

    def check(self) -> None:
        """Raises ValueError naming the role and what is wrong with it; fills `limits`."""
        if self.phases not in (1, 3):
            raise ValueError("PHASES must be 1 or 3")
        if self.link not in LINKS:
            raise ValueError("LINK must be usb or uart")
        if self.link == "uart":
            if not self.uart_pins:
                raise ValueError("UART_PINS is missing")
            if not _reaches(self.uart_id, *self.uart_pins):
                raise ValueError("UART_PINS: UART %s does not reach %s" % (self.uart_id, self.uart_pins))
            for number in self.uart_pins:
                self._claim("UART_PINS", IN, number)
        for port in self.serial:
            self._check_serial(port)
        if not self.connectors:
            raise ValueError("CONNECTORS is missing")
        if len(self.connectors) > _MAX_PILOTS:
            raise ValueError("CONNECTORS: at most %d" % _MAX_PILOTS)
        for index, roles in enumerate(self.connectors):
            self._check_connector("connector %d" % (index + 1), roles)
        for name, kind in BOARD_ROLES:
            number = getattr(self, name.lower())
            if number is not None:
                self._claim(name, kind, number)
        for name in self.outputs:
            self._claim("OUTPUTS " + name, OUT, self.outputs[name])
        if len({"lock_motor" in roles for roles in self.connectors}) > 1:
            raise ValueError("lock_motor: all connectors have a lock, or none has")
        self._taken = {}

    def _check_serial(self, port: "dict[str, object]") -> None:
        for field in SERIAL_FIELDS:
            if field not in port:
                raise ValueError("SERIAL: %s is missing" % field)
        name = "SERIAL %s" % port["name"]
        if self.link == "uart" and port["id"] == self.uart_id:
            raise ValueError("%s: UART %s is the host's" % (name, port["id"]))
        if not _reaches(port["id"], port["tx"], port["rx"]):
            raise ValueError(
                "%s: UART %s does not reach pins %s and %s" % (name, port["id"], port["tx"], port["rx"])
            )
        if not isinstance(port["baud"], int) or not 1200 <= port["baud"] <= 115200:
            raise ValueError("%s: baud must be 1200 to 115200" % name)
        for other in self.serial:
            if other is not port and (other.get("id") == port["id"] or other.get("name") == port["name"]):
                raise ValueError("%s: its UART or its name is another one's, too" % name)
        self._claim(name, IN, port["tx"])
        self._claim(name, IN, port["rx"])

    def _check_connector(self, owner: str, roles: "dict[str, object]") -> None:
        known = ["limits"]
        for role, kind, is_needed in CONNECTOR_ROLES:
            known.append(role)
            number = roles.get(role)
            if number is not None:
                self._claim("%s %s" % (owner, role), kind, number)
            elif is_needed:
                raise ValueError("%s: %s is missing" % (owner, role))
        for role in roles:
            if role not in known:
                raise ValueError("%s: there is no role %s" % (owner, role))
        for group in TOGETHER:
            missing = [role for role in group if role not in roles]
            if missing and len(missing) < len(group):
                raise ValueError("%s: %s is missing" % (owner, missing[0]))
        if any(["current_l%d_adc" % phase in roles for phase in (1, 2, 3)]) and not self.current_full_da:
            raise ValueError("CURRENT_FULL_DA is missing")
        limits = self._limits(owner, roles)
        if limits.can_switch_phases and ("phase_relay" not in roles or self.phases != 3):
            raise ValueError("%s: can_switch_phases without a phase_relay" % owner)
        if limits.temp_warn_dc >= limits.temp_stop_dc:
            raise ValueError("%s limits: temp_warn_dc must be below temp_stop_dc" % owner)
        self.limits.append(limits)

    def _limits(self, owner: str, roles: "dict[str, object]") -> Limits:
        try:
            return Limits(roles.get("limits"))  # type: ignore[arg-type]
        except ValueError as error:
            raise ValueError("%s limits: %s" % (owner, error))  # noqa: B904 - as above

    def _claim(self, role: str, kind: int, number: object) -> None:
        if not isinstance(number, int) or not 0 <= number <= _LAST_PIN:
            raise ValueError("%s: %s is no pin" % (role, number))
        if kind == ADC and number < _FIRST_ADC:
            raise ValueError("%s: pin %d has no converter" % (role, number))
        if number in self._taken:
            raise ValueError("%s: pin %d is %s already" % (role, number, self._taken[number]))
        if kind == PWM:
            for other in self._taken:
                if (other ^ number) & 15 == 0 and self._taken[other].endswith("cp_pwm"):
                    raise ValueError("%s: pin %d shares its PWM with %s" % (role, number, self._taken[other]))
        self._taken[number] = role
