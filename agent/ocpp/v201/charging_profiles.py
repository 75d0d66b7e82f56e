"""A charging profile as the payloads of OCPP 2.0.1 carry it.

Used by `smart_charging.py` and `remote_control.py`; pure. OCPP 2.0.1 part 2,
datatypes 2.10 to 2.12, 2.19, 2.20, 2.37 to 2.40.
"""

from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, UnsetType

from agent.ocpp.v201.datatypes import Payload, Text32, Text36
from agent.ocpp.values import Integer32, Integer64

ChargingProfilePurposeName: TypeAlias = Literal[
    "ChargingStationExternalConstraints", "ChargingStationMaxProfile", "TxDefaultProfile", "TxProfile"
]
ChargingRateUnitName: TypeAlias = Literal["W", "A"]
CostKindName: TypeAlias = Literal[
    "CarbonDioxideEmission", "RelativePricePercentage", "RenewableGenerationPercentage"
]


class ChargingSchedulePeriod(Payload, frozen=True, kw_only=True):
    """Datatype 2.11."""

    start_period: Integer32
    limit: float
    number_phases: Integer32 | UnsetType = UNSET
    phase_to_use: Integer32 | UnsetType = UNSET


class RelativeTimeInterval(Payload, frozen=True, kw_only=True):
    """Datatype 2.37."""

    start: Integer32
    duration: Integer32 | UnsetType = UNSET


class Cost(Payload, frozen=True, kw_only=True):
    """Datatype 2.20."""

    cost_kind: CostKindName
    amount: Integer32
    amount_multiplier: Integer32 | UnsetType = UNSET


class ConsumptionCost(Payload, frozen=True, kw_only=True):
    """Datatype 2.19."""

    start_value: float
    cost: Annotated[list[Cost], Meta(min_length=1, max_length=3)]


class SalesTariffEntry(Payload, frozen=True, kw_only=True):
    """Datatype 2.39."""

    relative_time_interval: RelativeTimeInterval
    e_price_level: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    consumption_cost: Annotated[list[ConsumptionCost], Meta(min_length=1, max_length=3)] | UnsetType = UNSET


class SalesTariff(Payload, frozen=True, kw_only=True):
    """Datatype 2.40."""

    id: Integer64
    sales_tariff_entry: Annotated[list[SalesTariffEntry], Meta(min_length=1, max_length=1024)]
    sales_tariff_description: Text32 | UnsetType = UNSET
    num_e_price_levels: Integer32 | UnsetType = UNSET


class ChargingSchedule(Payload, frozen=True, kw_only=True):
    """Datatype 2.12."""

    id: Integer64
    charging_rate_unit: ChargingRateUnitName
    charging_schedule_period: Annotated[list[ChargingSchedulePeriod], Meta(min_length=1, max_length=1024)]
    start_schedule: datetime | UnsetType = UNSET
    duration: Integer32 | UnsetType = UNSET
    min_charging_rate: float | UnsetType = UNSET
    sales_tariff: SalesTariff | UnsetType = UNSET


class ChargingProfile(Payload, frozen=True, kw_only=True):
    """Datatype 2.10."""

    id: Integer64
    stack_level: Integer32
    charging_profile_purpose: ChargingProfilePurposeName
    charging_profile_kind: Literal["Absolute", "Recurring", "Relative"]
    charging_schedule: Annotated[list[ChargingSchedule], Meta(min_length=1, max_length=3)]
    recurrency_kind: Literal["Daily", "Weekly"] | UnsetType = UNSET
    valid_from: datetime | UnsetType = UNSET
    valid_to: datetime | UnsetType = UNSET
    transaction_id: Text36 | UnsetType = UNSET
