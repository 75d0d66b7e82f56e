"""Carries out orders to upload a log: one at a time, with retries, statuses, and a newer order replacing an older one.

The rules are `agent/charging/diagnostics.py`. An order is on disk before it is answered, and its attempts are counted
there, so that a restart goes on with it. Statuses are durable facts: offline they wait for the CSMS. Ordered by the
station (`charging.ports.LogUploads`), run by `agent/app.py`. OCPP 1.6 5.9 (R16-300 to R16-304); security white paper
N01 (R16-357 to R16-360).
"""

import asyncio
import logging
import ssl
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent.charging import reasons
from agent.charging.diagnostics import Period, file_name, period_of, retries_of
from agent.charging.facts import DurableFact, LogUploadChanged
from agent.charging.ids import LogKind, UploadStatus
from agent.charging.ports import Clock, SecurityLog
from agent.charging.requests import UploadAnswer, UploadLog, UploadVerdict
from agent.diagnostics.jobs import JobFile, UploadJob
from agent.errors import StoreError
from agent.progress import Outcome, Progress, Report, report_nothing
from agent.transfer import HOPELESS, TransferError, TransferFailure, forget, parse_location, upload

log = logging.getLogger(__name__)

STATUSES: Mapping[TransferFailure, UploadStatus] = {
    TransferFailure.BAD_LOCATION: UploadStatus.BAD_MESSAGE,
    TransferFailure.NOT_SUPPORTED: UploadStatus.NOT_SUPPORTED_OPERATION,
    TransferFailure.PERMISSION_DENIED: UploadStatus.PERMISSION_DENIED,
    TransferFailure.NOT_FOUND: UploadStatus.UPLOAD_FAILURE,
    TransferFailure.UNTRUSTED: UploadStatus.UPLOAD_FAILURE,
    TransferFailure.UNREACHABLE: UploadStatus.UPLOAD_FAILURE,
    TransferFailure.STALLED: UploadStatus.UPLOAD_FAILURE,
    TransferFailure.BROKEN: UploadStatus.UPLOAD_FAILURE,
    TransferFailure.REFUSED: UploadStatus.UPLOAD_FAILURE,
    TransferFailure.TOO_LARGE: UploadStatus.UPLOAD_FAILURE,
    TransferFailure.NO_SPACE: UploadStatus.UPLOAD_FAILURE,
}
"""As precise as the words allow (R16-358, white paper 6.19)."""


class StationPort(Protocol):
    async def report(self, fact: DurableFact) -> None: ...


class Collector(Protocol):
    """Makes the files (`collecting.py`)."""

    async def write(self, kind: LogKind, target: Path, period: Period) -> None:
        """All of it or nothing. Raises OSError, StoreError."""


class _Moved:
    """A line in the log for each quarter; whoever watches hears more."""

    def __init__(self, name: str, report: Report) -> None:
        self._name = name
        self._report = report
        self._told = 0

    def __call__(self, done: int, total: int | None) -> None:
        self._report(Progress(operation(self._name), "uploading", done, total, "B"))
        quarters = 4 * done // total if total else 0
        if quarters > self._told:
            self._told = quarters
            log.info("%s: %d of %d bytes are over", self._name, done, total)


def operation(file_name: str) -> str:
    """The name of an upload for those who watch its progress."""
    return f"upload of {file_name}"


@dataclass(frozen=True, slots=True)
class UploadRules:
    folder: Path
    """For the file on its way and its order; nothing else is in it."""
    identity: str
    protocols: Callable[[], Collection[str]]
    """Those of the setting SupportedFileTransferProtocols."""
    trust: Callable[[], ssl.SSLContext | None]
    """For HTTPS and FTPS; blocks, None = the system's authorities. Raises OSError."""
    known_hosts: Path | None = None
    """For SFTP."""


