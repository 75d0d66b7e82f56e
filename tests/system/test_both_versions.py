"""One scenario set for every OCPP version: what a driver and an operator live through does not depend on the words.

Each scenario is written once and runs against v16 and v201 on the whole station, on virtual time.
"""

from pathlib import Path

import pytest

from tests.helpers.bench import Bench, friendly
from tests.helpers.csms import Csms
from tests.helpers.disk import photograph
from tests.system.talk201 import RECONNECTS, back, offline
from tests.system.versions import TONGUES, Charge, Tongue

pytestmark = pytest.mark.parametrize("tongue", TONGUES, ids=lambda tongue: tongue.version)
SAMPLES = "MeterValueSampleInterval = 30\n"
SITE = """
[hal.sim]
evses = 2
"""
COMMANDS = """
[[vendor.commands]]
vendor_id = "com.example.site"
message_id = "SetFan"
action = "output.set"
fixed = { output = "fan" }
parameters = { on = "on" }
"""


def station(tmp_path: Path, tongue: Tongue, settings: str = "", csms: Csms | None = None) -> Bench:
    text = f"[settings]\n{RECONNECTS}{SAMPLES}{settings}{SITE}{COMMANDS}"
    return Bench(
        tmp_path, text, csms, version=tongue.version, csms_keys="backoff_first_s = 1\nbackoff_max_s = 2"
    )


async def online(bench: Bench) -> None:
    await bench.until(lambda: bench.agent.conversation.is_online)
    await bench.run_for(seconds=2)


async def charge(bench: Bench, tongue: Tongue, tag: str = "TAG1", evse_id: int = 1) -> Charge:
    """Cable, card, two minutes of energy; what the CSMS knows of it by then."""
    before = len(tongue.charges(bench))
    bench.plug_in(evse_id)
    bench.tap(tag, evse_id)
    await bench.until(lambda: bench.evse(evse_id).offered_current_a)
    await bench.run_for(minutes=2)
    (begun,) = tongue.charges(bench)[before:]
    return begun


def is_live(bench: Bench, evse_id: int = 1) -> bool:
    return bench.world.evse(evse_id).is_contactor_closed


async def test_a_driver_plugs_in_charges_and_goes(tmp_path: Path, tongue: Tongue) -> None:
    async with station(tmp_path, tongue) as bench:
        await online(bench)
        await charge(bench, tongue)
        assert is_live(bench)
        bench.tap("TAG1")
        await bench.run_for(seconds=20)
        assert not is_live(bench)
        bench.unplug()
        await bench.run_for(seconds=10)
        (told,) = tongue.charges(bench)
        assert (told.evse_id, told.tag, told.reason) == (1, "TAG1", "Local")
        assert len(told.registers_wh) >= 4, "the start, and every 30 s"
        assert [*told.registers_wh, told.end_wh] == sorted([*told.registers_wh, told.end_wh])
        assert told.end_wh > told.registers_wh[0]
        assert tongue.states(bench, 1) == ["free", "busy", "free"]
        assert tongue.states(bench, 2) == ["free"]


async def test_a_card_without_a_car_lapses(tmp_path: Path, tongue: Tongue) -> None:
    async with station(tmp_path, tongue, "ConnectionTimeOut = 45\n") as bench:
        await online(bench)
        bench.tap("TAG1", 1)
        await bench.run_for(seconds=60)
        bench.plug_in()
        await bench.run_for(minutes=2)
        assert not is_live(bench)
        assert not tongue.charges(bench)


@pytest.mark.parametrize("status", ["Invalid", "Blocked", "Expired"])
async def test_who_is_refused_gets_nothing(tmp_path: Path, tongue: Tongue, status: str) -> None:
    async with station(tmp_path, tongue) as bench:
        tongue.refuse(bench, status)
        await online(bench)
        bench.plug_in()
        bench.tap("TAG1", 1)
        await bench.run_for(minutes=2)
        assert not is_live(bench)
        assert not tongue.charges(bench)


