"""The rules of uploads: periods, retries, names of files, what counts as going on."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.charging.diagnostics import Period, file_name, is_uploading, period_of, retries_of
from agent.charging.facts import LogUploadChanged
from agent.charging.ids import LogKind, UploadStatus
from agent.charging.requests import UploadLog

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def order(**given: object) -> UploadLog:
    return UploadLog(kind=LogKind.DIAGNOSTICS, location="ftp://example.com/", **given)  # type: ignore[arg-type]


@pytest.mark.req("R16-302")
def test_both_ends_of_a_period_belong_to_it() -> None:
    period = period_of(order(oldest=NOON, latest=NOON + HOUR))
    assert period.includes(NOON)
    assert period.includes(NOON + HOUR)
    assert not period.includes(NOON - timedelta(microseconds=1))
    assert not period.includes(NOON + HOUR + timedelta(microseconds=1))
    assert Period().includes(NOON)


@pytest.mark.req("R16-302")
@pytest.mark.parametrize(
    ("begin", "end", "touches"), [(-3, -1, False), (-1, 0, True), (-1, 3, True), (1, 2, True), (2, 3, False)]
)
def test_what_lasted_belongs_to_every_period_that_it_touches(begin: int, end: int, touches: bool) -> None:
    period = Period(NOON, NOON + 1.5 * HOUR)
    assert period.touches(NOON + begin * HOUR, NOON + end * HOUR) is touches


@pytest.mark.req("R16-300")
def test_nothing_can_lie_in_the_future_or_between_swapped_ends() -> None:
    assert Period().can_hold(NOON)
    assert Period(NOON, None).can_hold(NOON)
    assert Period(None, NOON - HOUR).can_hold(NOON)
    assert not Period(NOON + HOUR, None).can_hold(NOON)
    assert not Period(NOON - HOUR, NOON - 2 * HOUR).can_hold(NOON)


@pytest.mark.req("R16-302")
@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (1, 2), (5, 6), (-3, 1), (None, 4)])
def test_retries_come_on_top_of_the_first_attempt(retries: int | None, attempts: int) -> None:
    rule = retries_of(order(retries=retries))
    made = 0
    while rule.may_try_again(made):
        made += 1
    assert made == attempts


@pytest.mark.req("R16-302")
def test_the_interval_is_that_of_the_order_or_our_own() -> None:
    assert retries_of(order(retry_interval_s=7)).interval_s == 7
    assert retries_of(order(retry_interval_s=0)).interval_s == 0
    assert retries_of(order(retry_interval_s=-7)).interval_s == 0
    assert retries_of(order()).interval_s == 60


@given(st.text(max_size=300), st.sampled_from(list(LogKind)))
def test_a_file_name_is_plain_and_fits_whatever_the_identity(identity: str, kind: LogKind) -> None:
    name = file_name(kind, identity, NOON)
    assert len(name) <= 255
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*_20260101T120000000Z\.(tar\.gz|jsonl)", name)


def test_a_file_name_says_of_whom_what_and_when() -> None:
    at = datetime.fromisoformat("2026-01-01T14:05:06.789+02:00")
    assert file_name(LogKind.DIAGNOSTICS, "CP 001", at) == "CP_001_diagnostics_20260101T120506789Z.tar.gz"
    assert file_name(LogKind.SECURITY, "..", at) == "station_security_20260101T120506789Z.jsonl"


@pytest.mark.req("R16-289")
def test_only_uploading_counts_as_going_on() -> None:
    assert not is_uploading(None)
    for status in UploadStatus:
        assert is_uploading(LogUploadChanged(NOON, status)) is (status is UploadStatus.UPLOADING)
