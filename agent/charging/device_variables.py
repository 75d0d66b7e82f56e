"""Which variables a station has: its settings, and what can be read of station, EVSEs, connectors and their parts.

Pure; built from a picture of the station, so that a test needs no station. What others own (how many certificates are
installed, which network profile is in use) comes as gauges. Nothing here can be written: that is what settings are for.
OCPP 2.0.1 appendix 3 (components and variables); part 1 chapter 4.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from agent.charging.availability import RESET_FAULT, STORE_FAULT
from agent.charging.device_model import (
    Component,
    DataType,
    DeviceModel,
    Nameplate,
    Present,
    Read,
    Row,
    Variable,
    of_setting,
)
from agent.charging.ids import ConnectorId, EvseId
from agent.charging.occupancy import (
    AvailabilityState,
    connector_state,
    connector_type,
    evse_state,
    station_state,
)
from agent.charging.settings import Settings
from agent.charging.snapshot import EvseSnapshot, StationSnapshot
from hal.ports import ContactorState, EvseCapabilities, FaultCode, MeterReading

STATION = Component("ChargingStation")
LOCK = "ConnectorPlugRetentionLock"

PROBLEMS: Mapping[str, frozenset[str]] = {
    "RCD": frozenset({FaultCode.RCD_SELF_TEST}),
    "PowerContactor": frozenset({FaultCode.CONTACTOR_WELDED, FaultCode.CONTACTOR_NO_CLOSE}),
    "CPPWMController": frozenset({FaultCode.CP_DIODE, FaultCode.CP_RANGE, FaultCode.PP_RANGE}),
    LOCK: frozenset({FaultCode.LOCK_FAIL, FaultCode.UNLOCK_FAIL}),
    "ElectricalFeed": frozenset({FaultCode.OVER_VOLTAGE, FaultCode.UNDER_VOLTAGE}),
    "OverCurrentProtection": frozenset({FaultCode.OVER_CURRENT}),
    "TemperatureSensor": frozenset({FaultCode.TEMP_WARN, FaultCode.TEMP_STOP}),
    "Controller": frozenset({FaultCode.BOARD_COMM, FaultCode.FIRMWARE_INCOMPATIBLE}),
    "FiscalMetering": frozenset({FaultCode.METER_COMM, FaultCode.METER_IMPLAUSIBLE}),
}
"""Parts of an EVSE -> the faults that are a problem of theirs. What is in none of them is the EVSE's own."""
TRIPPED: Mapping[str, frozenset[str]] = {
    "RCD": frozenset({FaultCode.RCD_DC, FaultCode.RCD_AC}),
    "EmergencyStopSensor": frozenset({FaultCode.EMERGENCY_STOP}),
}
"""Parts of an EVSE -> the faults after which somebody has to put them back."""
IDENTITY_LIMIT = 48
"""Characters that the name of a station has at most (part 2, 2.2.2)."""
CONTROLLER_PROBLEMS = frozenset({STORE_FAULT, RESET_FAULT})


@dataclass(frozen=True, slots=True)
class Gauge:
    """A number or word that somebody else owns. Its highest value is the setting whose `limit_of` names it."""

    path: str
    data_type: DataType
    choices: tuple[str, ...] = ()
    most: float | None = None
    is_constant: bool = False