async def test_two_drivers_are_told_apart(tmp_path: Path, tongue: Tongue) -> None:
    async with station(tmp_path, tongue) as bench:
        await online(bench)
        await charge(bench, tongue, "TAG1", 1)
        await charge(bench, tongue, "TAG2", 2)
        bench.tap("TAG1", 1)
        await bench.run_for(seconds=20)
        assert (is_live(bench, 1), is_live(bench, 2)) == (False, True)
        told = {each.evse_id: (each.tag, each.reason) for each in tongue.charges(bench)}
        assert told == {1: ("TAG1", "Local"), 2: ("TAG2", "")}


async def test_a_charge_without_a_connection_is_told_afterwards(tmp_path: Path, tongue: Tongue) -> None:
    async with station(tmp_path, tongue, tongue.offline_tokens) as bench:
        await online(bench)
        await offline(bench)
        bench.plug_in()
        bench.tap("TAG1", 1)
        await bench.run_for(minutes=3)
        bench.tap("TAG1", 1)
        await bench.run_for(seconds=20)
        assert not tongue.charges(bench)
        await back(bench)
        (told,) = tongue.charges(bench)
        assert (told.tag, told.reason) == ("TAG1", "Local")
        assert len(told.registers_wh) >= 5
        assert told.end_wh > told.registers_wh[0]


async def test_a_connection_that_drops_does_not_end_the_charge(tmp_path: Path, tongue: Tongue) -> None:
    async with station(tmp_path, tongue) as bench:
        await online(bench)
        await charge(bench, tongue)
        await offline(bench)
        await bench.run_for(minutes=3)
        assert is_live(bench)
        await back(bench)
        bench.tap("TAG1", 1)
        await bench.run_for(seconds=20)
        (told,) = tongue.charges(bench)
        assert told.reason == "Local"
        assert len(told.registers_wh) >= 10
        assert told.registers_wh == sorted(told.registers_wh)


@pytest.mark.parametrize("is_online", [True, False])
async def test_a_power_loss_ends_the_charge_with_what_was_on_the_disk(
    tmp_path: Path, tongue: Tongue, is_online: bool
) -> None:
    async with Csms() as csms:
        friendly(csms)
        async with station(tmp_path / "before", tongue, csms=csms) as bench:
            await online(bench)
            begun = await charge(bench, tongue)
            if not is_online:
                await offline(bench)
                await bench.run_for(minutes=2)
            database = bench.agent.database
            await database.read(lambda _sql: photograph(database.path, tmp_path / "after"))
            csms.refuse_status = 503
            csms.drop()
            bench.agent.link.disconnect()
        csms.refuse_status = None
        async with station(tmp_path / "after", tongue, csms=csms) as bench:
            await online(bench)
            await bench.agent.conversation.flush(60)
            (told,) = tongue.charges(bench)
            assert told.reason == "PowerLoss"
            assert told.end_wh >= begun.registers_wh[-1]
            assert len(told.registers_wh) >= (5 if is_online else 8)
            assert not is_live(bench)


async def test_a_triggered_reading_is_of_now_and_a_silent_meter_gives_none(
    tmp_path: Path, tongue: Tongue
) -> None:
    async with station(tmp_path, tongue) as bench:
        await online(bench)
        await charge(bench, tongue)
        for _ in range(2):
            now_wh = bench.world.meter_reading(1).energy_import_wh
            assert await tongue.trigger(bench, 1) == "Accepted"
            await bench.run_for(seconds=5)
            evse_id, register_wh = tongue.readings(bench, "Trigger")[-1]
            assert evse_id == 1
            assert abs(register_wh - now_wh) < 5
        assert len(tongue.readings(bench, "Trigger")) == 2
        assert await tongue.trigger(bench, 7) == "Rejected"
        bench.world.set_fault(1, "meter_comm")
        assert await tongue.trigger(bench, 1) == "Rejected"
        assert len(tongue.readings(bench, "Trigger")) == 2, "never an old number"


