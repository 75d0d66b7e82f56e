"""The settings: every 1.6 key is there, values are checked, a change is on disk before it holds, the page agrees."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.charging.requests import Verdict
from agent.charging.settings import SETTINGS, Kind, Mutability, Settings, initial, parse
from agent.errors import ConfigError
from tests.charging.rig import running
from tests.helpers.core_keys16 import CORE_KEYS
from tests.helpers.fake_hardware import fake_hardware
from tests.helpers.fake_stores import FULL, FakeSettingStore
from tests.helpers.settings_page import PAGE, rendered


def opened() -> tuple[Settings, FakeSettingStore]:
    store = FakeSettingStore()
    return Settings({}, store), store


async def verdict(settings: Settings, name: str, value: str) -> Verdict:
    return (await settings.change(name, value)).verdict


# --- the table -------------------------------------------------------------------------------------------


@pytest.mark.req("R16-204")
def test_all_core_keys_exist_with_their_accessibility() -> None:
    by_key = {row.key16: row for row in SETTINGS.values() if row.key16}
    assert len(CORE_KEYS) == 36
    assert {key: str(by_key[key].mutability) for key in CORE_KEYS} == CORE_KEYS


def test_names_and_keys_are_unique_and_defaults_are_valid() -> None:
    keys = [row.key16.lower() for row in SETTINGS.values() if row.key16]
    paths = [row.path2.lower() for row in SETTINGS.values() if row.path2]
    assert len(keys) == len(set(keys))
    assert len(paths) == len(set(paths))
    for row in SETTINGS.values():
        assert row.doc.endswith("."), row.name
        assert row.key16 or row.path2, row.name
        if row.kind is not Kind.HEX:
            assert parse(row, row.default) == row.default, row.name


def test_units_are_suffixes() -> None:
    suffixes = {"s": "_s", "Wh": "_wh", "A": "_a", "%": "_percent"}
    for row in SETTINGS.values():
        if row.unit in suffixes:
            assert row.name.endswith(suffixes[row.unit]), row.name


def test_profiles_are_only_those_that_are_there() -> None:
    assert opened()[0].listed("supported_feature_profiles") == (
        "Core",
        "FirmwareManagement",
        "LocalAuthListManagement",
        "Reservation",
        "SmartCharging",
        "RemoteTrigger",
    )


def test_page_and_table_agree() -> None:
    """docs/settings.md shows the table as it is: `make docs` writes it."""
    page = PAGE.read_text(encoding="utf-8")
    assert rendered(page) == page


# --- values ----------------------------------------------------------------------------------------------


@pytest.mark.req("R16-206", "R16-207", "R16-208", "R16-010")
@pytest.mark.parametrize("value", ["-1", "+5", "1.5", "0x10", "", "ten", "1e3", "９"])
async def test_integers_are_plain_decimal(value: str) -> None:
    settings, store = opened()
    for name in ("sample_interval_s", "websocket_ping_interval_s", "transaction_message_attempts"):
        before = settings.raw(name)
        assert await verdict(settings, name, value) is Verdict.REJECTED
        assert settings.raw(name) == before
    assert store.saves == 0


@pytest.mark.req("R16-208")
@pytest.mark.parametrize(("value", "expected"), [("TRUE", True), ("False", False), (" true ", True)])
async def test_booleans_in_any_case(value: str, expected: bool) -> None:
    settings, _ = opened()
    assert await verdict(settings, "local_pre_authorize", value) is Verdict.ACCEPTED
    assert settings.flag("local_pre_authorize") is expected
    for wrong in ("1", "yes", ""):
        assert await verdict(settings, "local_pre_authorize", wrong) is Verdict.REJECTED


@pytest.mark.req("R16-157", "R16-158", "R16-210")
async def test_measurand_lists_are_checked() -> None:
    settings, _ = opened()
    name = "sampled_measurands"
    assert await verdict(settings, name, " voltage.l1 , Power.Active.Import,Voltage.L1") is Verdict.ACCEPTED
    assert settings.listed(name) == ("Voltage.L1", "Power.Active.Import")
    for wrong in ("Voltage,Nonsense", "Voltage,", "SoC", "Voltage.L9", "RPM"):
        assert await verdict(settings, name, wrong) is Verdict.REJECTED
    assert settings.listed(name) == ("Voltage.L1", "Power.Active.Import")
    phases = ["L1", "L2", "L3", "N", "L1-N", "L2-N", "L3-N", "L1-L2", "L2-L3", "L3-L1"]
    most = [f"{kind}.{phase}" for kind in ("Voltage", "Current.Import") for phase in phases]
    assert await verdict(settings, name, ",".join(most)) is Verdict.ACCEPTED
    assert await verdict(settings, name, ",".join([*most, "Frequency"])) is Verdict.REJECTED
    assert await verdict(settings, name, "") is Verdict.ACCEPTED
    assert settings.listed(name) == ()


@pytest.mark.req("R16-157")
async def test_measurand_that_no_meter_here_gives_is_refused() -> None:
    async with running() as rig:
        await rig.run_for()
        assert await verdict(rig.settings, "sampled_measurands", "Voltage") is Verdict.ACCEPTED
        assert await verdict(rig.settings, "sampled_measurands", "Voltage,Frequency") is Verdict.REJECTED
        assert await verdict(rig.settings, "stop_sampled_measurands", "Power.Factor") is Verdict.REJECTED
        assert await verdict(rig.settings, "aligned_measurands", "Power.Offered") is Verdict.ACCEPTED


async def test_phase_rotation_of_connectors_that_exist() -> None:
    async with running(fake_hardware(evses=2)) as rig:
        name = "connector_phase_rotation"
        assert await verdict(rig.settings, name, "0.rst, 1.RTS,2.NotApplicable") is Verdict.ACCEPTED
        assert rig.settings.listed(name) == ("0.RST", "1.RTS", "2.NotApplicable")
        for wrong in ("3.RST", "1.XYZ", "RST", "-1.RST"):
            assert await verdict(rig.settings, name, wrong) is Verdict.REJECTED


@pytest.mark.req("R16-328", "R16-203")
async def test_authorization_key_is_hex_of_16_to_256_bytes() -> None:
    """64 characters of UTF-8 may take that many; how many characters it may be is 2.x's to check."""
    settings, _ = opened()
    assert SETTINGS["authorization_key"].mutability is Mutability.WRITE_ONLY
    for wrong in ("00" * 15, "00" * 257, "0" * 33, "zz" * 16, ""):
        assert await verdict(settings, "authorization_key", wrong) is Verdict.REJECTED
    assert await verdict(settings, "authorization_key", "Ab" * 20) is Verdict.ACCEPTED
    assert settings.text("authorization_key") == "Ab" * 20