GAUGES: Mapping[str, Gauge] = {
    gauge.path: gauge
    for gauge in (
        Gauge("AuthCacheCtrlr.Available", DataType.BOOLEAN, is_constant=True),
        Gauge("DisplayMessageCtrlr.Available", DataType.BOOLEAN, is_constant=True),
        Gauge("DisplayMessageCtrlr.DisplayMessages", DataType.INTEGER),
        Gauge("LocalAuthListCtrlr.Available", DataType.BOOLEAN, is_constant=True),
        Gauge("LocalAuthListCtrlr.Entries", DataType.INTEGER),
        Gauge("MonitoringCtrlr.Available", DataType.BOOLEAN, is_constant=True),
        Gauge(
            "MonitoringCtrlr.ActiveMonitoringBase",
            DataType.OPTION_LIST,
            ("All", "FactoryDefault", "HardWiredOnly"),
        ),
        Gauge("MonitoringCtrlr.ActiveMonitoringLevel", DataType.INTEGER, most=9),
        Gauge("OCPPCommCtrlr.ActiveNetworkProfile", DataType.INTEGER),
        Gauge("ReservationCtrlr.Available", DataType.BOOLEAN, is_constant=True),
        Gauge("SecurityCtrlr.CertificateEntries", DataType.INTEGER),
        Gauge("SmartChargingCtrlr.Available", DataType.BOOLEAN, is_constant=True),
        Gauge("SmartChargingCtrlr.Entries.ChargingProfiles", DataType.INTEGER),
        Gauge("TariffCostCtrlr.Available.Cost", DataType.BOOLEAN, is_constant=True),
        Gauge("TariffCostCtrlr.Available.Tariff", DataType.BOOLEAN, is_constant=True),
    )
}


def build(
    settings: Settings,
    picture: StationSnapshot,
    plate: Nameplate,
    gauges: Mapping[str, Callable[[], str]],
) -> DeviceModel:
    """The model of a station that looks like `picture`; a gauge that nobody provides is not there."""
    rows = [*_station(picture, plate), *_controllers(plate)]
    rows += [_of_gauge(gauge, settings, gauges[path]) for path, gauge in GAUGES.items() if path in gauges]
    rows += [of_setting(setting) for setting in settings.rows() if setting.path2 is not None]
    for evse_id, evse in sorted(picture.evses.items()):
        rows += _evse(evse_id, evse, settings)
        rows += [row for each in range(1, evse.connectors + 1) for row in _connector(evse_id, each, evse)]
    return DeviceModel(tuple(rows))


def shape(picture: StationSnapshot) -> tuple[object, ...]:
    """What a model depends on; with another shape it has to be built anew."""
    evses = tuple(
        (evse_id, evse.connectors, evse.capabilities, evse.has_meter, evse.hardware.temperature_c is None)
        for evse_id, evse in sorted(picture.evses.items())
    )
    return (evses, picture.has_main_meter)


# --- short ways to write a row -----------------------------------------------------------------------------


def _fact(component: Component, name: str, data_type: DataType, read: Read, **more: object) -> Row:
    return Row(component=component, variable=Variable(name), data_type=data_type, read=read, **more)  # type: ignore[arg-type]


def _text(component: Component, name: str, text: str) -> Row:
    """What never changes while the station runs."""
    return _fact(component, name, DataType.STRING, lambda _: text, is_constant=True)


def _number(component: Component, name: str, value: int) -> Row:
    return _fact(component, name, DataType.INTEGER, lambda _: str(value), is_constant=True)


def _flag(component: Component, name: str, holds: Callable[[Present], bool]) -> Row:
    return _fact(component, name, DataType.BOOLEAN, lambda present: "true" if holds(present) else "false")


def _always(component: Component, name: str) -> Row:
    return _fact(component, name, DataType.BOOLEAN, lambda _: "true", is_constant=True)


def _availability(component: Component, state: Callable[[Present], AvailabilityState]) -> Row:
    return _fact(
        component,
        "AvailabilityState",
        DataType.OPTION_LIST,
        lambda present: state(present).value,
        choices=tuple(AvailabilityState),
    )


def _of_gauge(gauge: Gauge, settings: Settings, read: Callable[[], str]) -> Row:
    component, name, instance = [*gauge.path.split("."), ""][:3]
    limits = [row.name for row in settings.rows() if row.limit_of == gauge.path]
    most = float(settings.integer(limits[0])) if limits else gauge.most
    return Row(
        component=Component(component),
        variable=Variable(name, instance or None),
        data_type=gauge.data_type,
        read=lambda _: read(),
        least=0 if gauge.data_type is DataType.INTEGER else None,
        most=most,
        choices=gauge.choices,
        is_constant=gauge.is_constant,
    )


