"""Every fault of the hardware layer in words: what it means, and what an installer does about it. One table.

Causes and clearing rules are those of docs/board.md ("Faults") and docs/hardware.md. A test keeps it complete.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from hal.ports import FAULT_SEVERITY, FaultCode, Severity


@dataclass(frozen=True, slots=True)
class FaultWords:
    meaning: str
    advice: str


_UNPLUG = "it goes when the cable is out and the self-test has passed"

FAULTS: Mapping[FaultCode, FaultWords] = {
    FaultCode.RCD_DC: FaultWords(
        "direct residual current was detected (6 mA sensor)",
        f"unplug the car and look at its cable and plug for damage and water; {_UNPLUG}. With no car: test the wiring"
        " of the sensor's trip output",
    ),
    FaultCode.RCD_AC: FaultWords(
        "alternating residual current was detected",
        f"unplug the car, check cable and socket for damage and water, measure the insulation; {_UNPLUG}",
    ),
    FaultCode.RCD_SELF_TEST: FaultWords(
        "the residual current sensor did not pass its self-test: nothing may charge",
        "check supply, test input and trip output of the residual current sensor; then unplug the car, or restart the"
        " board, and the test is repeated",
    ),
    FaultCode.CONTACTOR_WELDED: FaultWords(
        "the contactor reports closed although it is commanded open: it may be welded, and the socket may be live",
        "switch off the breaker, measure the socket dead, check the contactor and its mirror contact (feedback wire"
        " swapped, or normally closed instead of normally open?); replace a welded contactor",
    ),
    FaultCode.CONTACTOR_NO_CLOSE: FaultWords(
        "the contactor was commanded closed and does not report closed",
        "check coil supply, contactor driver, the safety chain (RCD tripped?) and the wire of the mirror contact",
    ),
    FaultCode.CP_DIODE: FaultWords(
        "no diode is seen on the control pilot: short circuit to earth, or something that is no car",
        "unplug; try another car or a test box; with the same result check pilot and earth wire for a short circuit",
    ),
    FaultCode.CP_RANGE: FaultWords(
        "the pilot voltage is in no state of IEC 61851-1, or the car reports an error (E, F)",
        "measure the pilot at the socket: +12 V with nothing plugged in; check the CP amplifier's supply and the pilot"
        " wire; with one car only, it is the car",
    ),
    FaultCode.PP_RANGE: FaultWords(
        "a plug is in the socket and no rated cable is recognised (proximity pilot)",
        "try another cable; check the wire of the PP contact and its pull-up resistor. A fixed cable: the board's pin"
        " map must say so",
    ),
    FaultCode.LOCK_FAIL: FaultWords(
        "the socket's lock does not report locked after three attempts",
        "push the plug all the way in; check the lock motor's wires and its feedback switch",
    ),
    FaultCode.UNLOCK_FAIL: FaultWords(
        "the socket's lock does not open",
        "take the strain off the plug; use the emergency release; check the lock motor and its feedback switch",
    ),
    FaultCode.OVER_CURRENT: FaultWords(
        "the car draws more than it was offered",
        "unplug and try another car; with the same result compare the current transformers with a clamp meter",
    ),
    FaultCode.OVER_VOLTAGE: FaultWords(
        "the mains voltage is too high",
        "measure phase to neutral at the supply terminals: a broken neutral makes such voltages, switch off at once",
    ),
    FaultCode.UNDER_VOLTAGE: FaultWords(
        "the mains voltage is too low",
        "measure phase to neutral at the supply terminals; check breakers, terminals and the length of the line",
    ),
    FaultCode.TEMP_WARN: FaultWords(
        "the inside is hot: the offered current is lowered",
        "give it shade and air; tighten the power terminals (loose ones heat up first)",
    ),
    FaultCode.TEMP_STOP: FaultWords(
        "the inside is too hot: charging is stopped until it has cooled",
        "switch off, let it cool, tighten the power terminals, check the fan; then charge with less current",
    ),
    FaultCode.VENT_UNAVAILABLE: FaultWords(
        "the car demands ventilation (state D) and there is none here",
        "charge this car outdoors, or install ventilation and say so in the board's pin map",
    ),
    FaultCode.EMERGENCY_STOP: FaultWords(
        "the emergency stop is pressed, or its loop is open",
        "release the button, then unplug the car; without a button: close the loop at the board's input",
    ),
    FaultCode.DOOR_OPEN: FaultWords(
        "the door or cover is open",
        "close it; if it is closed, check the door contact",
    ),
    FaultCode.TILT: FaultWords(
        "the station stands askew or was hit",
        "switch off, look at foundation and cables; set it upright, or check the tilt contact",
    ),
    FaultCode.PHASE_SWITCH: FaultWords(
        "the relay between one and three phases does not report what it was commanded",
        "check that relay, its coil's wire and its feedback contact; then unplug the car. Without such a relay the"
        " board's configuration must not claim one",
    ),
    FaultCode.BOARD_COMM: FaultWords(
        "the I/O board does not answer",
        "check its supply and its cable, and the port in [hal.board]",
    ),
    FaultCode.BOARD_RESET: FaultWords(
        "the I/O board has restarted by itself",
        "check its 5 V supply under load; if it comes again, send the log with `evse-agent diagnostics`",
    ),
    FaultCode.FIRMWARE_INCOMPATIBLE: FaultWords(
        "the I/O board runs other firmware than this agent needs, or has fewer connectors than EVSEs are configured",
        "flash the firmware of this release: ./deploy.sh firmware USER@HOST; or lower hal.board.evses",
    ),
    FaultCode.METER_COMM: FaultWords(
        "the energy meter does not answer",
        "swap A and B, check its supply, its address and the termination; then `evse-agent meter scan PORT` with the"
        " agent stopped",
    ),
    FaultCode.METER_IMPLAUSIBLE: FaultWords(
        "the energy meter's numbers do not fit each other",
        "check the model in [[hal.meters]], the order of the phases and the transformer ratio set in the meter",
    ),
    FaultCode.READER_FAILURE: FaultWords(
        "a card reader does not answer or was unplugged",
        "check its cable, its supply and the port in [[hal.readers]]",
    ),
}


def words_of(code: str) -> FaultWords:
    """Also for a code that is no `FaultCode`: of the station itself, or of a newer agent."""
    try:
        return FAULTS[FaultCode(code)]
    except ValueError:
        return FaultWords(
            f"fault {code}", "see the log: journalctl -u evse-agent, or the agent's standard error"
        )


def stops_charging(code: str) -> bool:
    try:
        return FAULT_SEVERITY[FaultCode(code)] in (Severity.STOP, Severity.LATCHED)
    except ValueError:
        return True
