"""What the partner at the other end takes for granted: rules that one protocol fixes and another leaves open.

Values in our own words; the core obeys them and knows no OCPP version. The defaults are the narrowest ones, so a
station that nobody told anything behaves as OCPP 1.6 wants it. `agent/ocpp/choosing.py` has the set of each version;
`Station.follow` puts one in force. OCPP 1.6 3.16, 4.8; 2.0.1 E01, E06, J01, J02.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Conventions:
    start_points: tuple[str, ...] | None = ("PowerPathClosed",)
    """Where transactions start; None: the setting says so (2.0.1 TxStartPoint)."""
    stop_points: tuple[str, ...] | None = ("Authorized",)
    """Where they stop; None: the setting. Unplugging ends the authorization if StopTxOnEVSideDisconnect says so."""
    grants_energy_first: bool = True
    """MaxEnergyOnInvalidId is granted before StopTxOnInvalidId ends a transaction; otherwise it ends at once."""
    awaits_lost_ev: bool = False
    """Where the cable is fixed, an EV that was unplugged has EVConnectionTimeOut to come back (2.0.1 E10.FR.02)."""
    tells_begin_apart: bool = True
    """The readings of the start are a message of their own behind it; otherwise they are part of it."""
    has_own_end_intervals: bool = False
    """What the end of a transaction tells is collected at intervals of its own (TxEndedInterval); otherwise with each
    reading that is sent."""
    empty_list_is_register: bool = True
    """An empty list of measurands asks for the energy register; otherwise for nothing."""
    stamps_periods_at_start: bool = True
    """What a period of the grid came to bears the time of its start; otherwise that of its end, like the counters."""
    samples_main_meter: bool = True
    """The main meter is read with the samples of transactions, too."""
    queues_idle_readings: bool = True
    """Readings without a transaction wait for the connection; otherwise they are current or nothing."""
    asks_for_other_tokens: bool = False
    """The partner is asked about a token that is presented while another one's transaction runs, also where it could
    not end it whatever the answer is."""
    in_use_is_valid: bool = True
    """Who is listed as ConcurrentTx may start; otherwise only Accepted will do (2.0.1 C13.FR.02, C14.FR.03)."""
    keeps_list_version: bool = False
    """A local authorization list that was emptied keeps the version that it was given; otherwise that is 0."""
    availability_has_layers: bool = False
    """A connector is in service when it, its EVSE and the station are; otherwise the last word about it counts."""
    repeats_signing: bool = False
    """A signing request that was taken and brought no certificate is sent again (2.0.1 A02.FR.17)."""
    keeps_one_certificate: bool = False
    """Of several certificates of the station the one that a connection was made with stays, and one that is not valid
    yet is refused (2.0.1 errata 2025-01, A02.FR.06, A02.FR.10)."""
    hears_every_alarm: bool = False
    """Nobody can switch off that critical security events are told (2.0.1 A04.FR.01)."""
    defaults: Mapping[str, str] = field(default_factory=dict)
    """Values of settings that nobody ever set, where they differ from those of the table."""
