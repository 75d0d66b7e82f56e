"""Orders to upload: durable before they are answered, one at a time, and always told to an end."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.charging.diagnostics import Period
from agent.charging.facts import DurableFact, LogUploadChanged, SecurityEventRaised
from agent.charging.ids import LogKind, UploadStatus
from agent.charging.requests import UploadLog, UploadVerdict
from agent.diagnostics.jobs import JobFile
from agent.diagnostics.uploads import STATUSES, UploadRules, Uploads
from agent.errors import StoreFull
from agent.progress import Progress
from agent.transfer import PROTOCOLS, TransferFailure
from tests.helpers.fake_clock import FakeClock
from tests.helpers.file_servers import HttpFiles

S = UploadStatus
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Rig:
    """Everything around the uploads: what was reported, what is collected, who is asked for the security log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: list[tuple[UploadStatus, int | None]] = []
        self.report_failure: Exception | None = None
        self.collect_failure: Exception | None = None
        self.collected: list[tuple[LogKind, Period]] = []
        self.may_collect = asyncio.Event()
        self.may_collect.set()
        self.progress: list[Progress] = []
        self.uploads = self.restarted()

    def restarted(self) -> Uploads:
        """As a new process would have it."""
        rules = UploadRules(self.folder, "CP001", lambda: PROTOCOLS, lambda: None)
        self.uploads = Uploads(self, FakeClock(), self, self, rules, self.progress.append)
        return self.uploads

    async def report(self, fact: DurableFact) -> None:
        assert isinstance(fact, LogUploadChanged)
        if self.report_failure is not None:
            raise self.report_failure
        self.told.append((fact.status, fact.request_id))

    async def write(self, kind: LogKind, target: Path, period: Period) -> None:
        self.collected.append((kind, period))
        await self.may_collect.wait()
        if self.collect_failure is not None:
            raise self.collect_failure
        await asyncio.to_thread(target.write_bytes, b"everything")

    async def rows(self, oldest: datetime | None, latest: datetime | None) -> Sequence[SecurityEventRaised]:
        return ()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(self.uploads.run())
        yield task
        task.cancel()
        await asyncio.wait([task])

    async def until(self, happened: Callable[[], object]) -> None:
        async with asyncio.timeout(3600):
            while not happened():  # noqa: ASYNC110 - time is virtual
                await asyncio.sleep(0.05)

    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.exists() else []


@pytest.fixture
async def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "diagnostics")


@pytest.fixture
async def files(tmp_path: Path) -> AsyncIterator[HttpFiles]:
    (tmp_path / "served").mkdir()
    async with HttpFiles(tmp_path / "served") as server:
        yield server


def order(location: str, request_id: int | None = 1, retries: int | None = 0) -> UploadLog:
    return UploadLog(LogKind.DIAGNOSTICS, location, retries=retries, request_id=request_id)


@pytest.mark.req("R16-358")
def test_every_failure_has_its_status() -> None:
    assert set(STATUSES) == set(TransferFailure)
    precise = {failure: status for failure, status in STATUSES.items() if status is not S.UPLOAD_FAILURE}
    assert precise == {
        TransferFailure.BAD_LOCATION: S.BAD_MESSAGE,
        TransferFailure.NOT_SUPPORTED: S.NOT_SUPPORTED_OPERATION,
        TransferFailure.PERMISSION_DENIED: S.PERMISSION_DENIED,
    }


async def test_an_accepted_order_survives_the_power_going_at_once(rig: Rig, files: HttpFiles) -> None:
    answer = await rig.uploads.order(order(files.url("got")))
    assert answer.verdict is UploadVerdict.ACCEPTED
    assert rig.told == []
    rig.restarted()
    async with rig.running():
        await rig.until(lambda: len(rig.told) == 2)
    assert rig.told == [(S.UPLOADING, 1), (S.UPLOADED, 1)]
    assert rig.files() == []


@pytest.mark.req("N01.FR.05", "TC_N_34_CS")
async def test_an_order_for_a_log_without_anything_in_it_is_refused(rig: Rig, files: HttpFiles) -> None:
    async with rig.running():
        answer = await rig.uploads.order(UploadLog(LogKind.SECURITY, files.url("got"), request_id=1))
        assert (answer.verdict, answer.file_name) == (UploadVerdict.REJECTED, None)
        await asyncio.sleep(60)
    assert rig.told == []


async def test_an_order_that_cannot_be_stored_is_refused(rig: Rig, files: HttpFiles) -> None:
    rig.folder.write_text("a file where the directory should be")
    answer = await rig.uploads.order(order(files.url("got")))
    assert (answer.verdict, answer.file_name) == (UploadVerdict.REJECTED, None)
    async with rig.running():
        await asyncio.sleep(60)
    assert rig.told == []


@pytest.mark.req("R16-302")
async def test_the_file_is_made_once_for_all_attempts(rig: Rig, files: HttpFiles) -> None:
    files.statuses["got"] = 500
    async with rig.running():
        await rig.uploads.order(order(files.url("got"), retries=3))
        await rig.until(lambda: len(rig.told) == 2)
    assert rig.told[-1] == (S.UPLOAD_FAILURE, 1)
    assert len(rig.collected) == 1
    assert len(files.requests) == 4


async def test_a_disk_that_is_full_for_the_archive_is_a_failed_attempt(rig: Rig, files: HttpFiles) -> None:
    rig.collect_failure = OSError("No space left on device")
    async with rig.running():
        await rig.uploads.order(order(files.url("got"), retries=1))
        await asyncio.sleep(30)
        rig.collect_failure = None
        await rig.until(lambda: len(rig.told) == 2)
    assert rig.told[-1] == (S.UPLOADED, 1)