async def test_a_vendor_command_reaches_its_relay(tmp_path: Path, tongue: Tongue) -> None:
    async with station(tmp_path, tongue) as bench:
        await online(bench)
        for is_on in (True, False):
            answer = await tongue.vendor(bench, "com.example.site", "SetFan", is_on)
            assert answer.payload["status"] == "Accepted"
            assert bench.agent.opened.hardware.outputs["fan"].is_on is is_on
        answer = await tongue.vendor(bench, "com.example.site", "Nothing", True)
        assert answer.payload["status"] == "UnknownMessageId"
        answer = await tongue.vendor(bench, "org.example.nobody", "SetFan", True)
        assert answer.payload["status"] == "UnknownVendorId"
        assert bench.agent.opened.hardware.outputs["fan"].is_on is False


async def test_a_limit_holds_survives_a_restart_and_goes(tmp_path: Path, tongue: Tongue) -> None:
    async with station(tmp_path, tongue) as bench:
        await online(bench)
        await charge(bench, tongue)
        full_a = bench.evse().offered_current_a
        for limit_a, offered_a in ((10.0, 10.0), (0.0, 0.0), (8.0, 8.0)):
            assert await tongue.limit(bench, 1, limit_a) == "Accepted"
            await bench.run_for(seconds=10)
            assert bench.evse().offered_current_a == offered_a < full_a
            assert is_live(bench) is bool(offered_a)
        bench.tap("TAG1", 1)
        await bench.run_for(seconds=20)
    async with station(tmp_path, tongue) as bench:
        await online(bench)
        await charge(bench, tongue)
        assert bench.evse().offered_current_a == 8.0
        assert await tongue.unlimited(bench) == "Accepted"
        await bench.run_for(seconds=10)
        assert bench.evse().offered_current_a == full_a


async def test_the_operator_starts_and_stops(tmp_path: Path, tongue: Tongue) -> None:
    async with station(tmp_path, tongue) as bench:
        await online(bench)
        bench.plug_in()
        await bench.run_for(seconds=5)
        assert await tongue.start(bench, "TAG9", 1) == "Accepted"
        await bench.run_for(minutes=1)
        assert is_live(bench)
        (told,) = tongue.charges(bench)
        assert told.tag == "TAG9"
        assert await tongue.stop(bench, told) == "Accepted"
        await bench.run_for(seconds=20)
        assert not is_live(bench)
        assert tongue.charges(bench)[0].reason == "Remote"
        assert await tongue.stop(bench, told) == "Rejected"


async def test_out_of_service_waits_for_the_charge_and_outlasts_a_restart(
    tmp_path: Path, tongue: Tongue
) -> None:
    async with station(tmp_path, tongue) as bench:
        await online(bench)
        await charge(bench, tongue)
        assert await tongue.serve(bench, 1, is_operative=False) == "Scheduled"
        await bench.run_for(seconds=20)
        assert is_live(bench)
        bench.tap("TAG1", 1)
        await bench.run_for(seconds=20)
        bench.unplug()
        await bench.run_for(seconds=10)
        assert tongue.states(bench, 1)[-1] == "out"
    async with station(tmp_path, tongue) as bench:
        await online(bench)
        assert [tongue.states(bench, number) for number in (1, 2)] == [["out"], ["free"]]
        bench.plug_in()
        bench.tap("TAG1", 1)
        await bench.run_for(minutes=1)
        assert not is_live(bench)
        assert await tongue.serve(bench, 1, is_operative=True) == "Accepted"
        bench.tap("TAG1", 1)
        await bench.until(lambda: is_live(bench))


async def test_a_residual_current_ends_the_energy_at_once_and_is_told(tmp_path: Path, tongue: Tongue) -> None:
    async with station(tmp_path, tongue) as bench:
        await online(bench)
        await charge(bench, tongue)
        bench.world.set_fault(1, "rcd_ac")
        await bench.run_for(seconds=1)
        assert not is_live(bench)
        await bench.run_for(seconds=20)
        assert tongue.states(bench, 1)[-1] == "out"
        assert bench.evse(1).is_faulted


async def test_a_reset_tells_the_end_first(tmp_path: Path, tongue: Tongue) -> None:
    async with station(tmp_path, tongue) as bench:
        await online(bench)
        await charge(bench, tongue)
        assert await tongue.reset(bench) == "Accepted"
        await bench.ended()
        (told,) = tongue.charges(bench)
        assert told.reason == "SoftReset"
        assert told.end_wh >= told.registers_wh[-1]
