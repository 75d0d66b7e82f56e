"""The rules of monitors: which there are, what may be set, and when one speaks."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as changed

from agent.charging.device_model import DataType, DeviceModel, Row
from agent.charging.ids import Component, EventTrigger, MonitorOrigin, Variable
from agent.charging.monitoring import (
    Signal,
    Watch,
    active,
    fixed_monitors,
    judge,
    look,
    orphaned,
    with_base,
    with_monitor,
    without_monitor,
)
from agent.charging.monitors import (
    FIRST_CUSTOM_ID,
    Flaw,
    Installed,
    Monitor,
    MonitoringBase,
    MonitorKind,
    MonitorOrder,
    MonitorVerdict,
)
from hal.ports import EvseCapabilities
from tests.helpers import snapshots
from tests.helpers.fake_station import device_model, settings

UPPER, LOWER, DELTA = MonitorKind.UPPER_THRESHOLD, MonitorKind.LOWER_THRESHOLD, MonitorKind.DELTA
PERIODIC, ALIGNED = MonitorKind.PERIODIC, MonitorKind.PERIODIC_CLOCK_ALIGNED
CAN = EvseCapabilities(32.0, 6.0, 3, True, True, True, False, True)
MODEL: DeviceModel = device_model(settings(), snapshots.station(snapshots.evse(capabilities=CAN)))
EVSE = Component("EVSE", evse_id=1)
POWER, STATE = Variable("Power"), Variable("AvailabilityState")
FIXED = fixed_monitors(MODEL, [1])
NOTHING = Installed()


def order(kind: MonitorKind = DELTA, value: float = 1.0, **changes: Any) -> MonitorOrder:
    variable = POWER if kind in (UPPER, LOWER) else STATE
    return changed(MonitorOrder(EVSE, variable, kind, value, 5), **changes)


def row(component: Component, variable: Variable) -> Row:
    found = MODEL.find(component, variable)
    assert isinstance(found, Row)
    return found


def verdict(
    wanted: MonitorOrder, installed: Installed = NOTHING, *, has_room: bool = True
) -> tuple[MonitorVerdict, Flaw]:
    found = MODEL.find(wanted.component, wanted.variable)
    return judge(wanted, found, active(FIXED, installed), has_room=has_room)


def set_up(*orders: MonitorOrder) -> Installed:
    installed = Installed()
    for each in orders:
        assert verdict(each, installed)[0] is MonitorVerdict.ACCEPTED
        installed, _monitor = with_monitor(installed, each, row(each.component, each.variable))
    return installed


# --- those of the manufacturer ---------------------------------------------------------------------------


@pytest.mark.req("G05.FR.02")
def test_the_manufacturer_watches_problems_and_the_lock() -> None:
    watched = [(each.component.name, each.variable.name, each.origin) for each in FIXED]
    assert watched == [
        ("ConnectorPlugRetentionLock", "Problem", MonitorOrigin.HARD_WIRED),
        ("ChargingStation", "Problem", MonitorOrigin.PRECONFIGURED),
        ("EVSE", "Problem", MonitorOrigin.PRECONFIGURED),
    ]
    assert len({each.monitor_id for each in FIXED}) == 3
    without_lock = device_model(settings(), snapshots.station())
    assert len(fixed_monitors(without_lock, [1])) == 2


@pytest.mark.req("N03.FR.03", "N03.FR.04", "N03.FR.05", "TC_N_05_CS", "TC_N_06_CS")
def test_a_base_says_which_monitors_remain() -> None:
    installed = set_up(order())
    everything = active(FIXED, with_base(installed, MonitoringBase.ALL))
    assert len(everything) == 4
    assert set(active(FIXED, with_base(installed, MonitoringBase.FACTORY_DEFAULT)).values()) == set(FIXED)
    (only,) = active(FIXED, with_base(installed, MonitoringBase.HARD_WIRED_ONLY)).values()
    assert only.origin is MonitorOrigin.HARD_WIRED
    off = with_base(installed, MonitoringBase.HARD_WIRED_ONLY)
    again, monitor = with_monitor(off, order(), row(EVSE, STATE))
    assert active(FIXED, again)[monitor.monitor_id] == monitor
    assert monitor.monitor_id == FIRST_CUSTOM_ID + 1  # never the id of another one before


@pytest.mark.req("N04.FR.15", "N03.FR.04", "TC_N_41_CS")
def test_a_changed_monitor_of_the_manufacturer_is_the_csms_s_until_the_base_is_set() -> None:
    ours = FIXED[2]
    wanted = MonitorOrder(
        ours.component, ours.variable, DELTA, 1.0, ours.severity + 1, False, ours.monitor_id
    )
    installed = set_up(wanted)
    monitor = active(FIXED, installed)[ours.monitor_id]
    assert (monitor.severity, monitor.origin) == (ours.severity + 1, MonitorOrigin.CUSTOM)
    assert active(FIXED, with_base(installed, MonitoringBase.FACTORY_DEFAULT))[ours.monitor_id] == ours
    assert active(FIXED, without_monitor(installed, ours.monitor_id))[ours.monitor_id] == ours


# --- what may be set -------------------------------------------------------------------------------------


@pytest.mark.req("N04.FR.03", "N04.FR.04", "N04.FR.05", "TC_N_11_CS", "TC_N_37_CS", "TC_N_38_CS")
@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (order(component=Component("EVSE", evse_id=99)), MonitorVerdict.UNKNOWN_COMPONENT),
        (order(component=Component("NonExistent")), MonitorVerdict.UNKNOWN_COMPONENT),
        (order(variable=Variable("unknownVariable")), MonitorVerdict.UNKNOWN_VARIABLE),
        (order(UPPER, variable=STATE), MonitorVerdict.UNSUPPORTED),
        (order(component=Component("ClockCtrlr"), variable=Variable("DateTime")), MonitorVerdict.UNSUPPORTED),
    ],
)
def test_what_cannot_be_monitored(wanted: MonitorOrder, expected: MonitorVerdict) -> None:
    assert verdict(wanted)[0] is expected


@pytest.mark.req("N04.FR.06", "N04.FR.14", "TC_N_12_CS", "TC_N_13_CS")
@pytest.mark.parametrize(
    ("wanted", "flaw"),
    [
        (order(UPPER, 22_080), Flaw.NONE),
        (order(UPPER, 22_081), Flaw.OUT_OF_RANGE),
        (order(LOWER, -1), Flaw.OUT_OF_RANGE),
        (order(DELTA, -1), Flaw.NOT_POSITIVE),
        (order(DELTA, 0), Flaw.NONE),
        (order(PERIODIC, 0), Flaw.OUT_OF_RANGE),
        (order(PERIODIC, 1), Flaw.NONE),
        (order(ALIGNED, 86_401), Flaw.OUT_OF_RANGE),
        (order(severity=10), Flaw.OUT_OF_RANGE),
        (order(severity=-1), Flaw.OUT_OF_RANGE),
        (order(severity=0), Flaw.NONE),
    ],
)
def test_values_and_severities_have_their_range(wanted: MonitorOrder, flaw: Flaw) -> None:
    expected = MonitorVerdict.ACCEPTED if flaw is Flaw.NONE else MonitorVerdict.REJECTED
    assert verdict(wanted) == (expected, flaw)


@pytest.mark.req("N04.FR.10", "TC_N_10_CS", "TC_N_15_CS")
def test_there_is_one_monitor_for_each_kind_and_severity() -> None:
    installed = set_up(order(), order(severity=6), order(PERIODIC, 60))
    assert verdict(order(), installed)[0] is MonitorVerdict.DUPLICATE
    shouted = order(component=Component("evse", evse_id=1), variable=Variable("AVAILABILITYSTATE"))
    assert verdict(shouted, installed)[0] is MonitorVerdict.DUPLICATE
    assert verdict(order(severity=7), installed)[0] is MonitorVerdict.ACCEPTED
    replacing = order(monitor_id=FIRST_CUSTOM_ID, value=2.0)
    assert verdict(replacing, installed)[0] is MonitorVerdict.ACCEPTED
    assert verdict(changed(replacing, severity=6), installed)[0] is MonitorVerdict.DUPLICATE


@pytest.mark.req("N04.FR.11", "N04.FR.12", "TC_N_40_CS")
def test_a_monitor_that_is_replaced_keeps_its_id() -> None:
    installed = set_up(order(), order(severity=6), order(severity=4, monitor_id=FIRST_CUSTOM_ID))
    assert [(each.monitor_id, each.severity) for each in installed.custom] == [
        (FIRST_CUSTOM_ID + 1, 6),
        (FIRST_CUSTOM_ID, 4),
    ]


@pytest.mark.req("N04.FR.13", "N04.FR.16", "N04.FR.18", "TC_N_39_CS")
def test_what_cannot_be_replaced() -> None:
    installed = set_up(order())
    assert verdict(order(monitor_id=4711), installed) == (MonitorVerdict.REJECTED, Flaw.NOT_FOUND)
    other = order(UPPER, monitor_id=FIRST_CUSTOM_ID, component=Component("ChargingStation"))
    assert verdict(other, installed) == (MonitorVerdict.REJECTED, Flaw.INVALID)
    lock = FIXED[0]
    wired = MonitorOrder(lock.component, lock.variable, DELTA, 1.0, 5, False, lock.monitor_id)
    assert verdict(wired, installed) == (MonitorVerdict.REJECTED, Flaw.READ_ONLY)


def test_there_is_room_for_so_many() -> None:
    installed = set_up(order())
    assert verdict(order(severity=3), installed, has_room=False) == (MonitorVerdict.REJECTED, Flaw.NO_ROOM)
    replacing = order(severity=3, monitor_id=FIRST_CUSTOM_ID)
    assert verdict(replacing, installed, has_room=False)[0] is MonitorVerdict.ACCEPTED


@pytest.mark.req("N07.FR.10", "TC_N_48_CS")
def test_of_a_secret_only_changes_can_be_monitored() -> None:
    place = {"component": Component("SecurityCtrlr"), "variable": Variable("BasicAuthPassword")}
    assert verdict(order(**place))[0] is MonitorVerdict.ACCEPTED
    assert verdict(order(PERIODIC, 60, **place))[0] is MonitorVerdict.UNSUPPORTED


def test_a_monitor_goes_with_its_variable() -> None:
    installed = set_up(order(), order(UPPER, 100))
    smaller = DeviceModel(tuple(each for each in MODEL.rows if each.variable != POWER))
    (gone,) = orphaned(installed, smaller)
    assert gone.variable == POWER
    assert orphaned(installed, MODEL) == ()


# --- when one speaks -------------------------------------------------------------------------------------


def said(kind: MonitorKind, value: float, data_type: DataType, *seen: str) -> list[Signal | None]:
    """What a fresh monitor says to each of these values."""
    monitor = Monitor(1, EVSE, POWER, kind, value, 5)
    watch, signals = Watch(), []
    for actual in seen:
        watch, signal = look(monitor, watch, actual, data_type)
        signals.append(signal)
    return signals


ALERT, BACK, CHANGE = (
    Signal(EventTrigger.ALERTING),
    Signal(EventTrigger.ALERTING, is_cleared=True),
    Signal(EventTrigger.DELTA),
)


@pytest.mark.req("N07.FR.02", "N07.FR.16", "N07.FR.17", "TC_N_20_CS")
def test_a_threshold_speaks_when_it_is_crossed() -> None:
    decimal = DataType.DECIMAL
    assert said(UPPER, 100, decimal, "99", "100", "100.1", "200", "", "100", "50", "101") == [
        None, None, ALERT, None, None, BACK, None, ALERT,
    ]  # fmt: skip
    assert said(LOWER, 10, decimal, "10", "9.9", "0", "10") == [None, ALERT, None, BACK]
    assert said(UPPER, 100, decimal, "101") == [ALERT]


@pytest.mark.req("N07.FR.18", "N07.FR.19", "TC_N_45_CS", "TC_N_56_CS", "TC_N_61_CS")
def test_a_delta_speaks_when_the_value_is_another_one() -> None:
    assert said(DELTA, 1, DataType.INTEGER, "300", "301", "302", "301", "300") == [
        None, None, CHANGE, None, CHANGE,
    ]  # fmt: skip
    assert said(DELTA, 99, DataType.OPTION_LIST, "Available", "Occupied", "Occupied", "Available") == [
        None, CHANGE, None, CHANGE,
    ]  # fmt: skip
    assert said(DELTA, 60, DataType.DATE_TIME, "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z") == [None] * 2
    later = "2026-01-01T00:01:01Z"
    assert said(DELTA, 60, DataType.DATE_TIME, "2026-01-01T00:00:00Z", later) == [None, CHANGE]
    assert said(DELTA, 1, DataType.STRING, "", "a", "") == [None, CHANGE, CHANGE]
    assert said(PERIODIC, 1, DataType.INTEGER, "1", "100") == [None, None]


@given(
    threshold=st.integers(-50, 50),
    values=st.lists(st.integers(-100, 100), max_size=30),
    kind=st.sampled_from((UPPER, LOWER)),
)
def test_alerts_and_all_clears_take_turns(threshold: int, values: list[int], kind: MonitorKind) -> None:
    spoken = [each for each in said(kind, threshold, DataType.INTEGER, *map(str, values)) if each]
    assert [each.is_cleared for each in spoken] == [number % 2 == 1 for number in range(len(spoken))]
    is_beyond = [value > threshold if kind is UPPER else value < threshold for value in values]
    assert (len(spoken) % 2 == 1) == bool(is_beyond and is_beyond[-1])


@given(least=st.integers(0, 20), values=st.lists(st.integers(-100, 100), min_size=1, max_size=30))
def test_a_delta_never_misses_how_far_the_value_went(least: int, values: list[int]) -> None:
    """Between two words of the monitor the value is never further away than allowed."""
    reference = values[0]
    for value, signal in zip(values, said(DELTA, least, DataType.INTEGER, *map(str, values)), strict=True):
        assert (signal is not None) == (abs(value - reference) > least)
        if signal is not None:
            reference = value
