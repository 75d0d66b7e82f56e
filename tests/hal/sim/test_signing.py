"""The simulated certified meter: its records are verified by code that knows OCMF and nothing of the meter."""

import json
from datetime import UTC, datetime

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hal.ports import MeterReading, SigningMoment
from hal.sim.signing import SimulatedSigner
from tests.helpers.ocmf import verified

NOW = datetime(2026, 5, 19, 13, 52, 3, 120_000, tzinfo=UTC)


def signer() -> SimulatedSigner:
    return SimulatedSigner(lambda: MeterReading(at_time=0.0, energy_import_wh=12_345.0), "S-7", lambda: NOW)


async def test_the_record_is_signed_with_the_key_that_is_printed_on_the_meter() -> None:
    meter = signer()
    record = await meter.sign(SigningMoment.BEGIN, "TAG1")
    assert record.encoding == "OCMF"
    payload = verified(record.content, meter.public_key)
    assert payload["ID"] == "TAG1"
    assert payload["MS"] == "S-7"
    assert payload["PG"] == "T1"
    reading = payload["RD"][0]
    assert (reading["TM"], reading["TX"]) == ("2026-05-19T13:52:03,120+0000 S", "B")
    assert (reading["RV"], reading["RU"], reading["RI"]) == ("12.345", "kWh", "01-00:01.08.00.FF")


async def test_a_changed_record_is_found_out() -> None:
    meter = signer()
    record = await meter.sign(SigningMoment.END, "")
    with pytest.raises(InvalidSignature):
        verified(record.content.replace("12.345", "12.344"), meter.public_key)


async def test_pages_are_counted_and_the_key_stays() -> None:
    meter = signer()
    key = meter.public_key
    pages = [
        json.loads((await meter.sign(SigningMoment.MIDDLE, "")).content.split("|")[1])["PG"] for _ in range(3)
    ]
    assert pages == ["T1", "T2", "T3"]
    assert meter.public_key == key
    assert isinstance(load_der_public_key(bytes.fromhex(key)), ec.EllipticCurvePublicKey)
