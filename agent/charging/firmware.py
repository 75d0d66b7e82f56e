"""One firmware update as a state machine: its stages, what happens in them, what the CSMS is told, who may end it.

Pure: a literal TRANSITIONS table and one step function, like `session.py`. A stage is what is on the disk: after a
power cut the shell (`agent/update/updater.py`) asks `work_of` what the stage wants and does it again, so every piece of
work may be done twice. Facts of a step are committed together with the new stage. OCPP 1.6 4.5, 5.19 (R16-292 to
R16-299, R16-304); security white paper L01 (R16-364 to R16-370); 2.0.1 L01-L02.
"""

import math
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from agent.charging.facts import DurableFact, FirmwareStatusChanged, SecurityEventRaised
from agent.charging.ids import FirmwareStatus, SecurityEventType
from agent.charging.requests import UpdateFirmware

DEFAULT_RETRIES = 3
DEFAULT_RETRY_INTERVAL_S = 60
LEAST_RETRY_INTERVAL_S = 1
"""A CSMS that asks for less would make a storm."""
MOST_LOSSES = 5
"""A file that got lost is fetched again, as long as no more downloads than these were begun."""
MOST_SWITCHES = 3
"""How often a switch to another release is tried before the update is given up: somebody starts the wrong one."""


class Stage(StrEnum):
    """Where an update stands on the disk. The words are stored: they never change once released."""

    DOWNLOAD_SCHEDULED = "download_scheduled"
    DOWNLOADING = "downloading"
    DOWNLOAD_PAUSED = "download_paused"
    """Between two attempts."""
    DOWNLOADED = "downloaded"
    """The signature is to be checked."""
    INSTALL_SCHEDULED = "install_scheduled"
    READY = "ready"
    """To be installed now; whether anything is in the way has to be looked at."""
    WAITING = "waiting"
    """For running transactions to end; no new ones start."""
    INSTALLING = "installing"
    ACTIVATING = "activating"
    """The new release is complete; it is being made the one that starts."""
    TRIAL = "trial"
    """The new release runs and has to reach the CSMS."""
    ROLLING_BACK = "rolling_back"
    ENDED = "ended"


class Update(Struct, frozen=True):
    """An order and how far it got."""

    order: UpdateFirmware
    number: int
    """Counts the orders of this station; names the file."""
    stage: Stage
    attempts: int = 0
    """Downloads begun."""
    resume_at: datetime | None = None
    """End of the pause between two attempts."""
    version: str | None = None
    """What the file turned out to be."""
    switches: int = 0
    """How often a restart into the other release was asked for in this stage."""
    reason: str = ""
    """Why it failed, for the log."""


# --- what can happen ---------------------------------------------------------------------------------------


class TimeCame(Struct, frozen=True):
    """What the stage waited for is now or past."""


class Fetched(Struct, frozen=True):
    """The whole file is on the disk."""


class FetchFailed(Struct, frozen=True):
    reason: str
    is_final: bool = False
    """Another attempt would fail in the same way."""


class FileLost(Struct, frozen=True):
    """The file was on the disk and is not any more: the power went before its name was."""


class SignatureGood(Struct, frozen=True):
    pass


class SignatureBad(Struct, frozen=True):
    reason: str


class StationIdle(Struct, frozen=True):
    """No transaction runs, and none can start."""


class StationBusy(Struct, frozen=True):
    """A transaction runs, which has to end first."""


class Staged(Struct, frozen=True):
    """The new release lies complete and verified beside the running one."""

    version: str


class RunsAlready(Struct, frozen=True):
    """The file is the very release that runs."""

    version: str


class NotVerified(Struct, frozen=True):
    """The unpacked release is not what the file promised, or does not work here."""

    reason: str


class Failed(Struct, frozen=True):
    reason: str


class Switching(Struct, frozen=True):
    """The station is about to restart into the other release."""


class NewVersionRuns(Struct, frozen=True):
    pass


class OldVersionRuns(Struct, frozen=True):
    """The station came back with the former release."""

    reason: str


class CsmsReached(Struct, frozen=True):
    """The CSMS accepted the station with its new release."""


class CsmsNotReached(Struct, frozen=True):
    reason: str


