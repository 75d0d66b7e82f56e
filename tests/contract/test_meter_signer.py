"""What every `MeterSigner` promises: records that an independent verifier accepts, of this transaction only."""

from collections.abc import Callable

import pytest

from hal.bus.modbus import ModbusBus
from hal.drivers.em580_signer import Em580Signer
from hal.drivers.wm3m4_signer import Wm3m4Signer
from hal.errors import DeviceFault
from hal.ports import MeterReading, MeterSigner, SignedReading, SigningMoment
from hal.sim.signing import SimulatedSigner
from tests.helpers.links import MemoryLine
from tests.helpers.ocmf import verified
from tests.helpers.signing_meters import Em580Unit, Wm3m4Unit


class Bench:
    """A meter that signs, and the energy that it counts."""

    def __init__(self, kind: str) -> None:
        line = MemoryLine()
        self.signer: MeterSigner
        self.set_energy: Callable[[float], None]
        if kind == "sim":
            self._energy_wh = 1000.0
            self.set_energy = self._set_energy
            self.signer = SimulatedSigner(lambda: MeterReading(0.0, energy_import_wh=self._energy_wh))
            return
        unit = Em580Unit(line) if kind == "em580" else Wm3m4Unit(line)
        driver = Em580Signer if kind == "em580" else Wm3m4Signer
        self.signer = driver(ModbusBus(line), 1 if kind == "em580" else 33)
        self.set_energy = lambda energy_wh: setattr(unit, "energy_wh", energy_wh)

    def _set_energy(self, energy_wh: float) -> None:
        self._energy_wh = energy_wh


@pytest.fixture(params=["sim", "em580", "wm3m4"])
def bench(request: pytest.FixtureRequest) -> Bench:
    return Bench(request.param)


async def signed(signer: MeterSigner, moment: SigningMoment, token: str) -> SignedReading | None:
    try:
        return await signer.sign(moment, token)
    except DeviceFault as fault:
        if fault.code != "no_record":
            raise
        return None


async def test_the_end_is_signed_with_the_token_and_the_register(bench: Bench) -> None:
    await signed(bench.signer, SigningMoment.BEGIN, "04A1B2C3")
    bench.set_energy(8250.0)
    record = await bench.signer.sign(SigningMoment.END, "04A1B2C3")
    payload = verified(record.content, bench.signer.public_key)
    assert record.encoding == "OCMF"
    assert payload["ID"] == "04A1B2C3"
    last = payload["RD"][-1]
    assert (last["TX"], last["RV"], last["RU"]) == ("E", "8.250", "kWh")


async def test_every_record_that_is_given_can_be_verified(bench: Bench) -> None:
    moments = (SigningMoment.BEGIN, SigningMoment.MIDDLE, SigningMoment.END)
    records = [await signed(bench.signer, moment, "TAG1") for moment in moments]
    given = [record for record in records if record is not None]
    assert given
    for record in given:
        assert verified(record.content, bench.signer.public_key)["ID"] == "TAG1"


async def test_transactions_follow_each_other(bench: Bench) -> None:
    for number in range(3):
        await signed(bench.signer, SigningMoment.BEGIN, f"TAG{number}")
        bench.set_energy(1000.0 * number)
        record = await bench.signer.sign(SigningMoment.END, f"TAG{number}")
        assert verified(record.content, bench.signer.public_key)["ID"] == f"TAG{number}"