class Uploads:
    """Implements `charging.ports.LogUploads`. `run` does the work."""

    def __init__(
        self,
        station: StationPort,
        clock: Clock,
        collector: Collector,
        security_log: SecurityLog,
        rules: UploadRules,
        report: Report = report_nothing,
    ) -> None:
        """`report` hears how far an upload is."""
        self._station = station
        self._clock = clock
        self._collector = collector
        self._security_log = security_log
        self._rules = rules
        self._tell_progress = report
        self._file = JobFile(rules.folder)
        self._job: UploadJob | None = None
        """The order that holds; its upload may still be waiting for the older one to end."""
        self._replaced: list[UploadJob] = []
        self._work: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
        self._turn = asyncio.Lock()

    async def order(self, request: UploadLog) -> UploadAnswer:
        """Take an order; a newer one replaces the older (R16-304, R16-360). On disk before the answer."""
        async with self._turn:
            now = self._clock.now()
            if not await self._has_something(request):
                return UploadAnswer(UploadVerdict.REJECTED, reason="nothing is logged in that time")
            job = UploadJob(request, file_name(request.kind, self._rules.identity, now), now)
            try:
                await asyncio.to_thread(self._file.save, job)
            except OSError as error:
                log.error("the order to upload a log cannot be stored: %s", error)
                return UploadAnswer(UploadVerdict.REJECTED, reason=reasons.NOT_STORED)
            older, self._job = self._job, job
            if older is not None:
                log.warning("the upload of %s is given up for a newer one", older.file_name)
                self._replaced.append(older)
            if self._work is not None:
                self._work.cancel()
            self._wanted.set()
        verdict = UploadVerdict.ACCEPTED if older is None else UploadVerdict.ACCEPTED_CANCELED
        return UploadAnswer(verdict, job.file_name)

    async def _has_something(self, request: UploadLog) -> bool:
        """R16-300: of diagnostics there is always something, unless the time asked for holds nothing at all."""
        if not period_of(request).can_hold(self._clock.now()):
            return False
        if request.kind is LogKind.DIAGNOSTICS:
            return True
        return bool(await self._security_log.rows(request.oldest, request.latest))

    async def run(self) -> None:
        """Until cancelled; begins with the order that a restart interrupted."""
        await self._recall()
        try:
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                await self._tell_of_replaced()
                async with self._turn:
                    job = self._job
                    if job is not None:
                        with suppress(OSError):  # left by an order given up while its file was being made
                            await asyncio.to_thread(self._file.sweep, job.file_name)
                if job is not None:
                    await self._work_on(job)
        finally:
            if self._work is not None:
                self._work.cancel()
                await asyncio.wait([self._work])

    async def _recall(self) -> None:
        async with self._turn:
            if self._job is None:
                self._job = await asyncio.to_thread(self._file.load)
                keep = self._job.file_name if self._job is not None else None
                with suppress(OSError):
                    await asyncio.to_thread(self._file.sweep, keep)
            if self._job is not None:
                self._wanted.set()

    async def _tell_of_replaced(self) -> None:
        while self._replaced:
            older = self._replaced.pop(0)
            await self._report(older, UploadStatus.ACCEPTED_CANCELED)
            self._tell_progress(
                Progress(operation(older.file_name), "given up for a newer one", outcome="failed")
            )
            await self._forget(older)

    async def _work_on(self, job: UploadJob) -> None:
        """In a task of its own, which a newer order can end. A crash is told to the CSMS as a failed upload."""
        self._work = asyncio.create_task(self._carry_out(job), name=f"upload of {job.file_name}")
        await asyncio.wait([self._work])
        work, self._work = self._work, None
        if not work.cancelled() and work.exception() is not None:
            await self._end(job, UploadStatus.UPLOAD_FAILURE)
            work.result()

    # --- one order -------------------------------------------------------------------------------------

    async def _carry_out(self, job: UploadJob) -> None:
        await self._report(job, UploadStatus.UPLOADING)
        rule = retries_of(job.request)
        if not rule.may_try_again(job.attempts):
            log.error("the upload of %s was interrupted by a restart and is not tried again", job.file_name)
            await self._end(job, UploadStatus.UPLOAD_FAILURE)
            return
        while True:
            failure = await self._attempt(job)
            if failure is None:
                await self._end(job, UploadStatus.UPLOADED)
                return
            if failure in HOPELESS or not rule.may_try_again(job.attempts):
                await self._end(job, STATUSES[failure])
                return
            log.info("the upload of %s is tried again in %g s", job.file_name, rule.interval_s)
            await asyncio.sleep(rule.interval_s)

    async def _attempt(self, job: UploadJob) -> TransferFailure | None:
        """None: it is there."""
        request, rules = job.request, self._rules
        try:
            await self._count_attempt(job)
            place = parse_location(request.location, rules.protocols())
            path = rules.folder / job.file_name
            if not await asyncio.to_thread(path.exists):
                self._tell_progress(Progress(operation(job.file_name), "collecting"))
                await self._collector.write(request.kind, path, period_of(request))
            log.info("uploading %s to %s", job.file_name, place.shown)
            await upload(
                request.location,
                path,
                trust=await asyncio.to_thread(rules.trust),
                known_hosts=rules.known_hosts,
                protocols=rules.protocols(),
                on_progress=_Moved(job.file_name, self._tell_progress),
            )
        except TransferError as error:
            log.warning("the upload of %s failed: %s", job.file_name, error)
            return error.failure
        except (OSError, StoreError) as error:
            log.error("%s cannot be made: %s", job.file_name, error)
            return TransferFailure.NO_SPACE
        log.info("%s is uploaded", job.file_name)
        return None

    async def _count_attempt(self, job: UploadJob) -> None:
        """Before it begins. Never over the order that has replaced this one meanwhile. Raises OSError."""
        job.attempts += 1
        async with self._turn:
            if self._job is job:
                await asyncio.to_thread(self._file.save, job)

    async def _end(self, job: UploadJob, status: UploadStatus) -> None:
        """Told and forgotten. A power cut in between tells it again rather than not at all."""
        is_there = status is UploadStatus.UPLOADED
        outcome: Outcome = "done" if is_there else "failed"
        words = "uploaded" if is_there else f"not uploaded ({status})"
        self._tell_progress(Progress(operation(job.file_name), words, outcome=outcome))
        await self._report(job, status)
        async with self._turn:
            if self._job is job:
                self._job = None
                with suppress(OSError):
                    await asyncio.to_thread(self._file.drop)
        await self._forget(job)

    async def _forget(self, job: UploadJob) -> None:
        with suppress(OSError):
            await asyncio.to_thread(forget, self._rules.folder / job.file_name)

    async def _report(self, job: UploadJob, status: UploadStatus) -> None:
        try:
            await self._station.report(LogUploadChanged(self._clock.now(), status, job.request.request_id))
        except StoreError as error:
            log.error("the status %s of an upload could not be stored: %s", status, error)