Event: TypeAlias = (
    TimeCame
    | Fetched
    | FetchFailed
    | FileLost
    | SignatureGood
    | SignatureBad
    | StationIdle
    | StationBusy
    | Staged
    | RunsAlready
    | NotVerified
    | Failed
    | Switching
    | NewVersionRuns
    | OldVersionRuns
    | CsmsReached
    | CsmsNotReached
)

# --- what a stage wants done -------------------------------------------------------------------------------


class Work(StrEnum):
    """What brings an update on; each ends with one of the events above. Any of it may be done twice."""

    WAIT_TO_FETCH = "wait_to_fetch"
    FETCH = "fetch"
    CHECK_SIGNATURE = "check_signature"
    WAIT_TO_INSTALL = "wait_to_install"
    AWAIT_IDLE = "await_idle"
    INSTALL = "install"
    ACTIVATE = "activate"
    AWAIT_CSMS = "await_csms"
    ROLL_BACK = "roll_back"


_WORK: Mapping[Stage, Work] = {
    Stage.DOWNLOAD_SCHEDULED: Work.WAIT_TO_FETCH,
    Stage.DOWNLOADING: Work.FETCH,
    Stage.DOWNLOAD_PAUSED: Work.WAIT_TO_FETCH,
    Stage.DOWNLOADED: Work.CHECK_SIGNATURE,
    Stage.INSTALL_SCHEDULED: Work.WAIT_TO_INSTALL,
    Stage.READY: Work.AWAIT_IDLE,
    Stage.WAITING: Work.AWAIT_IDLE,
    Stage.INSTALLING: Work.INSTALL,
    Stage.ACTIVATING: Work.ACTIVATE,
    Stage.TRIAL: Work.AWAIT_CSMS,
    Stage.ROLLING_BACK: Work.ROLL_BACK,
}

CANCELABLE = frozenset(
    {
        Stage.DOWNLOAD_SCHEDULED,
        Stage.DOWNLOADING,
        Stage.DOWNLOAD_PAUSED,
        Stage.DOWNLOADED,
        Stage.INSTALL_SCHEDULED,
        Stage.READY,
        Stage.WAITING,
    }
)
"""Nothing has been touched yet: a newer order replaces this one (R16-304, R16-370)."""

HOLDS_STATION = frozenset(
    {Stage.READY, Stage.WAITING, Stage.INSTALLING, Stage.ACTIVATING, Stage.TRIAL, Stage.ROLLING_BACK}
)
"""No transaction may start, free connectors are Unavailable (R16-296, R16-368)."""

RESTARTS = frozenset({Stage.ACTIVATING, Stage.TRIAL, Stage.ROLLING_BACK})
"""The process that finds one of these at its start was started for the update."""


def work_of(update: Update) -> Work | None:
    """What the stage wants done; None: the update has ended."""
    return _WORK.get(update.stage)


def crash_of(update: Update, reason: str) -> Event | None:
    """What a crash of the stage's work amounts to; None: the work is done again, nothing bad can come of that.

    Without it a file that our own code stumbles over would keep the station Unavailable, restarts included."""
    match update.stage:
        case Stage.DOWNLOADING:
            return FetchFailed(reason)
        case Stage.DOWNLOADED | Stage.INSTALLING:
            return Failed(reason)
        case Stage.TRIAL:
            return CsmsNotReached(reason)
        case _:
            return None


def longest_wait_s(update: Update) -> float:
    """A pause between two attempts never lasts longer than was asked for, even if the clock is set back meanwhile."""
    return _pause_s(update.order) if update.stage is Stage.DOWNLOAD_PAUSED else math.inf


def waits_until(update: Update) -> datetime:
    """The time that WAIT_TO_FETCH or WAIT_TO_INSTALL waits for."""
    order = update.order
    if update.stage is Stage.INSTALL_SCHEDULED and order.install_at is not None:
        return order.install_at
    return update.resume_at or order.retrieve_at


# --- steps -------------------------------------------------------------------------------------------------


class Step(Struct, frozen=True):
    """The update after an event, and what is to be told of it, in order. Both go to disk in one commit."""

    update: Update
    facts: tuple[DurableFact, ...] = ()


Effect: TypeAlias = Callable[[Update, Any, datetime], Step]