@pytest.mark.req("R16-313", "R16-331")
@pytest.mark.req("A00.FR.005")
async def test_security_profile_can_only_be_raised() -> None:
    settings, _ = opened()
    assert await verdict(settings, "security_profile", "0") is Verdict.REJECTED
    assert await verdict(settings, "security_profile", "2") is Verdict.ACCEPTED
    assert await verdict(settings, "security_profile", "1") is Verdict.REJECTED
    assert await verdict(settings, "security_profile", "4") is Verdict.REJECTED
    assert await verdict(settings, "security_profile", "3") is Verdict.ACCEPTED
    assert await verdict(settings, "security_profile", "3") is Verdict.REJECTED


@pytest.mark.req("R16-206")
async def test_read_only_and_unknown_settings() -> None:
    settings, _ = opened()
    assert await verdict(settings, "number_of_connectors", "5") is Verdict.REJECTED
    assert await verdict(settings, "no_such_setting", "5") is Verdict.UNKNOWN


@pytest.mark.req("R16-209")
async def test_change_is_on_disk_before_anybody_hears_of_it() -> None:
    settings, store = opened()
    heard: list[tuple[str, str, str]] = []
    settings.subscribe(lambda name, value: heard.append((name, value, store.values[name])))
    assert await verdict(settings, "connection_timeout_s", "090") is Verdict.ACCEPTED
    assert heard == [("connection_timeout_s", "90", "90")]
    again = Settings(await store.load(), store)
    assert again.integer("connection_timeout_s") == 90


async def test_change_that_cannot_be_stored_does_not_hold() -> None:
    settings, store = opened()
    store.failure = FULL
    assert await verdict(settings, "connection_timeout_s", "90") is Verdict.REJECTED
    assert settings.integer("connection_timeout_s") == 60


@pytest.mark.req("R16-201")
def test_lookup_ignores_case() -> None:
    settings, _ = opened()
    row = settings.by_key16("CONNECTIONtimeout")
    assert row is not None
    assert row.key16 == "ConnectionTimeOut"
    row = settings.by_variable("txctrlr", "evconnectiontimeout")
    assert row is not None
    assert row.name == "connection_timeout_s"
    assert settings.by_key16("ConnectionTimeOut ") is None


