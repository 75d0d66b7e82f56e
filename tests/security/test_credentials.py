"""Which certificate is used when, when a new one is asked for, and what becomes of requests; time is virtual."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.charging import certificates
from agent.charging.certificates import CertificateVerdict
from agent.charging.conventions import Conventions
from agent.charging.ids import CertificateUse, SecurityEventType
from agent.charging.settings import Settings
from agent.errors import CallTimeout, LinkClosed
from agent.security.certificates import CertificateStore
from agent.security.credentials import ConfiguredFiles, StationCredentials
from tests.helpers.authorities import YEAR, Authority, Issued
from tests.helpers.fake_clock import FakeClock
from tests.helpers.fake_station import settings

DAY = timedelta(days=1)
ROOT = Authority.root()
NO_FILES = ConfiguredFiles()
REQUEST, TAKEN = certificates.RequestOwnCertificate(), CertificateVerdict.ACCEPTED


class Desk:
    """A `CsmsPort` that notes what it is told."""

    def __init__(self) -> None:
        self.is_online = True
        self.peer_chain: tuple[bytes, ...] | None = ()
        self.asked: list[tuple[str, bool]] = []
        self.answer: bool | Exception = True
        self.used: list[str | None] = []
        self.conventions = Conventions()

    async def ask_to_sign(self, request: str, *, triggered: bool) -> bool:
        self.asked.append((request, triggered))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def use_credentials(self, reconnect_because: str | None) -> None:
        self.used.append(reconnect_because)
        self.credentials.material()

    credentials: StationCredentials


class Bench:
    def __init__(self, folder: Path, given: Settings, files: ConfiguredFiles) -> None:
        self.clock = FakeClock()
        self.desk = Desk()
        self.settings = given
        self.events: list[tuple[SecurityEventType, str]] = []
        self.store = CertificateStore(folder)
        self.credentials = StationCredentials(
            self.store,
            given,
            self.clock,
            self.desk,
            lambda kind, detail: self.events.append((kind, detail)),
            name="0001",
            files=files,
        )
        self.desk.credentials = self.credentials

    def add(self, begins: timedelta, ends: timedelta = 10 * YEAR) -> str:
        leaf = ROOT.issue("0001", now=self.clock.now(), begins=begins, ends=ends)
        return self.store.add_own((leaf.certificate,), leaf.key_pem).name

    @property
    def used(self) -> str:
        return Path(self.credentials.material().certificate_file).name

    async def ask(self, request: certificates.CertificateRequest) -> Any:
        return await self.credentials.execute(request)

    async def until_asked(self, times: int = 1) -> str:
        while len(self.desk.asked) < times:  # noqa: ASYNC110 - time is virtual
            await asyncio.sleep(0.1)
        return self.desk.asked[-1][0]


@asynccontextmanager
async def running(tmp_path: Path, files: ConfiguredFiles = NO_FILES, **given: Any) -> AsyncIterator[Bench]:
    bench = Bench(
        tmp_path / "certificates",
        settings(**{"CpoName": "Example Org", "SecurityProfile": 3, **given}),
        files,
    )
    bench.credentials.material()
    task = asyncio.create_task(bench.credentials.run())
    try:
        yield bench
    finally:
        task.cancel()
        await asyncio.wait([task])


# --- which one is used -----------------------------------------------------------------------------------


@pytest.mark.req("R16-343")
async def test_the_newest_valid_certificate_is_used_and_a_coming_one_when_it_begins(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        bench.add(-20 * DAY)
        newer = bench.add(-10 * DAY)
        bench.add(-30 * DAY, ends=-DAY)
        coming = bench.add(timedelta(seconds=90))
        await asyncio.sleep(85)
        assert bench.used == newer
        await asyncio.sleep(8)
        assert bench.desk.used[-1] == "a new certificate of the station is valid"
        assert bench.used == coming


@pytest.mark.req("R16-344")
async def test_a_new_certificate_that_leads_nowhere_makes_room_for_the_old_one(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        old, new = bench.add(-20 * DAY), bench.add(-10 * DAY)
        assert bench.used == new
        bench.credentials.connection_failed("UNREACHABLE")
        for _ in range(2):
            bench.credentials.connection_failed("TLS_OWN_CERTIFICATE")
        assert bench.used == new
        bench.credentials.connection_failed("TLS_OWN_CERTIFICATE")
        assert bench.used == old
        for _ in range(3):
            bench.credentials.connection_failed("CREDENTIALS")
        assert bench.used == new  # nothing else to try: from the start again


@pytest.mark.req("R16-344")
async def test_after_an_outage_the_station_does_not_stay_with_the_configured_certificate(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, ConfiguredFiles(certificate_file="factory.pem")) as bench:
        own = bench.add(-YEAR)
        bench.credentials.material()
        used = []
        for _attempt in range(9):
            bench.credentials.connection_failed("REFUSED")
            used.append(bench.used)
        assert used[2:6] == ["factory.pem"] * 3 + [own]
        assert used[8] == "factory.pem"


@pytest.mark.req("A00.FR.430")
async def test_an_expired_certificate_is_shown_when_the_configured_one_leads_nowhere(tmp_path: Path) -> None:
    """A CSMS may be told to take this station with its expired certificate (A00.FR.429): it has to see it."""
    async with running(tmp_path, ConfiguredFiles(certificate_file="factory.pem")) as bench:
        expired = bench.add(-YEAR, ends=-DAY)
        used = [bench.used]
        for _attempt in range(6):
            bench.credentials.connection_failed("TLS_OWN_CERTIFICATE")
            used.append(bench.used)
        assert used == ["factory.pem"] * 3 + [expired] * 3 + ["factory.pem"]


@pytest.mark.req("A00.FR.430")
@pytest.mark.parametrize("years", [-50, 50])
async def test_a_wrong_time_does_not_leave_the_station_without_a_certificate(
    years: int, tmp_path: Path
) -> None:
    async with running(tmp_path) as bench:
        own = bench.add(-YEAR)
        bench.clock.synchronize(bench.clock.now() + years * YEAR)
        bench.clock.is_trusted = years > 0  # one that nobody has set, and one that the CSMS set to nonsense
        assert bench.used == own
        assert bench.credentials.profile_obstacle(3) is not None


@pytest.mark.req("R16-344")
async def test_an_old_certificate_is_kept_a_month_beside_the_proven_one(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        bench.add(-20 * DAY)
        new = bench.add(-DAY)
        assert bench.used == new
        await asyncio.sleep(33 * 86_400)
        assert len(bench.store.own()) == 2  # never proven
        await bench.credentials.connection_proven()
        await asyncio.sleep(120)
        assert [own.name for own in bench.store.own()] == [new]


@pytest.mark.req("A00.FR.804")
async def test_the_configured_certificate_is_used_until_there_is_one_of_the_csms(tmp_path: Path) -> None:
    files = ConfiguredFiles(certificate_file="/etc/factory.pem", key_file="/etc/factory.key")
    async with running(tmp_path, files) as bench:
        material = bench.credentials.material()
        assert (material.certificate_file, material.key_file) == ("/etc/factory.pem", "/etc/factory.key")
        own = bench.add(-DAY)
        assert bench.used == own
        assert bench.credentials.material().key_file == ""
        for _ in range(3):
            bench.credentials.connection_failed("TLS_OWN_CERTIFICATE")
        assert bench.used == "factory.pem"


# --- asking for one --------------------------------------------------------------------------------------


@pytest.mark.req("R16-336", "R16-340", "R16-341", "TOLERATE-13")
@pytest.mark.parametrize("answer", [True, False, CallTimeout("no answer")])
async def test_what_the_csms_asked_for_is_sent_once_whatever_comes_of_it(
    answer: bool | Exception, tmp_path: Path
) -> None:
    async with running(tmp_path) as bench:
        bench.desk.answer = answer
        assert (await bench.ask(REQUEST)).verdict is TAKEN
        await bench.until_asked()
        await asyncio.sleep(20 * 86_400)
        assert len(bench.desk.asked) == 1
        assert bench.desk.asked[0][1]


@pytest.mark.req("R16-336")
async def test_each_trigger_makes_a_new_key_and_only_the_latest_counts(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        bench.store.install_root(CertificateUse.CSMS_ROOT, ROOT.pem, bench.clock.now(), limit=8)
        await bench.ask(REQUEST)
        first = ROOT.sign(await bench.until_asked(1), now=bench.clock.now())
        await bench.ask(REQUEST)
        second = ROOT.sign(await bench.until_asked(2), now=bench.clock.now())
        refused = await bench.ask(certificates.TakeOwnCertificate(first.pem))
        assert refused.reason == "not about the key of the latest signing request"
        assert (await bench.ask(certificates.TakeOwnCertificate(second.pem))).verdict is TAKEN
        again = await bench.ask(certificates.TakeOwnCertificate(second.pem))
        assert again.verdict is TAKEN  # sent twice
        assert len(bench.store.own()) == 1


@pytest.mark.req("TOLERATE-13", "R16-339")
async def test_a_renewal_begins_a_month_before_the_end_and_is_repeated_as_configured(tmp_path: Path) -> None:
    async with running(tmp_path, CertificateSigningRepeatWait=3 * 86_400) as bench:
        bench.add(-YEAR, ends=32 * DAY)
        await asyncio.sleep(1.9 * 86_400)
        assert bench.desk.asked == []
        await asyncio.sleep(0.2 * 86_400)
        assert [triggered for _request, triggered in bench.desk.asked] == [False]
        await asyncio.sleep(2.8 * 86_400)
        assert len(bench.desk.asked) == 1
        await asyncio.sleep(0.2 * 86_400)
        assert len(bench.desk.asked) == 2


@pytest.mark.req("R16-339", "R16-340")
async def test_a_renewal_is_not_repeated_when_that_is_switched_off(tmp_path: Path) -> None:
    async with running(tmp_path, CertificateSigningRepeatWait=0) as bench:
        bench.add(-YEAR, ends=10 * DAY)
        await asyncio.sleep(9 * 86_400)
        assert len(bench.desk.asked) == 1


async def test_a_renewal_waits_until_the_csms_can_be_asked(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        bench.desk.is_online = False
        bench.add(-YEAR, ends=10 * DAY)
        await asyncio.sleep(3600)
        assert bench.desk.asked == []
        bench.desk.is_online = True
        bench.desk.answer = LinkClosed("gone")
        await asyncio.sleep(2000)
        bench.desk.answer = True
        await bench.credentials.connection_proven()
        await asyncio.sleep(10)
        asked = len(bench.desk.asked)
        assert asked >= 2
        await asyncio.sleep(3600)
        assert len(bench.desk.asked) == asked


@pytest.mark.req("R16-339")
@pytest.mark.parametrize(("days", "times"), [(29, 1), (31, 0)])
async def test_the_configured_certificate_is_renewed_like_one_of_the_csms(
    days: int, times: int, tmp_path: Path
) -> None:
    path = tmp_path / "factory.pem"
    leaf = ROOT.issue("0001", now=FakeClock().now(), ends=days * DAY)
    path.write_text(leaf.chain_pem + leaf.key_pem)
    async with running(tmp_path, ConfiguredFiles(certificate_file=str(path))) as bench:
        await asyncio.sleep(7200)
        assert [triggered for _request, triggered in bench.desk.asked] == [False] * times
        path.write_text("broken")
        await asyncio.sleep(7200)
        assert len(bench.desk.asked) == times


@pytest.mark.req("R16-348")
async def test_a_connection_that_ends_meanwhile_does_not_free_its_root(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        installed = certificates.InstallCertificate(CertificateUse.CSMS_ROOT, ROOT.pem)
        assert (await bench.ask(installed)).verdict is TAKEN
        listed = await bench.ask(certificates.ListCertificates(CertificateUse.CSMS_ROOT))
        bench.desk.peer_chain = (ROOT.der,)
        asking = asyncio.gather(
            bench.ask(certificates.ListCertificates(CertificateUse.CSMS_ROOT)),
            bench.ask(certificates.DeleteCertificate(listed.hashes[0])),
        )
        await asyncio.sleep(0)
        bench.desk.peer_chain = ()
        assert (await asking)[1].verdict is CertificateVerdict.FAILED


@pytest.mark.req("M04.FR.06", "TC_M_23_CS")
async def test_the_configured_certificate_of_the_station_cannot_be_deleted_by_its_hashes(
    tmp_path: Path,
) -> None:
    from agent.charging.ids import HashAlgorithm
    from agent.security import checks

    path = tmp_path / "factory.pem"
    leaf = ROOT.issue("0001")
    path.write_text(leaf.chain_pem + leaf.key_pem)
    wanted = checks.hash_of(leaf.certificate, ROOT.certificate, HashAlgorithm.SHA384)
    async with running(tmp_path, ConfiguredFiles(certificate_file=str(path))) as bench:
        assert (await bench.ask(certificates.DeleteCertificate(wanted))).verdict is CertificateVerdict.FAILED
        path.unlink()
        assert (
            await bench.ask(certificates.DeleteCertificate(wanted))
        ).verdict is CertificateVerdict.NOT_FOUND


@pytest.mark.req("R16-337")
async def test_nothing_is_asked_for_without_the_name_of_the_operator(tmp_path: Path) -> None:
    async with running(tmp_path, CpoName="") as bench:
        bench.add(-YEAR, ends=10 * DAY)
        assert (await bench.ask(REQUEST)).verdict is CertificateVerdict.REJECTED
        await asyncio.sleep(86_400)
        assert bench.desk.asked == []


# --- taking one ------------------------------------------------------------------------------------------


@pytest.mark.req("R16-342", "R16-345", "TC_077_CS")
@pytest.mark.req("A02.FR.16", "A03.FR.16")
@pytest.mark.parametrize(
    ("odd", "limit", "reason"),
    [
        ({}, 100, "longer than 100 characters"),
        ({"ends": -YEAR}, 10_000, "expired"),
        ({"public_key": ROOT.key.public_key()}, 10_000, "not about the key"),
        ({"subject": ROOT.certificate.subject}, 10_000, "CN of the subject"),
    ],
)
async def test_a_wrong_certificate_is_refused_with_an_event(
    odd: dict[str, Any], limit: int, reason: str, tmp_path: Path
) -> None:
    async with running(tmp_path, CertificateSignedMaxChainSize=limit) as bench:
        bench.store.install_root(CertificateUse.CSMS_ROOT, ROOT.pem, bench.clock.now(), limit=8)
        await bench.ask(REQUEST)
        leaf = ROOT.sign(await bench.until_asked(), now=bench.clock.now(), **odd)
        answer = await bench.ask(certificates.TakeOwnCertificate(leaf.pem))
        assert answer.verdict is CertificateVerdict.REJECTED
        assert reason in answer.reason
        assert bench.events == [(SecurityEventType.INVALID_STATION_CERTIFICATE, answer.reason)]
        assert bench.store.own() == []


@pytest.mark.req("R16-342")
async def test_a_certificate_that_nobody_asked_for_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        answer = await bench.ask(certificates.TakeOwnCertificate(ROOT.issue("0001").pem))
        assert answer.reason == "no signing request waits for a certificate"


async def test_a_key_waits_for_its_certificate_over_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        bench.store.install_root(CertificateUse.CSMS_ROOT, ROOT.pem, bench.clock.now(), limit=8)
        await bench.ask(REQUEST)
        leaf: Issued = ROOT.sign(await bench.until_asked(), now=bench.clock.now())
    async with running(tmp_path) as bench:
        assert (await bench.ask(certificates.TakeOwnCertificate(leaf.pem))).verdict is TAKEN


# --- roots -----------------------------------------------------------------------------------------------


@pytest.mark.req("R16-349", "R16-350")
async def test_a_full_store_is_rejected_without_an_event_and_a_broken_disk_is_failed(tmp_path: Path) -> None:
    async with running(tmp_path, CertificateStoreMaxLength=1) as bench:
        first = certificates.InstallCertificate(CertificateUse.CSMS_ROOT, ROOT.pem)
        assert (await bench.ask(first)).verdict is TAKEN
        second = certificates.InstallCertificate(CertificateUse.CSMS_ROOT, Authority.root("Other").pem)
        bench.events.clear()
        assert (await bench.ask(second)).verdict is CertificateVerdict.REJECTED
        assert bench.events == []
    (tmp_path / "file").write_text("")
    async with running(tmp_path / "file") as bench:
        assert (await bench.ask(first)).verdict is CertificateVerdict.FAILED


@pytest.mark.req("R16-332")
async def test_what_a_profile_needs(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        assert bench.credentials.profile_obstacle(1) is None
        assert bench.credentials.profile_obstacle(2) is not None
        bench.store.install_root(CertificateUse.CSMS_ROOT, ROOT.pem, bench.clock.now(), limit=8)
        assert bench.credentials.profile_obstacle(2) is None
        assert bench.credentials.profile_obstacle(3) is not None
        bench.add(DAY)  # not valid yet
        assert bench.credentials.profile_obstacle(3) is not None
        bench.add(-DAY)
        assert bench.credentials.profile_obstacle(3) is None