# --- the station -------------------------------------------------------------------------------------------


def _station(picture: StationSnapshot, plate: Nameplate) -> Iterator[Row]:
    yield _availability(STATION, lambda present: station_state(present.station))
    yield _always(STATION, "Available")
    yield _flag(STATION, "Enabled", lambda present: present.station.is_operative)
    yield _flag(STATION, "Problem", _has_problem)
    phases = max((_phases(evse.capabilities) for evse in picture.evses.values()), default=0)
    yield _number(STATION, "SupplyPhases", phases)
    for name, text in (
        ("Model", plate.model),
        ("SerialNumber", plate.serial_number),
        ("VendorName", plate.vendor),
    ):
        if text:
            yield _text(STATION, name, text)


def _has_problem(present: Present) -> bool:
    return bool(present.station.faults) or any(evse.faults for evse in present.station.evses.values())


def _controllers(plate: Nameplate) -> Iterator[Row]:
    controller = Component("Controller")
    if plate.firmware_version:
        yield _text(controller, "FirmwareVersion", plate.firmware_version)
    yield _flag(
        controller, "Problem", lambda present: _codes(present.station.faults) & CONTROLLER_PROBLEMS != set()
    )
    if plate.identity:
        identity = _text(Component("SecurityCtrlr"), "Identity", plate.identity)
        yield replace(identity, most=IDENTITY_LIMIT)
    yield _fact(
        Component("ClockCtrlr"),
        "DateTime",
        DataType.DATE_TIME,
        lambda present: present.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        supports_monitoring=False,
    )
    for name, limit in (("ConfigurationValueSize", 1000), ("ReportingValueSize", 2500)):
        yield replace(_number(Component("DeviceDataCtrlr"), name, limit), most=limit)
    for name in ("AlignedDataCtrlr", "SampledDataCtrlr"):
        yield _always(Component(name), "Available")


def _codes(faults: tuple[object, ...]) -> set[str]:
    return {str(getattr(fault, "code", "")) for fault in faults}


# --- an EVSE and its parts ---------------------------------------------------------------------------------


def _evse(evse_id: EvseId, evse: EvseSnapshot, settings: Settings) -> Iterator[Row]:
    component = Component("EVSE", evse_id=evse_id)
    can = evse.capabilities
    yield _availability(component, lambda present: evse_state(present.station.evses[evse_id]))
    yield _always(component, "Available")
    yield _flag(component, "Enabled", lambda present: present.station.evses[evse_id].is_operative)
    yield _flag(component, "Problem", lambda present: bool(present.station.evses[evse_id].faults))
    yield _number(component, "SupplyPhases", _phases(can))
    yield _always(component, "AllowReset")  # B11.FR.10
    yield _fact(
        component,
        "Power",
        DataType.DECIMAL,
        partial(_power, evse_id),
        unit="W",
        least=0,
        most=_most_power_w(can, settings),
        is_measured=True,
    )
    if evse.has_meter:
        yield from _measured(component, evse_id)
    if evse.hardware.temperature_c is not None:
        yield _fact(
            Component("TemperatureSensor", evse_id=evse_id),
            "Temperature",
            DataType.DECIMAL,
            lambda present: _decimal(present.station.evses[evse_id].hardware.temperature_c, 1),
            unit="Celsius",
        )
    yield _fact(
        Component("CPPWMController", evse_id=evse_id),
        "State",
        DataType.STRING,
        lambda present: present.station.evses[evse_id].hardware.pilot.value,
        most=1,
    )
    yield from _parts(evse_id, evse)