# --- what the hardware decides ---------------------------------------------------------------------------


@pytest.mark.req("R16-128", "R16-205", "R16-204")
async def test_hardware_decides_what_there_is() -> None:
    async with running(fake_hardware(evses=2, connectors=2, has_lock=False)) as rig:
        settings = rig.settings
        assert settings.raw("number_of_connectors") == "4"
        assert settings.raw("unlock_on_ev_side_disconnect") == "false"
        assert settings.mutability("unlock_on_ev_side_disconnect") is Mutability.READ_ONLY
        assert await verdict(settings, "unlock_on_ev_side_disconnect", "true") is Verdict.REJECTED
    async with running() as rig:
        assert rig.settings.mutability("unlock_on_ev_side_disconnect") is Mutability.READ_WRITE


async def test_what_is_not_there_is_not_shown() -> None:
    settings, _ = opened()
    settings.drop("blink_repeat")
    assert not settings.has("blink_repeat")
    assert settings.raw("blink_repeat") is None
    assert settings.by_key16("BlinkRepeat") is None
    assert await verdict(settings, "blink_repeat", "1") is Verdict.UNKNOWN


# --- from the configuration file -------------------------------------------------------------------------


async def test_file_counts_at_the_first_start_only() -> None:
    store = FakeSettingStore()
    first = await Settings.open(store, {"ConnectionTimeOut": "90", "AuthCtrlr.LocalPreAuthorize": "TRUE"})
    assert first.integer("connection_timeout_s") == 90
    assert first.flag("local_pre_authorize")
    await first.change("connection_timeout_s", "120")
    second = await Settings.open(store, {"ConnectionTimeOut": "30", "HeartbeatInterval": "10"})
    assert second.integer("connection_timeout_s") == 120
    assert second.integer("heartbeat_interval_s") == 300


async def test_file_without_settings_counts_too() -> None:
    store = FakeSettingStore()
    await Settings.open(store, {})
    second = await Settings.open(store, {"ConnectionTimeOut": "30"})
    assert second.integer("connection_timeout_s") == 60


async def test_every_error_of_the_file_is_told_at_once() -> None:
    given = {"ConnectionTimeOut": "soon", "NoSuchKey": "1", "HeartbeatInterval": "60"}
    values, problems = initial(given)
    assert values == {"heartbeat_interval_s": "60"}
    assert set(problems) == {"ConnectionTimeOut", "NoSuchKey"}
    with pytest.raises(ConfigError) as raised:
        await Settings.open(FakeSettingStore(), given)
    assert len(raised.value.problems) == 2


def test_read_only_settings_may_be_given_in_the_file() -> None:
    values, problems = initial({"GetConfigurationMaxKeys": "50"})
    assert (values, problems) == ({"get_configuration_max_keys": "50"}, {})


@given(st.sampled_from(sorted(SETTINGS)), st.text(max_size=60))
def test_what_is_accepted_is_in_its_final_spelling(name: str, text: str) -> None:
    row = SETTINGS[name]
    try:
        stored = parse(row, text)
    except ValueError:
        return
    assert parse(row, stored) == stored


async def test_a_partner_may_prefer_other_defaults_for_what_nobody_ever_set() -> None:
    settings, store = opened()
    name, register = "start_measurands", "Energy.Active.Import.Register"
    settings.prefer({name: register})
    assert settings.listed(name) == (register,)
    assert not store.saves
    settings.prefer({})
    assert settings.listed(name) == ()
    settings.prefer({name: register})
    assert await verdict(settings, name, register) is Verdict.ACCEPTED
    settings.prefer({})
    assert settings.listed(name) == (register,), "somebody wanted it so"
    assert await verdict(settings, name, "") is Verdict.ACCEPTED
    settings.prefer({name: register})
    assert settings.listed(name) == ()


@pytest.mark.req("E01.FR.04")
async def test_points_of_a_transaction_are_what_this_station_can_tell() -> None:
    async with running() as rig:
        for name in ("tx_start_point", "tx_stop_point"):
            assert await verdict(rig.settings, name, "EVConnected,Authorized") is Verdict.ACCEPTED
            for wrong in ("", "DataSigned", "ParkingBayOccupancy"):
                assert await verdict(rig.settings, name, wrong) is Verdict.REJECTED
