"""Carries out firmware updates: takes orders, does what the stage of the present one wants, and notes how it went.

The rules are `agent/charging/firmware.py`; here is only work: download, signature, waiting, installer, restart. A stage
is on disk, with what is told of it, before the next one begins; after a power cut the stage's work is done again. A
crash ends in the supervisor, which starts `run` anew. Built and run by `agent/app.py`, ordered by the station.
OCPP 1.6 5.19 (R16-292 to R16-299, R16-304); white paper L01 (R16-362 to R16-371).
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from agent.charging import firmware, reasons
from agent.charging.facts import DurableFact, FirmwareStatusChanged, SecurityEventRaised
from agent.charging.firmware import Event, Stage, Step, Update, Work
from agent.charging.ids import CertificateUse, SecurityEventType
from agent.charging.ports import Clock, Installer, UpdateStore
from agent.charging.requests import UpdateAnswer, UpdateFirmware, UpdateVerdict
from agent.errors import CertificateRefused, InstallError, ReleaseBroken, StoreError
from agent.progress import Progress, Report, report_nothing

if TYPE_CHECKING:
    from cryptography import x509

log = logging.getLogger(__name__)

CLOCK_LOOK_S = 60.0
"""How often the wall clock is looked at while a time is awaited: the CSMS may correct it."""
STORE_RETRY_S = 10.0
RESTART_PATIENCE_S = 600.0
"""A restart that does not come within this time is asked for again."""


class StationPort(Protocol):
    """What an update needs of `charging.station.Station`."""

    async def report(self, fact: DurableFact) -> None: ...
    def admitted(self, fact: DurableFact) -> DurableFact | None: ...
    def announce(self, fact: DurableFact) -> None: ...
    def recall_firmware(self, last: FirmwareStatusChanged | None, *, is_updating: bool) -> None: ...
    def set_updating(self, is_updating: bool, *, is_waiting: bool = False) -> None: ...
    @property
    def is_idle(self) -> bool: ...
    async def wait_until_idle(self) -> None: ...


class RootCertificates(Protocol):
    """`agent.security.certificates.CertificateStore`. Blocks."""

    def roots(self, use: CertificateUse) -> Sequence["x509.Certificate"]: ...
    def trust_anchors(self) -> str: ...


@dataclass(frozen=True, slots=True)
class UpdateRules:
    """What the configuration says of updates."""

    folder: Path
    """Where a file is kept until it is installed."""
    most_bytes: int
    confirm_within_s: float
    """How long new firmware may take to be accepted by the CSMS."""
    requires_signature: Callable[[], bool]
    protocols: Callable[[], Collection[str]]
    """Names as in SupportedFileTransferProtocols."""
    trust: Callable[[], ssl.SSLContext | None]
    """For HTTPS and FTPS; None: the system's authorities. Called on a thread."""
    known_hosts: Path | None = None
    """For SFTP."""


