"""What the local API answers, as types: for the OpenAPI document and its test, which holds every real answer to them.

Answers are built as plain dicts where the state is (`status.py`, `self_report.py`); nothing is converted through these.
Adding a field there means adding it here and in docs/local-api.md.
"""

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from agent.charging.ids import ChargingState
from agent.charging.profiles import RateUnit
from agent.charging.snapshot import LimitInForce, SessionState
from agent.charging.tariff import CostShown, Text
from agent.log import MessageEntry
from hal.ports import BoardFacts


class Error(Struct):
    """Every answer from 400 on."""

    error: str
    """What is wrong."""
    field: str | None
    """Which field or parameter; null when there is none to blame."""


class Fault(Struct):
    code: str
    since: datetime
    detail: str
    stops_charging: bool
    meaning: str
    advice: str
    """What an installer does about it."""


class Meter(Struct):
    """The last reading, for display."""

    age_s: float
    quality: str
    energy_import_wh: float | None
    energy_export_wh: float | None
    power_w: float | None
    voltage_v: list[float | None]
    current_a: list[float | None]
    frequency_hz: float | None


class Station(Struct):
    identity: str
    vendor: str
    model: str
    serial_number: str
    agent_version: str
    csms_url: str
    board_firmware: str
    is_operative: bool
    is_resetting: bool
    is_simulated: bool
    booted_at: datetime
    faults: list[Fault]


class CsmsLink(Struct):
    is_connected: bool
    url: str


class ReservationKept(Struct):
    reservation_id: int
    id_token: str
    group: str | None
    expires_at: datetime
    evse_id: int | None
    connector_id: int | None


class LimitPeriodSet(Struct):
    start_s: int
    limit: float
    phases: int | None


class ExternalLimit(Struct):
    origin: str
    evse_id: int
    profile_id: int
    since: datetime | None
    is_grid_critical: bool | None
    unit: RateUnit
    starts_at: datetime | None
    duration_s: int | None
    periods: list[LimitPeriodSet]


class ExternalLimits(Struct):
    external_limits: list[ExternalLimit]


class Transaction(Struct):
    transaction_id: str
    reference: str | None
    id_token: str | None
    started_at: datetime
    charging_state: ChargingState
    meter_start_wh: int
    energy_wh: float | None


class Evse(Struct):
    evse_id: int
    connectors: int
    connector_id: int
    session: SessionState
    changed_at: datetime
    is_operative: bool
    inoperative_connectors: list[int]
    reserved_connectors: list[int]
    is_plugged: bool
    pilot: str
    contactor: str
    is_locked: bool | None
    cable_a: float | None
    offered_current_a: float
    limit: LimitInForce | None
    board_link: bool
    temperature_c: float | None
    faults: list[Fault]
    id_token: str | None
    transaction: Transaction | None
    cost: CostShown | None
    display: Text | None
    meter: Meter | None


class Status(Struct):
    at: datetime
    station: Station
    link: CsmsLink
    registration: Literal["Accepted", "Pending", "Rejected"] | None
    subprotocol: str | None
    outbox_depth: int
    outputs: dict[str, bool]
    crashed_tasks: dict[str, int]
    local_list_version: int | None
    reservations: list[ReservationKept]
    external_limits: list[ExternalLimit]
    display_messages: int
    evses: list[Evse]


class Messages(Struct):
    messages: list[MessageEntry]


class BoardConnector(Struct):
    connector: int
    link_ok: bool
    pilot: str
    pilot_high_v: float
    pilot_low_v: float
    duty_percent: float
    contactor: str
    locked: bool | None
    cable_a: float | None
    residual_ma: float
    temperature_c: float | None
    faults: list[str]


class Board(Struct):
    is_linked: bool
    board: BoardFacts | None
    connectors: list[BoardConnector]


class ConnectorNamed(Struct):
    connector: int


class DoctorEvse(Struct):
    evse_id: int
    board_link: bool
    pilot: str
    pilot_high_mv: int
    pilot_low_mv: int
    contactor: str
    residual_current_a: float
    temperature_c: float | None
    faults: list[Fault]


class DoctorMeter(Struct):
    evse_id: int
    name: str
    serial_number: str
    problem: str
    reading: Meter | None


class DoctorCsms(Struct):
    security_profile: int
    failure: dict[str, Any] | None


class Doctor(Struct):
    agent_version: str
    board: BoardFacts | None
    faults: list[Fault]
    evses: list[DoctorEvse]
    meters: list[DoctorMeter]
    csms: DoctorCsms
    store_problem: str
    crashed_tasks: dict[str, int]


class Command(Struct):
    command: str


class TransferAnswer(Struct):
    status: str
    data: Any
    reason: str


class CertificateStatus(Struct):
    status: Literal["Accepted", "Failed"]
    ocsp: str | None


class EvseNamed(Struct):
    evse_id: int


class FaultSet(Struct):
    evse_id: int
    code: str


class FaultNamed(Struct):
    code: str
    meaning: str


class World(Struct):
    faults: list[FaultNamed]


class CardHeld(Struct):
    id_token: str
    evses: list[int]
