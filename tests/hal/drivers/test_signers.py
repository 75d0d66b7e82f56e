"""EM580 and WM3M4 sign a transaction; the records are verified by code that knows OCMF and nothing of the meters."""

import asyncio
import contextlib
from datetime import UTC, datetime

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from hal.bus.modbus import ModbusBus
from hal.drivers import ocmf
from hal.drivers.em580_signer import Em580Signer
from hal.drivers.wm3m4_signer import Wm3m4Signer
from hal.errors import DeviceFault, DeviceProtocolError, DeviceTimeout, HalError, OutOfRange
from hal.ports import SigningMoment
from tests.helpers.links import FaultyStream, LinkQuality, MemoryLine
from tests.helpers.ocmf import verified
from tests.helpers.signing_meters import Em580Unit, Wm3m4Unit, padded

BEGIN, MIDDLE, END = SigningMoment.BEGIN, SigningMoment.MIDDLE, SigningMoment.END
NOW = datetime(2026, 5, 19, 13, 52, 3, tzinfo=UTC)
ONE_BYTE = LinkQuality("one_byte_at_a_time", chunk=1, chunk_s=0.0001)


def em580(line: MemoryLine | None = None) -> tuple[Em580Signer, Em580Unit]:
    line = line or MemoryLine()
    unit = Em580Unit(line)
    return Em580Signer(ModbusBus(line), 1, evse_name="DE*ABC*E1", now=lambda: NOW), unit


def wm3m4() -> tuple[Wm3m4Signer, Wm3m4Unit]:
    line = MemoryLine()
    unit = Wm3m4Unit(line)
    return Wm3m4Signer(ModbusBus(line), 33, evse_name="DE*ABC*E1", now=lambda: NOW), unit


async def refusal(signer: Em580Signer | Wm3m4Signer, moment: SigningMoment, token: str = "TAG1") -> str:
    with pytest.raises(DeviceFault) as refused:
        await signer.sign(moment, token)
    return refused.value.code


# ---- EM580


async def test_the_em580_gives_one_record_with_begin_and_end_at_the_end() -> None:
    signer, unit = em580()
    assert await refusal(signer, BEGIN) == "no_record"
    assert unit.state == 1
    assert await refusal(signer, MIDDLE) == "no_record"
    unit.energy_wh = 9500
    record = await signer.sign(END, "TAG1")
    assert (record.encoding, record.method) == ("OCMF", "")
    assert signer.public_key == unit.public_key
    payload = verified(record.content, signer.public_key)
    assert (payload["IS"], payload["IT"], payload["ID"], payload["CI"]) == (
        True,
        "CENTRAL",
        "TAG1",
        "DE*ABC*E1",
    )
    assert [(entry["TX"], entry["RV"]) for entry in payload["RD"]] == [("B", "1.000"), ("E", "9.500")]
    assert payload["RD"][0]["TM"] == f"{int(NOW.timestamp())} S"
    assert unit.state == 0, "a record that was fetched has to be confirmed"


async def test_a_changed_record_of_the_em580_is_found_out() -> None:
    signer, _ = em580()
    await refusal(signer, BEGIN)
    record = await signer.sign(END, "TAG1")
    with pytest.raises(InvalidSignature):
        verified(record.content.replace('"1.000"', '"0.001"'), signer.public_key)


async def test_the_begin_of_one_transaction_may_be_told_twice() -> None:
    signer, unit = em580()
    for _ in range(2):
        await refusal(signer, BEGIN)
    assert [words for address, words in unit.modbus.written if address == 0x7040] == [[ord("B")]]


@pytest.mark.parametrize("kind", ["em580", "wm3m4"])
async def test_the_next_transaction_of_the_same_token_begins_anew(kind: str) -> None:
    signer, unit = em580() if kind == "em580" else wm3m4()
    for energy_wh in (1000, 2000):
        unit.energy_wh = energy_wh
        with contextlib.suppress(DeviceFault):
            await signer.sign(BEGIN, "TAG1")
        payload = verified((await signer.sign(END, "TAG1")).content, unit.public_key)
        assert payload["RD"][0]["RV"] == f"{energy_wh / 1000:.3f}"