def begin(order: UpdateFirmware, number: int, now: datetime) -> Step:
    """A fresh order. Never fetched before its time (R16-292, R16-367)."""
    update = Update(order, number, Stage.DOWNLOAD_SCHEDULED)
    if order.retrieve_at > now:
        return Step(update, (_told(update, FirmwareStatus.DOWNLOAD_SCHEDULED, now),))
    return _fetch(update, TimeCame(), now)


def step(update: Update, event: Event, now: datetime) -> Step:
    """The update after `event`. Raises LookupError for an event that the stage cannot meet: a bug of the shell."""
    effect = TRANSITIONS.get((update.stage, type(event)))
    if effect is None:
        raise LookupError(f"{type(event).__name__} in stage {update.stage}")
    return effect(update, event, now)


def _told(update: Update, status: FirmwareStatus, now: datetime) -> FirmwareStatusChanged:
    """Every status carries the id of its order (R16-364)."""
    return FirmwareStatusChanged(now, status, update.order.request_id)


def _end(update: Update, status: FirmwareStatus, now: datetime, reason: str = "") -> Step:
    return Step(replace(update, stage=Stage.ENDED, reason=reason), (_told(update, status, now),))


def _fetch(update: Update, _event: TimeCame, now: datetime) -> Step:
    after = replace(update, stage=Stage.DOWNLOADING, attempts=update.attempts + 1, resume_at=None)
    return Step(after, (_told(after, FirmwareStatus.DOWNLOADING, now),))


def _fetch_failed(update: Update, event: FetchFailed, now: datetime) -> Step:
    """Retries are repetitions: 0 means one attempt (R16-294, errata 3.50 for the same words)."""
    order = update.order
    retries = DEFAULT_RETRIES if order.retries is None else order.retries
    if event.is_final or update.attempts > retries:
        return _end(update, FirmwareStatus.DOWNLOAD_FAILED, now, event.reason)
    resume_at = now + timedelta(seconds=_pause_s(order))
    after = replace(update, stage=Stage.DOWNLOAD_PAUSED, resume_at=resume_at, reason=event.reason)
    return Step(after, (_told(after, FirmwareStatus.DOWNLOAD_PAUSED, now),))


def _pause_s(order: UpdateFirmware) -> int:
    wished_s = DEFAULT_RETRY_INTERVAL_S if order.retry_interval_s is None else order.retry_interval_s
    return max(LEAST_RETRY_INTERVAL_S, wished_s)


def _fetch_again(update: Update, _event: FileLost, now: datetime) -> Step:
    if update.attempts > MOST_LOSSES:
        return _failed(update, Failed("the file does not stay on the disk"), now)
    return _fetch(update, TimeCame(), now)


def _fetched(update: Update, _event: Fetched, now: datetime) -> Step:
    told = _told(update, FirmwareStatus.DOWNLOADED, now)
    if update.order.is_signed:
        return Step(replace(update, stage=Stage.DOWNLOADED, reason=""), (told,))
    return _schedule_install(replace(update, reason=""), (told,), now)


def _signature_good(update: Update, _event: SignatureGood, now: datetime) -> Step:
    return _schedule_install(update, (_told(update, FirmwareStatus.SIGNATURE_VERIFIED, now),), now)


def _signature_bad(update: Update, event: SignatureBad, now: datetime) -> Step:
    """R16-366: nothing is installed, and it is a security event."""
    ended = _end(update, FirmwareStatus.INVALID_SIGNATURE, now, event.reason)
    raised = SecurityEventRaised(now, SecurityEventType.INVALID_FIRMWARE_SIGNATURE, event.reason)
    return Step(ended.update, (*ended.facts, raised))


def _schedule_install(update: Update, told: tuple[DurableFact, ...], now: datetime) -> Step:
    """R16-295, R16-367, R16-368."""
    install_at = update.order.install_at
    if install_at is not None and install_at > now:
        after = replace(update, stage=Stage.INSTALL_SCHEDULED)
        return Step(after, (*told, _told(after, FirmwareStatus.INSTALL_SCHEDULED, now)))
    return Step(replace(update, stage=Stage.READY), told)


