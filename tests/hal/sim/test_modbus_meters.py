"""Played meters answer as meters do: their own unit only, refusals, bytes as they come."""

import pytest

from hal.bus.modbus import ReadRequest, with_crc
from hal.drivers.modbus_meter import load_profile
from hal.errors import DeviceTimeout
from hal.ports import MeterReading
from hal.sim.modbus_meters import ModbusMeters, PlayedMeter

SHOWN = MeterReading(at_time=0.0, energy_import_wh=1_234_000.0, power_w=11_000.0)
REQUEST = ReadRequest(3, 4, 0x0034, 2)


def meters(unit: int = 3) -> ModbusMeters:
    return ModbusMeters({unit: PlayedMeter(load_profile("sdm630"), lambda: SHOWN, "77")})


def test_a_request_is_answered_however_its_bytes_arrive() -> None:
    line = meters()
    whole = line.feed(REQUEST.encode())
    pieces = [line.feed(bytes((octet,))) for octet in b"\x00\xff" + REQUEST.encode()]
    assert REQUEST.find_answer(whole) == (0x462B, 0xE000)  # 11000.0 as f32
    assert b"".join(pieces) == whole


def test_another_units_request_and_noise_stay_unanswered() -> None:
    assert meters().feed(ReadRequest(4, 4, 0, 2).encode()) == b""
    assert meters().feed(bytes(range(64))) == b""


@pytest.mark.parametrize(
    ("request_frame", "code"), [("03 06 0000 0001", 1), ("03 04 7000 0002", 2), ("03 04 0000 0000", 2)]
)
def test_what_the_meter_has_not_is_refused(request_frame: str, code: int) -> None:
    frame = with_crc(bytes.fromhex(request_frame))
    assert meters().feed(frame) == with_crc(bytes((3, frame[1] | 0x80, code)))


def test_the_serial_number_is_shown_where_the_profile_says() -> None:
    request = ReadRequest(3, 3, 0xFC00, 2)
    assert request.find_answer(meters().feed(request.encode())) == (0, 77)


def test_a_broken_meter_is_silent() -> None:
    def broken() -> MeterReading:
        raise DeviceTimeout("broken")

    line = ModbusMeters({3: PlayedMeter(load_profile("sdm630"), broken)})
    assert line.feed(REQUEST.encode()) == b""
