"""What 2.x adds for the certificate of the station: a signing request is repeated, and only one certificate is kept."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.charging import certificates
from agent.charging.certificates import CertificateVerdict
from agent.charging.ids import CertificateUse, SecurityEventType
from agent.errors import CallTimeout, LinkClosed
from agent.ocpp.choosing import CONVENTIONS
from agent.security.credentials import ConfiguredFiles
from tests.security.test_credentials import DAY, NO_FILES, REQUEST, ROOT, TAKEN, Bench, running

PACE = {"SecurityCtrlr.CertSigningWaitMinimum": 60, "SecurityCtrlr.CertSigningRepeatTimes": 1}


@asynccontextmanager
async def patient(tmp_path: Path, files: ConfiguredFiles = NO_FILES, **given: Any) -> AsyncIterator[Bench]:
    async with running(tmp_path, files, **{**PACE, **given}) as bench:
        bench.desk.conventions = CONVENTIONS["ocpp2.0.1"]
        bench.store.install_root(CertificateUse.CSMS_ROOT, ROOT.pem, bench.clock.now(), limit=8)
        yield bench


@pytest.mark.req("A02.FR.17", "A02.FR.18", "A02.FR.19", "A03.FR.17", "A03.FR.18", "A03.FR.19")
async def test_the_same_request_goes_again_after_the_wait_and_twice_the_wait_and_no_more(
    tmp_path: Path,
) -> None:
    async with patient(tmp_path) as bench:
        await bench.ask(REQUEST)
        await bench.until_asked(1)
        for seconds, times in ((59, 1), (2, 2), (118, 2), (2, 3), (86_400, 3)):
            await asyncio.sleep(seconds)
            assert len(bench.desk.asked) == times
        assert len(set(bench.desk.asked)) == 1
        await bench.ask(REQUEST)  # until the CSMS wants it
        await bench.until_asked(4)
        assert len(set(bench.desk.asked)) == 2


@pytest.mark.req("A02.FR.17", "TC_A_23_CS")
async def test_a_certificate_for_the_repeated_request_is_taken_and_ends_the_waiting(tmp_path: Path) -> None:
    async with patient(tmp_path) as bench:
        await bench.ask(REQUEST)
        leaf = ROOT.sign(await bench.until_asked(2), now=bench.clock.now())
        await asyncio.sleep(5)
        assert (await bench.ask(certificates.TakeOwnCertificate(leaf.pem))).verdict is TAKEN
        await asyncio.sleep(86_400)
        assert len(bench.desk.asked) == 2


@pytest.mark.req("A02.FR.07", "A02.FR.20", "TC_A_14_CS")
async def test_after_a_wrong_certificate_nobody_asks_again_by_himself(tmp_path: Path) -> None:
    async with patient(tmp_path) as bench:
        await bench.ask(REQUEST)
        await bench.until_asked(1)
        wrong = await bench.ask(certificates.TakeOwnCertificate(ROOT.issue("0001").pem))
        assert wrong.verdict is CertificateVerdict.REJECTED
        await asyncio.sleep(86_400)
        assert len(bench.desk.asked) == 1
        assert [kind for kind, _ in bench.events] == [SecurityEventType.INVALID_STATION_CERTIFICATE]


@pytest.mark.req("A02.FR.12", "TC_A_15_CS")
async def test_a_request_that_the_csms_refuses_is_not_repeated(tmp_path: Path) -> None:
    async with patient(tmp_path) as bench:
        bench.desk.answer = False
        await bench.ask(REQUEST)
        await bench.until_asked(1)
        await asyncio.sleep(86_400)
        assert len(bench.desk.asked) == 1


async def test_a_lost_connection_costs_one_repetition_and_no_more(tmp_path: Path) -> None:
    async with patient(tmp_path) as bench:
        await bench.ask(REQUEST)
        await bench.until_asked(1)
        bench.desk.answer = LinkClosed("offline")
        await bench.until_asked(2)
        bench.desk.answer = True
        await bench.until_asked(3)
        assert len(set(bench.desk.asked)) == 1


async def test_a_new_wish_ends_the_waiting_for_the_old_one(tmp_path: Path) -> None:
    async with patient(tmp_path) as bench:
        await bench.ask(REQUEST)
        await bench.until_asked(1)
        await bench.ask(REQUEST)
        await asyncio.sleep(5)
        assert len(set(bench.desk.asked)) == 2


@pytest.mark.req("A03.FR.02", "A03.FR.19")
async def test_a_renewal_that_brought_nothing_ends_too(tmp_path: Path) -> None:
    async with patient(tmp_path) as bench:
        bench.add(-20 * DAY, ends=10 * DAY)
        bench.credentials._look_now.set()
        await bench.until_asked(3)
        await asyncio.sleep(5 * 86_400)
        assert len(bench.desk.asked) == 3


async def test_with_1_6_nothing_is_repeated(tmp_path: Path) -> None:
    async with running(tmp_path, **PACE) as bench:
        await bench.ask(REQUEST)
        await bench.until_asked(1)
        await asyncio.sleep(86_400)
        assert len(bench.desk.asked) == 1


# --- one certificate -------------------------------------------------------------------------------------


@pytest.mark.req("A03.FR.12", "A03.FR.19")
@pytest.mark.parametrize("answer", [False, CallTimeout("no answer")])
async def test_a_renewal_that_the_csms_did_not_take_is_tried_again_the_next_day(
    tmp_path: Path, answer: bool | Exception
) -> None:
    """Otherwise a CSMS whose authority was away for a minute loses the station when its certificate ends."""
    async with patient(tmp_path) as bench:
        bench.desk.answer = answer
        bench.add(-20 * DAY, ends=10 * DAY)
        bench.credentials._look_now.set()
        await bench.until_asked(1)
        await asyncio.sleep(0.9 * 86_400)
        assert len(bench.desk.asked) == 1
        bench.desk.answer = True
        await asyncio.sleep(0.2 * 86_400)
        assert len(bench.desk.asked) == 1 + 3  # with its repetitions
        await asyncio.sleep(5 * 86_400)
        assert len(bench.desk.asked) == 1 + 3


@pytest.mark.req("A02.FR.06", "A03.FR.06", "TOLERATE-12")
async def test_a_certificate_made_this_moment_is_taken_over_a_slow_clock_and_used_when_it_begins(
    tmp_path: Path,
) -> None:
    async with patient(tmp_path) as bench:
        old = bench.add(-20 * DAY)
        assert bench.used == old
        await bench.ask(REQUEST)
        leaf = ROOT.sign(await bench.until_asked(1), now=bench.clock.now(), begins=timedelta(seconds=20))
        assert (await bench.ask(certificates.TakeOwnCertificate(leaf.pem))).verdict is TAKEN
        await asyncio.sleep(15)
        assert bench.desk.used == []
        await asyncio.sleep(10)
        assert bench.desk.used == ["a new certificate of the station is valid"]


@pytest.mark.req("A02.FR.06", "A03.FR.06")
async def test_a_certificate_that_is_not_valid_yet_is_refused(tmp_path: Path) -> None:
    async with patient(tmp_path) as bench:
        await bench.ask(REQUEST)
        request = await bench.until_asked(1)
        leaf = ROOT.sign(request, now=bench.clock.now(), begins=timedelta(hours=1))
        answer = await bench.ask(certificates.TakeOwnCertificate(leaf.pem))
        assert answer.verdict is CertificateVerdict.REJECTED
        assert "not valid before" in answer.reason


@pytest.mark.req("A02.FR.08", "A03.FR.08", "A02.FR.10", "A03.FR.10")
@pytest.mark.parametrize("begins", [-40 * DAY, -20 * DAY])
async def test_the_certificate_that_was_installed_last_is_used_whenever_its_validity_began(
    tmp_path: Path, begins: timedelta
) -> None:
    """Authorities round the begin down to a day, or further: two of one day, or a newer one that begins earlier."""
    async with patient(tmp_path) as bench:
        start = bench.clock.now()
        old = bench.add(-20 * DAY)
        assert bench.used == old
        await bench.credentials.connection_proven()
        await bench.ask(REQUEST)
        leaf = ROOT.sign(await bench.until_asked(1), now=start, begins=begins)
        assert (await bench.ask(certificates.TakeOwnCertificate(leaf.pem))).verdict is TAKEN
        await asyncio.sleep(1)
        assert bench.desk.used == ["a new certificate of the station is valid"]
        await bench.credentials.connection_proven()
        await asyncio.sleep(1)
        (kept,) = bench.store.own()
        assert kept.name not in (old, "")
        assert bench.used == kept.name
        assert bench.events[1:] == []


@pytest.mark.req("A02.FR.08", "A02.FR.10")
@pytest.mark.req("A03.FR.10")
async def test_once_the_new_certificate_works_the_old_one_is_gone(tmp_path: Path) -> None:
    async with patient(tmp_path) as bench:
        old, new = bench.add(-20 * DAY), bench.add(-10 * DAY)
        assert bench.used == new
        assert {each.name for each in bench.store.own()} == {old, new}
        await bench.credentials.connection_proven()
        await asyncio.sleep(1)
        assert [each.name for each in bench.store.own()] == [new]
        assert bench.events == []


@pytest.mark.req("A02.FR.10", "A02.FR.28", "A02.FR.29")
@pytest.mark.req("A03.FR.10", "A03.FR.24", "A03.FR.25")
async def test_a_new_certificate_that_leads_nowhere_is_given_up_for_the_old_one_and_the_csms_hears_of_it(
    tmp_path: Path,
) -> None:
    async with patient(tmp_path) as bench:
        old, new = bench.add(-20 * DAY), bench.add(-10 * DAY)
        assert bench.used == new
        for _ in range(3):
            bench.credentials.connection_failed("TLS_OWN_CERTIFICATE")
        assert bench.used == old
        await bench.credentials.connection_proven()
        await asyncio.sleep(1)
        assert [each.name for each in bench.store.own()] == [old]
        assert bench.events == [(SecurityEventType.DISCARDED_RENEWED_CERTIFICATE, new)]


@pytest.mark.req("A02.FR.10", "A02.FR.29", "A03.FR.25")
async def test_the_configured_certificate_proves_that_a_new_one_is_no_good(tmp_path: Path) -> None:
    async with patient(tmp_path, ConfiguredFiles(certificate_file="factory.pem")) as bench:
        new = bench.add(-10 * DAY)
        assert bench.used == new
        for _ in range(3):
            bench.credentials.connection_failed("TLS_OWN_CERTIFICATE")
        assert bench.used == "factory.pem"
        await bench.credentials.connection_proven()
        await asyncio.sleep(1)
        assert bench.store.own() == []
        assert bench.events == [(SecurityEventType.DISCARDED_RENEWED_CERTIFICATE, new)]


async def test_a_newer_certificate_that_has_not_been_tried_yet_is_not_dropped(tmp_path: Path) -> None:
    async with patient(tmp_path) as bench:
        bench.add(-20 * DAY)
        assert bench.used
        await bench.credentials.connection_proven()
        new = bench.add(-DAY)
        bench.credentials._look_now.set()
        await asyncio.sleep(1)
        assert new in [each.name for each in bench.store.own()]
        assert bench.desk.used[-1] == "a new certificate of the station is valid"