async def test_a_crash_is_told_as_a_failed_upload_and_is_not_repeated(rig: Rig, files: HttpFiles) -> None:
    rig.collect_failure = RuntimeError("a bug")
    async with rig.running() as task:
        await rig.uploads.order(order(files.url("got"), retries=5))
        await asyncio.wait([task])
        assert isinstance(task.exception(), RuntimeError)
    assert rig.told == [(S.UPLOADING, 1), (S.UPLOAD_FAILURE, 1)]
    rig.collect_failure = None
    async with rig.running():  # the supervisor starts it again
        await asyncio.sleep(60)
        assert len(rig.told) == 2
        await rig.uploads.order(order(files.url("got"), 2))
        await rig.until(lambda: (S.UPLOADED, 2) in rig.told)


async def test_a_status_that_cannot_be_stored_does_not_end_the_upload(
    rig: Rig, files: HttpFiles, tmp_path: Path
) -> None:
    rig.report_failure = StoreFull("no space")
    async with rig.running():
        await rig.uploads.order(order(files.url("got")))
        await rig.until(lambda: rig.files() == [])
    assert (tmp_path / "served" / "got").read_bytes() == b"everything"


@pytest.mark.req("R16-304", "R16-360")
async def test_an_order_that_comes_while_the_older_is_being_packed_replaces_it(
    rig: Rig, files: HttpFiles, tmp_path: Path
) -> None:
    rig.may_collect.clear()
    async with rig.running():
        await rig.uploads.order(order(files.url("first"), 1))
        await rig.until(lambda: rig.collected)
        answer = await rig.uploads.order(order(files.url("second"), 2))
        assert answer.verdict is UploadVerdict.ACCEPTED_CANCELED
        kept = JobFile(rig.folder).load()
        assert kept is not None
        assert kept.request.request_id == 2
        rig.may_collect.set()
        await rig.until(lambda: (S.UPLOADED, 2) in rig.told)
        await asyncio.sleep(60)
    assert rig.told == [(S.UPLOADING, 1), (S.ACCEPTED_CANCELED, 1), (S.UPLOADING, 2), (S.UPLOADED, 2)]
    assert [path.name for path in (tmp_path / "served").iterdir()] == ["second"]
    assert rig.files() == []


async def test_what_a_given_up_order_left_is_removed_with_the_next_one(rig: Rig, files: HttpFiles) -> None:
    """A file that is being made is finished by its thread, whoever gave up the order meanwhile."""
    async with rig.running():
        await rig.uploads.order(order(files.url("first"), 1))
        await rig.until(lambda: (S.UPLOADED, 1) in rig.told)
        (rig.folder / "late.tar.gz").write_bytes(b"everything")
        await rig.uploads.order(order(files.url("second"), 2))
        await rig.until(lambda: (S.UPLOADED, 2) in rig.told and rig.files() == [])


@pytest.mark.req("R16-360")
async def test_an_order_after_the_end_of_the_older_cancels_nothing(rig: Rig, files: HttpFiles) -> None:
    async with rig.running():
        await rig.uploads.order(order(files.url("first"), 1))
        await rig.until(lambda: rig.files() == [] and (S.UPLOADED, 1) in rig.told)
        answer = await rig.uploads.order(order(files.url("second"), 2))
        assert answer.verdict is UploadVerdict.ACCEPTED
        await rig.until(lambda: (S.UPLOADED, 2) in rig.told)


async def test_two_orders_before_the_work_begins_are_one_upload(rig: Rig, files: HttpFiles) -> None:
    await rig.uploads.order(order(files.url("first"), 1))
    answer = await rig.uploads.order(order(files.url("second"), 2))
    assert answer.verdict is UploadVerdict.ACCEPTED_CANCELED
    async with rig.running():
        await rig.until(lambda: (S.UPLOADED, 2) in rig.told)
    assert rig.told == [(S.ACCEPTED_CANCELED, 1), (S.UPLOADING, 2), (S.UPLOADED, 2)]


@pytest.mark.req("R16-357")
async def test_an_empty_security_log_is_not_uploaded(rig: Rig) -> None:
    answer = await rig.uploads.order(UploadLog(LogKind.SECURITY, "http://host/", request_id=1))
    assert (answer.verdict, answer.file_name) == (UploadVerdict.REJECTED, None)
    assert rig.files() == []


async def test_credentials_of_the_location_are_in_no_log(
    rig: Rig, files: HttpFiles, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with rig.running():
        for number, path in enumerate(("got?sig=abc123", "none/deep/got")):
            await rig.uploads.order(order(files.url(path), number))
            await rig.until(lambda number=number: any(end == number for _, end in rig.told[1:]))  # type: ignore[misc]
            await rig.until(lambda: rig.files() == [])
    assert "uploading CP001_diagnostics" in caplog.text
    for secret in ("s3cr3t", "abc123"):
        assert secret not in caplog.text


async def test_whoever_watches_sees_an_upload_from_collecting_to_its_end(rig: Rig, files: HttpFiles) -> None:
    async with rig.running():
        answer = await rig.uploads.order(order(files.url("got")))
        await rig.until(lambda: len(rig.told) == 2)
        await rig.uploads.order(order("gopher://nowhere/"))
        await rig.until(lambda: len(rig.told) == 4)
    assert {each.name for each in rig.progress[:-1]} == {f"upload of {answer.file_name}"}
    stages = [each.stage for each in rig.progress]
    assert (stages[0], stages[-2], stages[-1]) == (
        "collecting",
        "uploaded",
        "not uploaded (NotSupportedOperation)",
    )
    moved = [each for each in rig.progress if each.stage == "uploading"]
    assert (moved[-1].done, moved[-1].total, moved[-1].unit) == (10, 10, "B")
    assert [each.outcome for each in rig.progress[-2:]] == ["done", "failed"]