class Updater:
    """Implements `charging.ports.FirmwareUpdates`. `load` before the station runs, then `run`."""

    def __init__(
        self,
        *,
        station: StationPort,
        store: UpdateStore,
        installer: Installer,
        roots: RootCertificates,
        clock: Clock,
        rules: UpdateRules,
        restart: Callable[[], None],
        report: Report = report_nothing,
    ) -> None:
        """`restart` ends the process in an orderly way, so that it is started again; it may be called twice. `report`
        hears how far an update is."""
        self._station = station
        self._store = store
        self._installer = installer
        self._roots = roots
        self._clock = clock
        self._rules = rules
        self._restart = restart
        self._report = report
        self._update: Update | None = None
        self._number = 0
        self._ordered = asyncio.Event()
        self._accepted = asyncio.Event()
        self._lock = asyncio.Lock()
        self._work: asyncio.Task[Event] | None = None
        self._announced = -1
        """The `switches` of the update that this process may act on: they are counted on disk before it does."""

    async def load(self) -> None:
        """What was under way before the restart. Raises StoreError."""
        stored = await self._store.load()
        self._update, self._number = stored.update, stored.number
        holds_station = self._update is not None and self._update.stage in firmware.HOLDS_STATION
        self._station.recall_firmware(stored.last, is_updating=holds_station)
        if self._update is not None:
            log.info("firmware update %d goes on: %s", self._update.number, self._update.stage)
            self._report(_progress_of(self._update))

    def on_online(self, is_online: bool) -> None:
        """The CSMS accepted the station, or is gone."""
        if is_online:
            self._accepted.set()
        else:
            self._accepted.clear()

    # --- orders ----------------------------------------------------------------------------------------

    async def order(self, request: UpdateFirmware) -> UpdateAnswer:
        """R16-292, R16-362, R16-363, R16-370. Everything after the answer goes on by itself."""
        if not request.is_signed and self._rules.requires_signature():
            log.warning("an unsigned firmware update is not taken: update.require_signature")
            return UpdateAnswer(UpdateVerdict.NOT_OFFERED, "only signed updates are taken")
        refusal = await self._certificate_refusal(request)
        if refusal is not None:
            log.warning("the firmware signing certificate is refused: %s", refusal.reason)
            event = SecurityEventRaised(
                self._clock.now(), SecurityEventType.INVALID_FIRMWARE_SIGNING_CERTIFICATE, refusal.reason
            )
            try:
                await self._station.report(event)
            except StoreError as error:
                log.error("the security event could not be stored: %s", error)
            return refusal
        async with self._lock:
            return await self._begin(request)

    async def _certificate_refusal(self, request: UpdateFirmware) -> UpdateAnswer | None:
        certificate = request.signing_certificate
        if certificate is None:
            return None
        from agent.update.revocation import is_revoked

        now = self._clock.now()
        try:
            issuer = await asyncio.to_thread(self._issuer, certificate, now)
        except (CertificateRefused, OSError) as error:
            return UpdateAnswer(UpdateVerdict.INVALID_CERTIFICATE, str(error))
        if await is_revoked(certificate, issuer, now):
            return UpdateAnswer(UpdateVerdict.REVOKED_CERTIFICATE, "the authority has revoked it")
        return None

    def _issuer(self, certificate: str, now: datetime) -> "x509.Certificate":
        """The root that issued the signing certificate. Raises CertificateRefused, OSError. Blocks."""
        from agent.update.signatures import check_certificate

        return check_certificate(certificate, self._roots.roots(CertificateUse.MANUFACTURER_ROOT), now)

    async def _begin(self, request: UpdateFirmware) -> UpdateAnswer:
        """A newer order takes the place of the one under way, as long as nothing has been touched (R16-304)."""
        former = self._update
        if former is not None and former.stage not in firmware.CANCELABLE:
            log.warning("a firmware update is ignored: another one is being installed")
            return UpdateAnswer(UpdateVerdict.REJECTED, reasons.UPDATING)
        first = firmware.begin(request, self._number + 1, self._clock.now())
        try:
            await self._store.save(first.update, *first.facts)
        except StoreError as error:
            log.error("a firmware update is refused: %s", error)
            return UpdateAnswer(UpdateVerdict.REJECTED, reasons.NOT_STORED)
        self._number += 1
        self._take(first)
        self._ordered.set()
        if former is None:
            return UpdateAnswer(UpdateVerdict.ACCEPTED)
        log.warning("firmware update %d is given up for a newer one", former.number)
        if self._work is not None:
            self._work.cancel()
        return UpdateAnswer(UpdateVerdict.ACCEPTED_CANCELED)

    # --- the work --------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled. A crash may run it again."""
        while True:
            update = self._update
            if update is None:
                self._ordered.clear()
                await self._clean_up()
                await self._ordered.wait()
                continue
            work = self._work = asyncio.get_running_loop().create_task(self._carry_out(update))
            try:
                await asyncio.wait([work])
            except asyncio.CancelledError:
                work.cancel()
                await asyncio.wait([work])
                raise
            if work.cancelled():
                continue
            crash = work.exception()
            event = (
                work.result()
                if crash is None
                else firmware.crash_of(update, f"{type(crash).__name__}: {crash}")
            )
            if event is not None:
                await self._note(update, event)
            if crash is not None:
                raise crash

    async def _clean_up(self) -> None:
        """Nothing is under way: what the last update needed is in nobody's way any more."""
        try:
            await asyncio.to_thread(self._clear_folder)
            await self._store.drop_copy()
        except (OSError, StoreError) as error:
            log.warning("what a firmware update left cannot be removed: %s", error)

    async def _note(self, update: Update, event: Event) -> None:
        """Put the next stage on disk and tell of it, unless a newer order has taken the place of `update`."""
        while True:
            async with self._lock:
                if self._update is not update:
                    return
                following = self._admitted(firmware.step(update, event, self._clock.now()))
                try:
                    await self._store.save(following.update, *following.facts)
                except StoreError as error:
                    log.error("the firmware update waits for the store: %s", error)
                else:
                    self._take(following)
                    return
            await asyncio.sleep(STORE_RETRY_S)

    def _admitted(self, following: Step) -> Step:
        """Without the security events that only repeat others."""
        facts = (self._station.admitted(fact) for fact in following.facts)
        return Step(following.update, tuple(fact for fact in facts if fact is not None))

    def _take(self, following: Step) -> None:
        """The step is on the disk; now it holds, and everyone may know."""
        update = following.update
        has_ended = update.stage is Stage.ENDED
        self._update = None if has_ended else update
        if has_ended and update.reason:
            log.error("firmware update %d failed: %s", update.number, update.reason)
        elif update.reason:
            log.warning("firmware update %d: %s: %s", update.number, update.stage, update.reason)
        else:
            log.info("firmware update %d: %s", update.number, update.stage)
        self._report(_progress_of(update))
        is_waiting = update.stage in (Stage.READY, Stage.WAITING)
        self._station.set_updating(update.stage in firmware.HOLDS_STATION, is_waiting=is_waiting)
        for fact in following.facts:
            self._station.announce(fact)

    async def _carry_out(self, update: Update) -> Event:
        """The work of a stage, to its end; what came of it."""
        work = firmware.work_of(update)
        assert work is not None, "an update that has ended is not kept"
        todo: dict[Work, Callable[[Update], Awaitable[Event]]] = {
            Work.WAIT_TO_FETCH: self._wait,
            Work.FETCH: self._fetch,
            Work.CHECK_SIGNATURE: self._check_signature,
            Work.WAIT_TO_INSTALL: self._wait,
            Work.AWAIT_IDLE: self._await_idle,
            Work.INSTALL: self._install,
            Work.ACTIVATE: self._activate,
            Work.AWAIT_CSMS: self._await_csms,
            Work.ROLL_BACK: self._roll_back,
        }
        return await todo[work](update)

    async def _wait(self, update: Update) -> Event:
        until = firmware.waits_until(update)
        loop = asyncio.get_running_loop()
        latest_time = loop.time() + firmware.longest_wait_s(update)
        while True:
            left_s = min((until - self._clock.now()).total_seconds(), latest_time - loop.time())
            if left_s <= 0:
                return firmware.TimeCame()
            await asyncio.sleep(min(left_s, CLOCK_LOOK_S))

    async def _fetch(self, update: Update) -> Event:
        from agent.transfer import HOPELESS, TransferError, download

        rules = self._rules
        try:
            rules.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            await asyncio.to_thread(self._clear_folder, self._file(update).name)
            trust = await asyncio.to_thread(rules.trust)
            await download(
                update.order.location,
                self._file(update),
                trust=trust,
                known_hosts=rules.known_hosts,
                protocols=rules.protocols(),
                most_bytes=rules.most_bytes,
                on_progress=lambda done, total: self._report(
                    Progress(_operation(update), "downloading", done, total, "B")
                ),
            )
        except TransferError as error:
            return firmware.FetchFailed(str(error), is_final=error.failure in HOPELESS)
        except OSError as error:
            return firmware.FetchFailed(str(error))
        return firmware.Fetched()

    async def _check_signature(self, update: Update) -> Event:
        from agent.update.signatures import signature_problem

        certificate, signature = update.order.signing_certificate or "", update.order.signature or ""
        try:
            problem = await asyncio.to_thread(signature_problem, self._file(update), certificate, signature)
        except FileNotFoundError:
            return firmware.FileLost()
        except OSError as error:
            return firmware.Failed(f"the file cannot be read: {error}")
        return firmware.SignatureGood() if problem is None else firmware.SignatureBad(problem)

    async def _await_idle(self, update: Update) -> Event:
        if update.stage is Stage.READY and not self._station.is_idle:
            return firmware.StationBusy()
        await self._station.wait_until_idle()
        return firmware.StationIdle()

    async def _install(self, update: Update) -> Event:
        installer, file = self._installer, self._file(update)
        try:
            if not await asyncio.to_thread(file.exists):
                return firmware.FileLost()
            version = await installer.stage(file)
            if installer.is_running(version):
                return firmware.RunsAlready(version)
            await installer.verify(version)
        except ReleaseBroken as error:
            return firmware.NotVerified(str(error))
        except (InstallError, OSError) as error:
            return firmware.Failed(str(error))
        return firmware.Staged(version)

    async def _activate(self, update: Update) -> Event:
        """Runs in the old release, and again in whatever is started after the restart."""
        version = _version(update)
        if self._installer.is_running(version):
            return firmware.NewVersionRuns()
        failure = self._installer.failure(version)
        if failure is not None:
            return firmware.OldVersionRuns(failure)
        if self._announced != update.switches:
            self._announced = update.switches + 1
            return firmware.Switching()
        try:
            await self._store.keep_copy()
            await self._installer.activate(version)
        except (InstallError, StoreError, OSError) as error:
            return firmware.Failed(str(error))
        return await self._await_restart()

    async def _await_csms(self, update: Update) -> Event:
        """The new release proves itself: the CSMS has to accept the station that it makes."""
        version, within_s = _version(update), self._rules.confirm_within_s
        if not self._installer.is_running(version):
            return firmware.OldVersionRuns(
                self._installer.failure(version) or "the former release was started"
            )
        try:
            async with asyncio.timeout(within_s):
                await self._accepted.wait()
        except TimeoutError:
            return firmware.CsmsNotReached(f"the CSMS did not accept release {version} within {within_s:g} s")
        while True:
            try:
                await self._installer.confirm(version)
                return firmware.CsmsReached()
            except (InstallError, OSError) as error:  # unconfirmed it would be rolled back some day
                log.error("release %s works and cannot be confirmed: %s", version, error)
            await asyncio.sleep(STORE_RETRY_S)

    async def _roll_back(self, update: Update) -> Event:
        version = _version(update)
        if not self._installer.is_running(version):
            return firmware.OldVersionRuns(update.reason)
        if self._announced != update.switches:
            self._announced = update.switches + 1
            return firmware.Switching()
        try:
            await self._installer.roll_back(version, update.reason)
        except (InstallError, OSError) as error:
            return firmware.Failed(str(error))
        return await self._await_restart()

    async def _await_restart(self) -> Event:
        """The process ends meanwhile; what was started instead takes over from the stage on disk."""
        while True:
            self._restart()
            await asyncio.sleep(RESTART_PATIENCE_S)

    # --- files -----------------------------------------------------------------------------------------

    def _file(self, update: Update) -> Path:
        """Named by the order, so that no download goes on behind what another order left."""
        return self._rules.folder / f"order-{update.number}"

    def _clear_folder(self, kept: str = "") -> None:
        """Nothing of former orders stays."""
        if not self._rules.folder.is_dir():
            return
        for path in self._rules.folder.iterdir():
            if not kept or path.name.partition(".")[0] != kept:
                path.unlink(missing_ok=True)


_WORDS = {
    Stage.DOWNLOAD_SCHEDULED: "waits for its time",
    Stage.DOWNLOADING: "downloading",
    Stage.DOWNLOAD_PAUSED: "waits before the next attempt",
    Stage.DOWNLOADED: "verifying",
    Stage.INSTALL_SCHEDULED: "waits for its time to be installed",
    Stage.READY: "waits for running transactions",
    Stage.WAITING: "waits for running transactions",
    Stage.INSTALLING: "installing",
    Stage.ACTIVATING: "switching to the new release",
    Stage.TRIAL: "on trial: the CSMS has to accept it",
    Stage.ROLLING_BACK: "going back to the release before",
}


def _operation(update: Update) -> str:
    """The name of an update for those who watch its progress."""
    return f"firmware update {update.number}"


def _progress_of(update: Update) -> Progress:
    if update.stage is not Stage.ENDED:
        return Progress(_operation(update), _WORDS[update.stage])
    if update.reason:
        return Progress(_operation(update), "failed", outcome="failed", detail=update.reason)
    return Progress(_operation(update), "installed", outcome="done")


def _version(update: Update) -> str:
    assert update.version is not None, "it is known once the file is unpacked"
    return update.version
