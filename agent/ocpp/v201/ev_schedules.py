"""NotifyEVChargingNeeds and NotifyEVChargingSchedule of OCPP 2.0.1: what an EV wants by ISO 15118.

This station has no ISO 15118 stack and sends neither; the payloads stand here for who adds one.
OCPP 2.0.1 part 2, K15 to K17.
"""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType, field

from agent.ocpp.v201.charging_profiles import ChargingSchedule
from agent.ocpp.v201.datatypes import CsmsAnswer, GenericStatusName, Payload, StatusInfo
from agent.ocpp.values import Integer32


class AcChargingParameters(Payload, frozen=True, kw_only=True):
    """Datatype 2.1."""

    energy_amount: Integer32
    ev_min_current: Integer32
    ev_max_current: Integer32
    ev_max_voltage: Integer32


class DcChargingParameters(Payload, frozen=True, kw_only=True):
    """Datatype 2.21."""

    ev_max_current: Integer32
    ev_max_voltage: Integer32
    energy_amount: Integer32 | UnsetType = UNSET
    ev_max_power: Integer32 | UnsetType = UNSET
    state_of_charge: Annotated[int, Meta(ge=0, le=100)] | UnsetType = UNSET
    ev_energy_capacity: Integer32 | UnsetType = UNSET
    full_soc: Annotated[int, Meta(ge=0, le=100)] | UnsetType = field(default=UNSET, name="fullSoC")
    bulk_soc: Annotated[int, Meta(ge=0, le=100)] | UnsetType = field(default=UNSET, name="bulkSoC")


class ChargingNeeds(Payload, frozen=True, kw_only=True):
    """Datatype 2.8."""

    requested_energy_transfer: Literal["DC", "AC_single_phase", "AC_two_phase", "AC_three_phase"]
    ac_charging_parameters: AcChargingParameters | UnsetType = UNSET
    dc_charging_parameters: DcChargingParameters | UnsetType = UNSET
    departure_time: datetime | UnsetType = UNSET


class NotifyEVChargingNeedsRequest(Payload, frozen=True, kw_only=True):
    charging_needs: ChargingNeeds
    evse_id: Integer32
    max_schedule_tuples: Integer32 | UnsetType = UNSET


class NotifyEVChargingNeedsResponse(CsmsAnswer, frozen=True, kw_only=True):
    status: Literal["Accepted", "Rejected", "Processing"]
    status_info: StatusInfo | UnsetType = UNSET


class NotifyEVChargingScheduleRequest(Payload, frozen=True, kw_only=True):
    time_base: datetime
    charging_schedule: ChargingSchedule
    evse_id: Integer32


class NotifyEVChargingScheduleResponse(CsmsAnswer, frozen=True, kw_only=True):
    status: GenericStatusName
    status_info: StatusInfo | UnsetType = UNSET
