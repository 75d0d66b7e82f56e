"""Every variable that the specification demands is there, and says what is."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from agent.charging.device_model import (
    Component,
    DataType,
    DeviceModel,
    Present,
    Row,
    Unknown,
    Variable,
    mutability_of,
    path,
)
from agent.charging.device_variables import GAUGES, PROBLEMS, TRIPPED, build, shape
from agent.charging.setting import Mutability
from agent.charging.snapshot import ActiveFault, StationSnapshot
from hal.ports import ContactorState, EvseCapabilities, MeterReading
from tests.helpers import snapshots
from tests.helpers.fake_station import NOW, PLATE, device_model, settings

R, RW, W = Mutability.READ_ONLY, Mutability.READ_WRITE, Mutability.WRITE_ONLY
INTEGER, BOOLEAN, STRING = DataType.INTEGER, DataType.BOOLEAN, DataType.STRING
MEMBERS, OPTIONS, SEQUENCE = DataType.MEMBER_LIST, DataType.OPTION_LIST, DataType.SEQUENCE_LIST

REQUIRED: Mapping[str, tuple[DataType, Mutability]] = {
    "AlignedDataCtrlr.Interval": (INTEGER, RW),
    "AlignedDataCtrlr.Measurands": (MEMBERS, RW),
    "AlignedDataCtrlr.TxEndedInterval": (INTEGER, RW),
    "AlignedDataCtrlr.TxEndedMeasurands": (MEMBERS, RW),
    "AuthCtrlr.AuthorizeRemoteStart": (BOOLEAN, RW),
    "AuthCtrlr.LocalAuthorizeOffline": (BOOLEAN, RW),
    "AuthCtrlr.LocalPreAuthorize": (BOOLEAN, RW),
    "ChargingStation.AvailabilityState": (OPTIONS, R),
    "ChargingStation.Available": (BOOLEAN, R),
    "ChargingStation.SupplyPhases": (INTEGER, R),
    "ClockCtrlr.DateTime": (DataType.DATE_TIME, R),
    "ClockCtrlr.TimeSource": (SEQUENCE, RW),
    "Connector#1.1.Available": (BOOLEAN, R),
    "Connector#1.1.ConnectorType": (STRING, R),
    "Connector#1.1.SupplyPhases": (INTEGER, R),
    "DeviceDataCtrlr.BytesPerMessage.GetReport": (INTEGER, R),
    "DeviceDataCtrlr.BytesPerMessage.GetVariables": (INTEGER, R),
    "DeviceDataCtrlr.BytesPerMessage.SetVariables": (INTEGER, R),
    "DeviceDataCtrlr.ItemsPerMessage.GetReport": (INTEGER, R),
    "DeviceDataCtrlr.ItemsPerMessage.GetVariables": (INTEGER, R),
    "DeviceDataCtrlr.ItemsPerMessage.SetVariables": (INTEGER, R),
    "DisplayMessageCtrlr.DisplayMessages": (INTEGER, R),
    "DisplayMessageCtrlr.SupportedFormats": (MEMBERS, R),
    "DisplayMessageCtrlr.SupportedPriorities": (MEMBERS, R),
    "EVSE#1.AvailabilityState": (OPTIONS, R),
    "EVSE#1.Available": (BOOLEAN, R),
    "EVSE#1.Power": (DataType.DECIMAL, R),
    "EVSE#1.SupplyPhases": (INTEGER, R),
    "LocalAuthListCtrlr.BytesPerMessage": (INTEGER, R),
    "LocalAuthListCtrlr.Entries": (INTEGER, R),
    "LocalAuthListCtrlr.ItemsPerMessage": (INTEGER, R),
    "MonitoringCtrlr.BytesPerMessage.SetVariableMonitoring": (INTEGER, R),
    "MonitoringCtrlr.ItemsPerMessage.SetVariableMonitoring": (INTEGER, R),
    "OCPPCommCtrlr.ActiveNetworkProfile": (INTEGER, R),
    "OCPPCommCtrlr.FileTransferProtocols": (MEMBERS, R),
    "OCPPCommCtrlr.MessageTimeout.Default": (INTEGER, R),
    "OCPPCommCtrlr.MessageAttemptInterval.TransactionEvent": (INTEGER, RW),
    "OCPPCommCtrlr.MessageAttempts.TransactionEvent": (INTEGER, RW),
    "OCPPCommCtrlr.NetworkConfigurationPriority": (DataType.SEQUENCE_LIST, RW),
    "OCPPCommCtrlr.NetworkProfileConnectionAttempts": (INTEGER, RW),
    "OCPPCommCtrlr.OfflineThreshold": (INTEGER, RW),
    "OCPPCommCtrlr.ResetRetries": (INTEGER, RW),
    "OCPPCommCtrlr.RetryBackOffRepeatTimes": (INTEGER, RW),
    "OCPPCommCtrlr.RetryBackOffRandomRange": (INTEGER, RW),
    "OCPPCommCtrlr.RetryBackOffWaitMinimum": (INTEGER, RW),
    "OCPPCommCtrlr.UnlockOnEVSideDisconnect": (BOOLEAN, RW),
    "OCPPCommCtrlr.WebSocketPingInterval": (INTEGER, RW),
    "SampledDataCtrlr.TxEndedInterval": (INTEGER, RW),
    "SampledDataCtrlr.TxEndedMeasurands": (MEMBERS, RW),
    "SampledDataCtrlr.TxStartedMeasurands": (MEMBERS, RW),
    "SampledDataCtrlr.TxUpdatedInterval": (INTEGER, RW),
    "SampledDataCtrlr.TxUpdatedMeasurands": (MEMBERS, RW),
    "SecurityCtrlr.CertificateEntries": (INTEGER, R),
    "SecurityCtrlr.OrganizationName": (STRING, RW),
    "SecurityCtrlr.SecurityProfile": (INTEGER, R),
    "SmartChargingCtrlr.Entries.ChargingProfiles": (INTEGER, R),
    "SmartChargingCtrlr.LimitChangeSignificance": (DataType.DECIMAL, RW),
    "SmartChargingCtrlr.PeriodsPerSchedule": (INTEGER, R),
    "SmartChargingCtrlr.ProfileStackLevel": (INTEGER, R),
    "SmartChargingCtrlr.RateUnit": (MEMBERS, R),
    "TariffCostCtrlr.Currency": (STRING, RW),
    "TariffCostCtrlr.TariffFallbackMessage": (STRING, RW),
    "TariffCostCtrlr.TotalCostFallbackMessage": (STRING, RW),
    "TxCtrlr.EVConnectionTimeOut": (INTEGER, RW),
    "TxCtrlr.StopTxOnEVSideDisconnect": (BOOLEAN, RW),
    "TxCtrlr.StopTxOnInvalidId": (BOOLEAN, RW),
}
"""Appendix 3, part 4 chapter 8 and errata 2.57, without ISO15118Ctrlr, which this station does not have. The points of
TxCtrlr may be read-only or not."""

CAN = EvseCapabilities(32.0, 6.0, 3, True, True, True, False, True)
KEPT = settings()


def model(picture: StationSnapshot) -> DeviceModel:
    return device_model(KEPT, picture)


def by_path(picture: StationSnapshot) -> dict[str, Row]:
    return {path(row.component, row.variable): row for row in model(picture).rows}


def value(picture: StationSnapshot, name: str) -> str:
    return by_path(picture)[name].read(Present(KEPT, picture, NOW))


@pytest.mark.req("B07.FR.08", "TC_B_53_CS")
@pytest.mark.parametrize("name", REQUIRED)
def test_every_required_variable_is_there_as_demanded(name: str) -> None:
    row = by_path(snapshots.station())[name]
    assert (row.data_type, mutability_of(row, KEPT)) == REQUIRED[name]


@pytest.mark.req("TC_B_53_CS")
def test_points_of_a_transaction_are_lists() -> None:
    rows = by_path(snapshots.station())
    assert rows["TxCtrlr.TxStartPoint"].data_type is MEMBERS
    assert rows["TxCtrlr.TxStopPoint"].data_type is MEMBERS


def test_every_row_can_be_read_and_monitored_as_its_type_says() -> None:
    picture = snapshots.station(snapshots.charging(capabilities=CAN), snapshots.evse(2))
    for row in model(picture).rows:
        text = row.read(Present(KEPT, picture, NOW))
        if not text:
            continue
        match row.data_type:
            case DataType.INTEGER:
                int(text)
            case DataType.DECIMAL:
                float(text)
            case DataType.BOOLEAN:
                assert text in ("true", "false")
            case DataType.OPTION_LIST | DataType.MEMBER_LIST | DataType.SEQUENCE_LIST:
                assert set(text.split(",")) <= set(row.choices), path(row.component, row.variable)
            case DataType.STRING | DataType.DATE_TIME:
                assert len(text) <= 2500


def test_names_fit_into_a_message() -> None:
    for row in model(snapshots.station(snapshots.evse(capabilities=CAN))).rows:
        for name in (row.component.name, row.component.instance, row.variable.name, row.variable.instance):
            assert name is None or 1 <= len(name) <= 50, path(row.component, row.variable)
        assert len(row.unit) <= 16
        assert len(",".join(row.choices)) <= 1000


def test_a_variable_cannot_be_there_twice() -> None:
    row = model(snapshots.station()).rows[0]
    again = replace(row, component=Component(row.component.name.upper()))
    with pytest.raises(ValueError, match="twice"):
        DeviceModel((row, again))


def test_capacity_is_the_highest_value_of_a_number_of_entries() -> None:
    rows = by_path(snapshots.station())
    assert rows["LocalAuthListCtrlr.Entries"].most == 10_000
    assert rows["SmartChargingCtrlr.Entries.ChargingProfiles"].most == 200
    assert rows["SecurityCtrlr.CertificateEntries"].most == 32


def test_a_gauge_that_nobody_provides_is_not_there() -> None:
    picture = snapshots.station()
    without = build(KEPT, picture, PLATE, {"LocalAuthListCtrlr.Entries": lambda: "3"})
    assert without.find(Component("LocalAuthListCtrlr"), Variable("Entries")) is not Unknown.VARIABLE
    assert without.find(Component("SecurityCtrlr"), Variable("CertificateEntries")) is Unknown.VARIABLE
    assert all(name in by_path(picture) for name in GAUGES)


def test_sizes_are_told_as_limits_too() -> None:
    """Part 2, 2.1.20, 2.1.21, 2.2.2, 2.2.7: the table demands maxLimit."""
    rows = by_path(snapshots.station())
    assert rows["DeviceDataCtrlr.ConfigurationValueSize"].most == 1000
    assert rows["DeviceDataCtrlr.ReportingValueSize"].most == 2500
    assert rows["SecurityCtrlr.Identity"].most == 48
    assert rows["SecurityCtrlr.MaxCertificateChainSize"].most == 10_000


@pytest.mark.req("B11.FR.10")
def test_every_evse_says_that_it_can_be_reset_by_itself() -> None:
    two = snapshots.station(snapshots.evse(1), snapshots.evse(2))
    assert value(two, "EVSE#1.AllowReset") == value(two, "EVSE#2.AllowReset") == "true"


def test_what_the_hardware_has_is_there_and_nothing_else() -> None:
    socket = snapshots.station(snapshots.evse(capabilities=CAN))
    cable = snapshots.station(
        snapshots.evse(capabilities=replace(CAN, has_lock=False, has_rcd=False, phases=1), has_meter=False)
    )
    assert value(socket, "Connector#1.1.ConnectorType") == "sType2"
    assert value(cable, "Connector#1.1.ConnectorType") == "cType2"
    assert value(cable, "EVSE#1.SupplyPhases") == value(cable, "ChargingStation.SupplyPhases") == "1"
    assert "ConnectorPlugRetentionLock#1.1.Problem" in by_path(socket)
    missing = {"ConnectorPlugRetentionLock#1.1.Problem", "RCD#1.Tripped", "FiscalMetering#1.Problem"}
    assert missing & set(by_path(cable)) == set()
    assert by_path(socket)["EVSE#1.Power"].most == 32 * 3 * 230
    assert shape(socket) != shape(cable)


def test_power_is_that_of_the_meter_and_none_with_an_open_contactor() -> None:
    reading = MeterReading(1.0, energy_import_wh=1234.5, power_w=7321.24, current_a=(10.0, None, None))
    flowing = snapshots.station(snapshots.charging(reading=reading))
    assert value(flowing, "EVSE#1.Power") == "7321.2"
    assert value(flowing, "EVSE#1.ACCurrent.L1") == "10.00"
    assert value(flowing, "EVSE#1.ACCurrent.L2") == ""
    assert value(flowing, "FiscalMetering#1.EnergyImportRegister") == "1234"
    opened = snapshots.station(snapshots.charging(reading=reading, contactor=ContactorState.OPEN))
    assert value(opened, "EVSE#1.Power") == "0.0"
    assert value(snapshots.station(snapshots.charging()), "EVSE#1.Power") == ""


@pytest.mark.parametrize("code", sorted({code for codes in PROBLEMS.values() for code in codes}))
def test_a_fault_is_a_problem_of_its_part_and_of_the_evse(code: str) -> None:
    picture = snapshots.station(
        snapshots.evse(capabilities=CAN, faults=(ActiveFault(code, snapshots.T0),)), snapshots.evse(2)
    )
    wrong = [name for name in by_path(picture) if name.endswith("Problem") and value(picture, name) == "true"]
    (part,) = [name for name, codes in PROBLEMS.items() if code in codes]
    assert wrong[:2] == ["ChargingStation.Problem", "EVSE#1.Problem"]
    assert wrong[2].startswith(f"{part}#1")
    assert len(wrong) == 3


@pytest.mark.parametrize("part", TRIPPED)
def test_what_somebody_has_to_put_back_is_tripped(part: str) -> None:
    (code, *_others) = sorted(TRIPPED[part])
    picture = snapshots.station(snapshots.evse(faults=(ActiveFault(code, snapshots.T0),)))
    assert value(picture, f"{part}#1.Tripped") == "true"
    assert value(snapshots.station(), f"{part}#1.Tripped") == "false"
