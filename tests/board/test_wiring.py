"""Every pin map can be built as it stands, and what cannot be is named before a pin is touched."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import board.pins
from board.pins import load
from board.wiring import CONNECTOR_ROLES, Wiring

MAPS = sorted(path.stem for path in Path(board.pins.__file__).parent.glob("*.py") if path.stem != "__init__")
SMALLEST = {"contactor": 16, "mirror": 17, "cp_pwm": 15, "cp_adc": 26, "rcd_dc": 18}
SOCKET = {"pp_adc": 27, "lock_motor": 21, "unlock_motor": 22, "bolt": 10}


def _check(*connectors: dict[str, Any], **constants: Any) -> Wiring:
    wiring = Wiring("test", SimpleNamespace(CONNECTORS=connectors, **constants))
    wiring.check()
    return wiring


def _problem(*connectors: dict[str, Any], **constants: Any) -> str:
    with pytest.raises(ValueError) as raised:
        _check(*connectors, **constants)
    return str(raised.value)


@pytest.mark.parametrize("name", MAPS)
def test_every_map_can_be_built(name: str) -> None:
    wiring = load(name)
    assert wiring.name == name
    assert wiring.problem == ""
    assert len(wiring.limits) == len(wiring.connectors) >= 1


@pytest.mark.parametrize("name", MAPS)
def test_every_map_is_numbers_and_names_only(name: str) -> None:
    lines = Path(board.pins.__file__).with_name(f"{name}.py").read_text().splitlines()
    assert not [line for line in lines if line.startswith(("import ", "from ", "def ", "class "))]


def test_the_smallest_map_has_what_keeps_people_safe() -> None:
    assert _check(SMALLEST).connectors == (SMALLEST,)
    assert {role for role, _, is_needed in CONNECTOR_ROLES if is_needed} == SMALLEST.keys()


@pytest.mark.parametrize("role", SMALLEST)
def test_a_missing_role_is_named(role: str) -> None:
    assert _problem({name: pin for name, pin in SMALLEST.items() if name != role}) == (
        f"connector 1: {role} is missing"
    )


@pytest.mark.parametrize("role", SOCKET)
def test_half_a_socket_is_refused(role: str) -> None:
    half = SMALLEST | {name: pin for name, pin in SOCKET.items() if name != role}
    assert _problem(half) == f"connector 1: {role} is missing"


def test_two_roles_on_one_pin_are_named_both() -> None:
    assert _problem(SMALLEST | {"light": 16}) == "connector 1 light: pin 16 is connector 1 contactor already"
    assert _problem(SMALLEST, EMERGENCY=17) == "EMERGENCY: pin 17 is connector 1 mirror already"
    assert _problem(SMALLEST, OUTPUTS={"fan": 15}) == "OUTPUTS fan: pin 15 is connector 1 cp_pwm already"


def test_analogue_roles_need_a_converter() -> None:
    assert _problem(SMALLEST | {"cp_adc": 25}) == "connector 1 cp_adc: pin 25 has no converter"


@pytest.mark.parametrize("number", [-1, 30, "16", 1.5])
def test_what_is_no_pin_is_refused(number: Any) -> None:
    assert _problem(SMALLEST | {"light": number}) == f"connector 1 light: {number} is no pin"


def test_two_pilots_must_not_share_a_pwm_output() -> None:
    second = {"contactor": 1, "mirror": 2, "cp_adc": 27, "rcd_dc": 3}
    assert "cp_pwm: pin 0 shares its PWM with connector 1 cp_pwm" in _problem(
        SMALLEST | {"cp_pwm": 16, "contactor": 15}, second | {"cp_pwm": 0}
    )


def test_an_unknown_role_is_a_typing_mistake() -> None:
    assert _problem(SMALLEST | {"lamp": 1}) == "connector 1: there is no role lamp"


def test_limits_are_checked_with_the_map() -> None:
    assert _problem(SMALLEST | {"limits": {"max_da": 10}}).startswith("connector 1 limits: max_da must be")
    assert _problem(SMALLEST | {"limits": {"can_switch_phases": 1}}) == (
        "connector 1: can_switch_phases without a phase_relay"
    )


def test_all_connectors_have_a_lock_or_none() -> None:
    second = {"contactor": 1, "mirror": 2, "cp_pwm": 4, "cp_adc": 28, "rcd_dc": 3}
    assert "all connectors have a lock" in _problem(SMALLEST | SOCKET, second)


def test_the_converter_reads_two_pilots_and_no_third() -> None:
    assert _problem(SMALLEST, SMALLEST, SMALLEST) == "CONNECTORS: at most 2"


def test_currents_need_their_scale() -> None:
    for phase in (1, 2, 3):
        assert _problem(SMALLEST | {f"current_l{phase}_adc": 27}) == "CURRENT_FULL_DA is missing"


def test_limits_that_contradict_each_other_are_refused() -> None:
    limits = {"temp_warn_dc": 850, "temp_stop_dc": 850}
    assert _problem(SMALLEST | {"limits": limits}) == (
        "connector 1 limits: temp_warn_dc must be below temp_stop_dc"
    )
    limits = {"can_switch_phases": 1}
    assert _problem(SMALLEST | {"phase_relay": 6, "limits": limits}, PHASES=1) == (
        "connector 1: can_switch_phases without a phase_relay"
    )
    assert _check(SMALLEST | {"phase_relay": 6, "limits": limits}, PHASES=3).limits[0].can_switch_phases


@pytest.mark.parametrize(("uart", "pins"), [(0, (4, 5)), (0, (1, 0)), (1, (0, 1)), (2, (0, 1))])
def test_a_link_by_uart_needs_pins_that_its_uart_reaches(uart: int, pins: tuple[int, int]) -> None:
    assert "does not reach" in _problem(SMALLEST, LINK="uart", UART_ID=uart, UART_PINS=pins)


def test_a_link_by_uart_takes_its_pins_and_its_uart() -> None:
    assert _problem(SMALLEST, LINK="uart") == "UART_PINS is missing"
    assert _problem(SMALLEST | {"light": 0}, LINK="uart", UART_PINS=(0, 1)) == (
        "connector 1 light: pin 0 is UART_PINS already"
    )
    port = {"name": "reader", "id": 0, "tx": 4, "rx": 5, "baud": 9600}
    assert _problem(SMALLEST, LINK="uart", UART_PINS=(0, 1), SERIAL=(port,)) == (
        "SERIAL reader: UART 0 is the host's"
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tx": 5, "rx": 4}, "SERIAL reader: UART 1 does not reach pins 5 and 4"),
        ({"id": 2}, "SERIAL reader: UART 2 does not reach pins 4 and 5"),
        ({"baud": 0}, "SERIAL reader: baud must be 1200 to 115200"),
        ({"baud": "9600"}, "SERIAL reader: baud must be 1200 to 115200"),
    ],
)
def test_a_serial_port_has_to_exist_on_the_chip(changes: dict[str, object], said: str) -> None:
    port = {"name": "reader", "id": 1, "tx": 4, "rx": 5, "baud": 9600}
    assert _problem(SMALLEST, SERIAL=(port | changes,)) == said


def test_two_serial_ports_share_neither_uart_nor_name() -> None:
    port = {"name": "reader", "id": 1, "tx": 4, "rx": 5, "baud": 9600}
    for other in ({"name": "other"}, {"id": 0, "tx": 0, "rx": 1}):
        assert "another one's, too" in _problem(SMALLEST, SERIAL=(port, port | other))


def test_a_serial_port_says_everything() -> None:
    assert (
        _problem(SMALLEST, SERIAL=({"name": "reader", "id": 1, "tx": 4, "rx": 5},))
        == "SERIAL: baud is missing"
    )


def test_a_map_without_connectors_is_none() -> None:
    assert _problem() == "CONNECTORS is missing"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "no pin map is named: pcb.txt is missing or empty"),
        ("nobody", "no pin map is called 'nobody'"),
        ("../app", "no pin map is called '../app'"),
        ("app", "no pin map is called 'app'"),
    ],
)
def test_an_unknown_map_says_what_is_wrong(name: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        load(name)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("CONNECTORS = (\n", "SyntaxError"),
        ("CONNECTORS = (CONTACTOR,)\n", "NameError"),
        ("CONNECTORS = ({'contactor': 16})\n", "AttributeError"),
        ("CONNECTORS = 5\n", "TypeError"),
        ("PHASES = None\n", "PHASES must be 1 or 3"),
    ],
)
def test_whatever_is_wrong_with_a_map_is_said_in_one_line(
    source: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(source)
    monkeypatch.setattr(board.pins, "__path__", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "board.pins.mine", raising=False)
    with pytest.raises(ValueError, match=r"^pin map mine: ") as raised:
        load("mine")
    sys.modules.pop("board.pins.mine", None)
    assert said in str(raised.value)
