"""What the local API needs of the agent: four narrow ports, filled by `app.py`.

The API reads frozen snapshots and asks; it owns no state of the station.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from agent.charging.certificates import CertificateHash
from agent.charging.facts import Fact, VendorActionRun
from agent.charging.recording import RecordedSession, SessionCurve, SessionQuery
from agent.charging.requests import (
    Request,
    Result,
    TransferResult,
)
from agent.charging.settings import Settings
from agent.charging.snapshot import StationSnapshot
from agent.log import MessageJournal
from agent.progress import ProgressFeed
from hal.ports import BoardControl, EvseState


class StationPort(Protocol):
    """The station (`charging/station.py`)."""

    def snapshot(self) -> StationSnapshot: ...
    def subscribe(self, listener: Callable[[Fact], None]) -> Callable[[], None]: ...
    async def execute(self, request: Request) -> Result: ...


class CsmsPort(Protocol):
    """The connection to the CSMS and the conversation on it."""

    @property
    def is_connected(self) -> bool: ...
    @property
    def subprotocol(self) -> str | None:
        """The one that was negotiated; None while there is no connection."""

    @property
    def registration(self) -> str | None:
        """ "Accepted", "Pending" or "Rejected"; None: no answer to a BootNotification yet."""

    def connect(self) -> None: ...
    def disconnect(self) -> None:
        """Close the socket and stay offline until `connect`."""

    async def transfer_data(self, vendor_id: str, message_id: str | None, data: object) -> TransferResult:
        """Outgoing DataTransfer. Raises LinkClosed at once when offline; CallTimeout, CallRejected."""

    async def certificate_status(self, certificate: CertificateHash, responder_url: str) -> str | None:
        """OCSP through the CSMS: Base64 of DER; None: none was to be had. Raises as `transfer_data`, and
        LocalProtocolError where the OCPP version has no message for it."""


class SessionsPort(Protocol):
    """What was recorded of sessions (`agent/session_recorder.py`). Both raise StoreError."""

    async def sessions(self, query: SessionQuery) -> Sequence[RecordedSession]: ...
    async def session(self, session_id: str) -> SessionCurve | None: ...


class ActionsPort(Protocol):
    """The catalogue of hardware actions (`agent/action_desk.py`)."""

    def names(self) -> Set[str]: ...
    def catalogue(self) -> Mapping[str, Any]:
        """As `actions_api.Catalogue`."""

    async def run(
        self, name: str, parameters: Mapping[str, Any], *, source: str, is_installer: bool
    ) -> tuple[str, str, Mapping[str, Any]]:
        """(result, detail, values). Whatever goes wrong is in the result."""


class SimulationPort(Protocol):
    """The simulated world (`hal/sim/world.py`). Nothing here waits.

    What cannot be done raises ValueError("<argument>: <reason>")."""

    def plug(
        self,
        evse_id: int = 1,
        connector_id: int = 1,
        *,
        after_s: float = 0.0,
        draw_after_s: float | None = 1.0,
        current_a: float = 16.0,
        phases: int = 3,
        unplug_after_s: float | None = None,
        diode_fail_after_s: float | None = None,
        is_half_in: bool = False,
    ) -> None: ...
    def unplug(self, evse_id: int = 1, is_torn_out: bool = False) -> None: ...
    def pause(self, evse_id: int = 1) -> None: ...
    def resume(self, evse_id: int = 1) -> None: ...
    def set_fault(self, evse_id: int, code: str) -> None: ...
    def clear_fault(self, evse_id: int, code: str) -> None: ...
    @property
    def settable_faults(self) -> Set[str]:
        """Codes that `set_fault` takes."""

    def tap(self, id_token: str, type: str = "ISO14443", evses: Sequence[int] = ()) -> None:
        """Present a card at the reader that serves `evses` (empty = all)."""


async def _note_nothing(_source: str, _action: str, _evse_id: int, _outcome: str, _detail: str) -> None:
    pass


async def _tell_nobody(user: str, origin: str, *, is_accepted: bool) -> None:
    pass


class NoteLogin(Protocol):
    """Somebody signed in with a password to operate the station, or tried to (2.0.1 appendix 1).

    `user`: the role that was wanted; `origin`: an address. Never raises; who floods it is thinned out behind it."""

    async def __call__(self, user: str, origin: str, *, is_accepted: bool) -> None: ...


async def _no_rows(_limit: int) -> Sequence[VendorActionRun]:
    return ()


@dataclass(frozen=True, slots=True)
class ApiPorts:
    """Everything that the API talks to."""

    about: Mapping[str, str]
    """identity, vendor, model, serial_number, firmware_version, agent_version, csms_url ..."""
    station: StationPort
    csms: CsmsPort
    messages: MessageJournal
    outbox_depth: Callable[[], Awaitable[int]]
    time: Callable[[], float]
    """Loop time, to tell the age of a reading."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    """The station's clock."""
    outputs: Callable[[], Mapping[str, bool]] = dict
    """Auxiliary outputs by name: on or off."""
    crashes: Callable[[], Mapping[str, int]] = dict
    """Background tasks that crashed since the start, and how often."""
    board_firmware: Callable[[], str] = str
    """Version that the I/O board said at its last HELLO; empty: it is not linked."""
    diagnostics: Callable[[datetime | None, datetime | None], Awaitable[Path]] | None = None
    """Makes an archive of what lies between two times and says where it is; who asked removes it. Raises OSError."""
    self_report: Callable[[], Awaitable[Mapping[str, Any]]] | None = None
    """What `evse-agent doctor` asks; takes as long as the meters do."""
    board: BoardControl | None = None
    evse_states: Callable[[], Mapping[int, EvseState]] = dict
    """What the board last said of each connector."""
    note_action: Callable[[str, str, int, str, str], Awaitable[None]] = _note_nothing
    """(who, action, EVSE or 0, outcome, detail): an audit row of something done through the local API.

    For `gate.py`; a handler says what it knows with `endpoints.note`. Raises StoreError."""
    note_login: NoteLogin = _tell_nobody
    audit: Callable[[int], Awaitable[Sequence[VendorActionRun]]] = _no_rows
    """The latest so many audit rows, newest first. Raises StoreError."""
    simulation: SimulationPort | None = None
    sessions: SessionsPort | None = None
    progress: ProgressFeed | None = None
    """Long operations under way."""
    settings: Settings | None = None
    """To be read; a change goes through the station."""
    actions: ActionsPort | None = None
    metrics: Callable[[], Awaitable[bytes]] | None = None
    """All of them now, in Prometheus' text format."""