def _busy(update: Update, _event: StationBusy, now: datetime) -> Step:
    """2.0.1 L01.FR.34, L02.FR.23."""
    after = replace(update, stage=Stage.WAITING)
    return Step(after, (_told(after, FirmwareStatus.INSTALL_SCHEDULED, now),))


def _wait_for_idle(update: Update, _event: TimeCame, _now: datetime) -> Step:
    return Step(replace(update, stage=Stage.WAITING))


def _install(update: Update, _event: StationIdle, now: datetime) -> Step:
    after = replace(update, stage=Stage.INSTALLING)
    return Step(after, (_told(after, FirmwareStatus.INSTALLING, now),))


def _staged(update: Update, event: Staged, _now: datetime) -> Step:
    return Step(replace(update, stage=Stage.ACTIVATING, version=event.version))


def _runs_already(update: Update, event: RunsAlready, now: datetime) -> Step:
    return _end(replace(update, version=event.version), FirmwareStatus.INSTALLED, now)


def _not_verified(update: Update, event: NotVerified, now: datetime) -> Step:
    return _end(update, FirmwareStatus.INSTALL_VERIFICATION_FAILED, now, event.reason)


def _failed(update: Update, event: Failed | OldVersionRuns, now: datetime) -> Step:
    return _end(update, FirmwareStatus.INSTALLATION_FAILED, now, update.reason or event.reason)


def _switch(update: Update, _event: Switching, now: datetime) -> Step:
    if update.switches >= MOST_SWITCHES:
        return _failed(update, Failed("the station never came back with the other release"), now)
    return Step(replace(update, switches=update.switches + 1))


def _try_out(update: Update, _event: NewVersionRuns, _now: datetime) -> Step:
    return Step(replace(update, stage=Stage.TRIAL, switches=0))


def _installed(update: Update, _event: CsmsReached, now: datetime) -> Step:
    """R16-297: said by the new release itself, once the CSMS has accepted it; FirmwareUpdated goes before (R16-356)."""
    ended = _end(update, FirmwareStatus.INSTALLED, now)
    raised = SecurityEventRaised(now, SecurityEventType.FIRMWARE_UPDATED, update.version or "")
    return Step(ended.update, (raised, *ended.facts))


def _roll_back(update: Update, event: CsmsNotReached, _now: datetime) -> Step:
    return Step(replace(update, stage=Stage.ROLLING_BACK, reason=event.reason, switches=0))


S = Stage
TRANSITIONS: Mapping[tuple[Stage, type[Event]], Effect] = {
    (S.DOWNLOAD_SCHEDULED, TimeCame): _fetch,
    (S.DOWNLOADING, Fetched): _fetched,
    (S.DOWNLOADING, FetchFailed): _fetch_failed,
    (S.DOWNLOAD_PAUSED, TimeCame): _fetch,
    (S.DOWNLOADED, SignatureGood): _signature_good,
    (S.DOWNLOADED, SignatureBad): _signature_bad,
    (S.DOWNLOADED, FileLost): _fetch_again,
    (S.DOWNLOADED, Failed): _failed,
    (S.INSTALL_SCHEDULED, TimeCame): _wait_for_idle,
    (S.READY, StationIdle): _install,
    (S.READY, StationBusy): _busy,
    (S.WAITING, StationIdle): _install,
    (S.INSTALLING, FileLost): _fetch_again,
    (S.INSTALLING, Staged): _staged,
    (S.INSTALLING, RunsAlready): _runs_already,
    (S.INSTALLING, NotVerified): _not_verified,
    (S.INSTALLING, Failed): _failed,
    (S.ACTIVATING, Switching): _switch,
    (S.ACTIVATING, NewVersionRuns): _try_out,
    (S.ACTIVATING, OldVersionRuns): _failed,
    (S.ACTIVATING, Failed): _failed,
    (S.TRIAL, CsmsReached): _installed,
    (S.TRIAL, CsmsNotReached): _roll_back,
    (S.TRIAL, OldVersionRuns): _failed,
    (S.ROLLING_BACK, Switching): _switch,
    (S.ROLLING_BACK, OldVersionRuns): _failed,
    (S.ROLLING_BACK, Failed): _failed,
}
"""Everything that an update can meet, stage by stage."""