def _measured(component: Component, evse_id: EvseId) -> Iterator[Row]:
    """What the meter of an EVSE said last; monitored, it is read for it."""
    for number in range(3):
        for name, unit, digits, pick in (
            ("ACCurrent", "A", 2, _current),
            ("ACVoltage", "V", 1, _voltage),
        ):
            yield Row(
                component=component,
                variable=Variable(name, f"L{number + 1}"),
                data_type=DataType.DECIMAL,
                read=partial(_reading, evse_id, partial(pick, number), digits),
                unit=unit,
                is_measured=True,
            )
    yield _fact(
        Component("FiscalMetering", evse_id=evse_id),
        "EnergyImportRegister",
        DataType.DECIMAL,
        partial(_reading, evse_id, lambda reading: reading.energy_import_wh, 0),
        unit="Wh",
        is_measured=True,
    )


def _current(number: int, reading: MeterReading) -> float | None:
    return reading.current_a[number]


def _voltage(number: int, reading: MeterReading) -> float | None:
    return reading.voltage_v[number]


def _reading(
    evse_id: EvseId, pick: Callable[[MeterReading], float | None], digits: int, present: Present
) -> str:
    reading = present.station.evses[evse_id].reading
    return "" if reading is None else _decimal(pick(reading), digits)


def _power(evse_id: EvseId, present: Present) -> str:
    """Of the last reading; with an open contactor nothing flows, whatever was read last."""
    evse = present.station.evses[evse_id]
    if evse.hardware.contactor is ContactorState.OPEN:
        return "0.0"
    return "" if evse.reading is None else _decimal(evse.reading.power_w, 1)


def _decimal(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _phases(can: EvseCapabilities | None) -> int:
    return 3 if can is None else can.phases


def _most_power_w(can: EvseCapabilities | None, settings: Settings) -> float | None:
    if can is None:
        return None
    return can.max_current_a * can.phases * settings.integer("supply_voltage_v")


def _parts(evse_id: EvseId, evse: EvseSnapshot) -> Iterator[Row]:
    """What can fail by itself. A part that the hardware does not have is not there."""
    can = evse.capabilities
    has = {"RCD": can is None or can.has_rcd, LOCK: can is not None and can.has_lock}
    has["FiscalMetering"] = evse.has_meter
    for name in sorted(PROBLEMS.keys() | TRIPPED.keys()):
        if not has.get(name, True):
            continue
        part = Component(name, evse_id=evse_id, connector_id=1 if name == LOCK else None)
        if name in PROBLEMS:
            yield _flag(part, "Problem", partial(_has_fault, evse_id, PROBLEMS[name]))
        if name in TRIPPED:
            yield _flag(part, "Tripped", partial(_has_fault, evse_id, TRIPPED[name]))
    if has[LOCK]:
        yield _flag(
            Component(LOCK, evse_id=evse_id, connector_id=1),
            "Active",
            lambda present: bool(present.station.evses[evse_id].hardware.locked),
        )
    yield _flag(
        Component("PowerContactor", evse_id=evse_id),
        "Active",
        lambda present: present.station.evses[evse_id].hardware.contactor is ContactorState.CLOSED,
    )


def _has_fault(evse_id: EvseId, codes: frozenset[str], present: Present) -> bool:
    return not _codes(present.station.evses[evse_id].faults).isdisjoint(codes)


def _connector(evse_id: EvseId, connector_id: ConnectorId, evse: EvseSnapshot) -> Iterator[Row]:
    component = Component("Connector", evse_id=evse_id, connector_id=connector_id)
    can = evse.capabilities
    yield _availability(
        component, lambda present: connector_state(present.station.evses[evse_id], connector_id)
    )
    yield _always(component, "Available")
    yield _flag(
        component,
        "Enabled",
        lambda present: connector_id not in present.station.evses[evse_id].inoperative_connectors,
    )
    yield _text(component, "ConnectorType", connector_type(can))
    yield _number(component, "SupplyPhases", _phases(can))