async def test_an_unfetched_record_is_logged_before_the_next_begin_loses_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    signer, unit = em580()
    await refusal(signer, BEGIN, "EARLIER")
    await asyncio.sleep(3600)
    await refusal(signer, BEGIN, "TAG1")
    (line,) = [entry for entry in caplog.messages if "unfetched record" in entry]
    assert verified(line.split(": ", 2)[2], unit.public_key)["ID"] == "EARLIER"
    assert verified((await signer.sign(END, "TAG1")).content, unit.public_key)["ID"] == "TAG1"


async def test_the_record_of_a_transaction_that_the_meter_closed_itself_is_fetched() -> None:
    line = MemoryLine()
    signer, unit = em580(line)
    await refusal(signer, BEGIN)
    unit.close()
    after_restart = Em580Signer(ModbusBus(line), 1, now=lambda: NOW)
    assert verified((await after_restart.sign(END, "TAG1")).content, unit.public_key)["ID"] == "TAG1"


async def test_a_record_that_is_not_of_this_transaction_is_never_handed_out() -> None:
    signer, unit = em580()
    assert await refusal(signer, END) == "no_record"
    await refusal(signer, BEGIN, "EARLIER")
    unit.close()
    unit.modbus.is_silent = True
    with pytest.raises(DeviceTimeout):
        await signer.sign(BEGIN, "OTHER")
    unit.modbus.is_silent = False
    await asyncio.sleep(20)
    assert await refusal(signer, END, "OTHER") == "no_record"


async def test_a_meter_that_does_not_begin_is_an_error() -> None:
    signer, unit = em580()
    unit.refuses_to_begin = True
    with pytest.raises(DeviceTimeout, match="state 0"):
        await signer.sign(BEGIN, "TAG1")
    assert await refusal(signer, END) == "no_record"


async def test_a_corrupted_record_is_a_fault_and_the_next_transaction_goes_on() -> None:
    signer, unit = em580()
    await refusal(signer, BEGIN)
    unit.close = lambda: unit.modbus.put(0x7100, [3, 0])  # type: ignore[method-assign]
    assert await refusal(signer, END) == "record_corrupted"
    del unit.close
    assert await refusal(signer, BEGIN, "TAG2") == "no_record"
    assert verified((await signer.sign(END, "TAG2")).content, unit.public_key)["ID"] == "TAG2"


async def test_without_a_token_the_record_says_so() -> None:
    signer, unit = em580()
    await refusal(signer, BEGIN, "")
    payload = verified((await signer.sign(END, "")).content, unit.public_key)
    assert (payload["IS"], payload["IT"], payload["ID"]) == (False, "NONE", "")


async def test_a_token_that_does_not_fit_is_not_cut_off() -> None:
    signer, unit = em580()
    with pytest.raises(OutOfRange, match="39 characters"):
        await signer.sign(BEGIN, "X" * 40)
    assert unit.state == 0


async def test_a_meter_without_a_key_still_signs() -> None:
    signer, unit = em580()
    unit.modbus.put(0x24FF, [2])
    await refusal(signer, BEGIN)
    assert (await signer.sign(END, "TAG1")).content
    assert signer.public_key == ""


# ---- WM3M4


async def test_the_wm3m4_signs_the_begin_and_at_the_end_both() -> None:
    signer, unit = wm3m4()
    begin = await signer.sign(BEGIN, "TAG|1")
    assert signer.public_key == unit.public_key
    payload = verified(begin.content, unit.public_key)
    assert (payload["ID"], payload["CI"], payload["MS"]) == ("TAG 1", "DE*ABC*E1", "4711")
    assert [entry["TX"] for entry in payload["RD"]] == ["B"]
    assert await refusal(signer, MIDDLE) == "no_record"
    unit.energy_wh = 9500
    payload = verified((await signer.sign(END, "TAG|1")).content, unit.public_key)
    assert [(entry["TX"], entry["RV"]) for entry in payload["RD"]] == [("B", "1.000"), ("E", "9.500")]
    assert payload["RD"][0]["TM"] == f"{int(NOW.timestamp())} S"


async def test_after_a_power_cut_the_wm3m4_is_told_time_and_token_again() -> None:
    signer, unit = wm3m4()
    await signer.sign(BEGIN, "TAG1")
    unit.lose_power()
    payload = verified((await signer.sign(END, "TAG1")).content, unit.public_key)
    assert (payload["ID"], len(payload["RD"])) == ("TAG1", 2)


async def test_the_wm3m4_ends_what_an_earlier_transaction_left_open(caplog: pytest.LogCaptureFixture) -> None:
    signer, unit = wm3m4()
    await signer.sign(BEGIN, "EARLIER")
    await asyncio.sleep(3600)
    begin = await signer.sign(BEGIN, "TAG1")
    assert verified(begin.content, unit.public_key)["ID"] == "TAG1"
    assert any("unfetched record" in entry and "EARLIER" in entry for entry in caplog.messages)


async def test_the_wm3m4_begins_once_however_often_it_is_told() -> None:
    signer, unit = wm3m4()
    first, second = [(await signer.sign(BEGIN, "TAG1")).content for _ in range(2)]
    assert first == second
    assert [words for address, words in unit.modbus.written if address == 7051] == [[0x4200]]


async def test_a_failed_signature_is_a_fault() -> None:
    signer, unit = wm3m4()
    unit.signature_status = 254
    assert await refusal(signer, BEGIN) == "signature_failed"
    assert await refusal(signer, END) == "no_record"


async def test_no_transaction_no_record() -> None:
    signer, _ = wm3m4()
    assert await refusal(signer, END) == "no_record"


async def test_a_long_identification_goes_over_in_pieces() -> None:
    signer, unit = wm3m4()
    token = "T" * 255
    assert verified((await signer.sign(BEGIN, token)).content, unit.public_key)["ID"] == token
    assert max(len(words) for _, words in unit.modbus.written) <= 100
    with pytest.raises(OutOfRange, match="bytes of identification"):
        await signer.sign(BEGIN, "T" * 1000)


# ---- both


@pytest.mark.parametrize("make", [em580, wm3m4])
async def test_a_silent_meter_is_an_error(make: object) -> None:
    signer, unit = em580() if make is em580 else wm3m4()
    unit.modbus.is_silent = True
    for moment in (BEGIN, END):
        with pytest.raises(HalError):
            await signer.sign(moment, "TAG1")


async def test_a_record_arrives_whole_over_a_line_of_single_bytes() -> None:
    line = MemoryLine()
    unit = Wm3m4Unit(line)
    signer = Wm3m4Signer(ModbusBus(FaultyStream(line, ONE_BYTE)), 33, now=lambda: NOW)
    assert verified((await signer.sign(BEGIN, "TAG1")).content, unit.public_key)["ID"] == "TAG1"


# ---- shape of a record


@pytest.mark.parametrize("text", ["", "OCMF|{}", "EDL|{}|{}", "OCMF|{}|", "OCMF|{}|{}|{}"])
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(DeviceProtocolError):
        ocmf.to_record(text)


@given(st.integers(1, 2**256 - 1), st.integers(1, 2**256 - 1))
def test_padded_numbers_are_the_same_numbers(r: int, s: int) -> None:
    minimal = ocmf.with_minimal_numbers(padded(encode_dss_signature(r, s)))
    assert minimal == encode_dss_signature(r, s)
    assert decode_dss_signature(minimal) == (r, s)


@given(st.binary(max_size=80))
def test_any_bytes_are_a_signature_or_refused(octets: bytes) -> None:
    with contextlib.suppress(DeviceProtocolError):
        decode_dss_signature(ocmf.with_minimal_numbers(octets))


def test_the_curves_of_the_records_are_the_ones_of_the_meters() -> None:
    assert isinstance(Em580Unit(MemoryLine()).key.curve, ec.BrainpoolP384R1)
    assert isinstance(Wm3m4Unit(MemoryLine()).key.curve, ec.SECP256R1)
