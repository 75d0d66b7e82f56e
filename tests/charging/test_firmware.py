"""The table of a firmware update: what is told when, what ends it, and that every path comes to an end."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.charging import firmware
from agent.charging.facts import FirmwareStatusChanged, SecurityEventRaised
from agent.charging.firmware import (
    Event,
    Stage,
    Update,
    Work,
    begin,
    step,
    waits_until,
    work_of,
)
from agent.charging.ids import FirmwareStatus, SecurityEventType
from agent.charging.requests import UpdateFirmware

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
S = FirmwareStatus


def order(**fields: object) -> UpdateFirmware:
    given_fields = {"location": "http://files/fw", "retrieve_at": NOW, **fields}
    return UpdateFirmware(**given_fields)  # type: ignore[arg-type]


def signed(**fields: object) -> UpdateFirmware:
    return order(request_id=7, signing_certificate="PEM", signature="c2ln", **fields)


def told(update_order: UpdateFirmware, *events: Event, now: datetime = NOW) -> tuple[Update, list[str]]:
    """The update after these events, and every status and security event told on the way."""
    current = begin(update_order, 1, now)
    words = [word(fact) for fact in current.facts]
    for event in events:
        current = step(current.update, event, now)
        words += [word(fact) for fact in current.facts]
    return current.update, words


def word(fact: object) -> str:
    if isinstance(fact, FirmwareStatusChanged):
        return fact.status.value
    assert isinstance(fact, SecurityEventRaised)
    return fact.type.value


RESTART = (firmware.Switching(), firmware.NewVersionRuns())


@pytest.mark.req("R16-293", "R16-295", "R16-297", "TC_044_1_CS")
def test_a_plain_update_tells_every_step_and_installed_only_after_the_csms_took_the_new_version() -> None:
    update, words = told(
        order(),
        firmware.Fetched(),
        firmware.StationIdle(),
        firmware.Staged("1.1"),
        *RESTART,
        firmware.CsmsReached(),
    )
    assert words == ["Downloading", "Downloaded", "Installing", "FirmwareUpdated", "Installed"]
    assert update.stage is Stage.ENDED
    assert work_of(update) is None


@pytest.mark.req("R16-364", "R16-365", "R16-367", "TC_080_CS")
def test_a_signed_update_with_dates_tells_every_step_with_its_id() -> None:
    later = signed(retrieve_at=NOW + HOUR, install_at=NOW + 2 * HOUR)
    first = begin(later, 1, NOW)
    assert [word(fact) for fact in first.facts] == ["DownloadScheduled"]
    assert work_of(first.update) is Work.WAIT_TO_FETCH
    assert waits_until(first.update) == NOW + HOUR
    current, facts = first, list(first.facts)
    for event in (firmware.TimeCame(), firmware.Fetched(), firmware.SignatureGood()):
        current = step(current.update, event, NOW + HOUR)
        facts += current.facts
    assert current.update.stage is Stage.INSTALL_SCHEDULED
    assert waits_until(current.update) == NOW + 2 * HOUR
    for late in (firmware.TimeCame(), firmware.StationIdle()):
        current = step(current.update, late, NOW + 2 * HOUR)
        facts += current.facts
    assert [word(fact) for fact in facts] == [
        "DownloadScheduled",
        "Downloading",
        "Downloaded",
        "SignatureVerified",
        "InstallScheduled",
        "Installing",
    ]
    assert {fact.request_id for fact in facts if isinstance(fact, FirmwareStatusChanged)} == {7}


@pytest.mark.req("R16-366", "TC_081_CS")
def test_a_bad_signature_ends_it_with_a_security_event_and_nothing_is_installed() -> None:
    update, words = told(signed(), firmware.Fetched(), firmware.SignatureBad("no"))
    assert words == ["Downloading", "Downloaded", "InvalidSignature", "InvalidFirmwareSignature"]
    assert update.stage is Stage.ENDED


@pytest.mark.req("R16-294", "TC_044_2_CS")
@pytest.mark.parametrize(
    ("retries", "attempts"), [(0, 1), (2, 3), (None, 1 + firmware.DEFAULT_RETRIES), (-5, 1)]
)
def test_retries_are_repetitions_and_then_the_download_has_failed(retries: int | None, attempts: int) -> None:
    current = begin(order(retries=retries, retry_interval_s=30), 1, NOW)
    for attempt in range(1, attempts + 1):
        assert current.update.stage is Stage.DOWNLOADING
        assert current.update.attempts == attempt
        current = step(current.update, firmware.FetchFailed("unreachable"), NOW)
        if attempt < attempts:
            assert current.update.stage is Stage.DOWNLOAD_PAUSED
            assert waits_until(current.update) == NOW + timedelta(seconds=30)
            current = step(current.update, firmware.TimeCame(), NOW)
    assert [word(fact) for fact in current.facts] == ["DownloadFailed"]


@pytest.mark.req("R16-294")
def test_no_interval_is_so_short_that_it_makes_a_storm() -> None:
    paused = step(begin(order(retry_interval_s=0), 1, NOW).update, firmware.FetchFailed("busy"), NOW)
    assert waits_until(paused.update) >= NOW + timedelta(seconds=firmware.LEAST_RETRY_INTERVAL_S)


def test_a_download_that_cannot_get_better_is_not_tried_again() -> None:
    _update, words = told(order(retries=5), firmware.FetchFailed("dummy is not offered", is_final=True))
    assert words == ["Downloading", "DownloadFailed"]


@pytest.mark.req("R16-298", "TC_044_3_CS")
def test_what_cannot_be_installed_ends_before_anything_was_switched() -> None:
    common = (firmware.Fetched(), firmware.StationIdle())
    _update, failed = told(order(), *common, firmware.Failed("for another machine"))
    assert failed[-1] == "InstallationFailed"
    _update, broken = told(order(), *common, firmware.NotVerified("does not load"))
    assert broken[-1] == "InstallVerificationFailed"


def test_the_release_that_runs_already_is_installed_without_a_restart() -> None:
    _update, words = told(order(), firmware.Fetched(), firmware.StationIdle(), firmware.RunsAlready("1.0"))
    assert words[-1] == "Installed"
    assert SecurityEventType.FIRMWARE_UPDATED.value not in words


def test_a_release_that_does_not_reach_the_csms_is_rolled_back_and_then_told_as_failed() -> None:
    reached_trial = (firmware.Fetched(), firmware.StationIdle(), firmware.Staged("1.1"), *RESTART)
    update, words = told(order(), *reached_trial, firmware.CsmsNotReached("silence"))
    assert update.stage is Stage.ROLLING_BACK
    assert words[-1] == "Installing", "nothing is told before it is true"
    update, words = told(
        order(),
        *reached_trial,
        firmware.CsmsNotReached("silence"),
        firmware.Switching(),
        firmware.OldVersionRuns("rolled back"),
    )
    assert words[-1] == "InstallationFailed"
    assert update.reason == "silence"


def test_a_restart_that_never_brings_the_other_release_is_given_up() -> None:
    current = begin(order(), 1, NOW)
    for event in (firmware.Fetched(), firmware.StationIdle(), firmware.Staged("1.1")):
        current = step(current.update, event, NOW)
    for _ in range(firmware.MOST_SWITCHES):
        current = step(current.update, firmware.Switching(), NOW)
        assert current.update.stage is Stage.ACTIVATING
        assert not current.facts
    current = step(current.update, firmware.Switching(), NOW)
    assert [word(fact) for fact in current.facts] == ["InstallationFailed"]


def test_an_event_that_a_stage_cannot_meet_is_a_bug() -> None:
    with pytest.raises(LookupError, match="CsmsReached in stage downloading"):
        step(begin(order(), 1, NOW).update, firmware.CsmsReached(), NOW)


@pytest.mark.req("R16-304", "R16-370")
def test_every_stage_is_either_cancelable_or_holds_what_must_not_be_torn() -> None:
    assert Stage.WAITING in firmware.CANCELABLE
    assert {Stage.INSTALLING, Stage.ACTIVATING, Stage.TRIAL, Stage.ROLLING_BACK}.isdisjoint(
        firmware.CANCELABLE
    )
    assert firmware.CANCELABLE | firmware.HOLDS_STATION | {Stage.ENDED} == set(Stage)


@pytest.mark.req("R16-298")
def test_a_crash_ends_whatever_would_keep_the_station_out_of_service() -> None:
    for stage in Stage:
        event = firmware.crash_of(Update(order(retries=0), 1, stage, attempts=1, version="1.1"), "bug")
        if event is not None:
            after = step(Update(order(retries=0), 1, stage, attempts=1, version="1.1"), event, NOW).update
            assert after.stage in (Stage.ENDED, Stage.ROLLING_BACK)
    crashed = {stage for stage in Stage if firmware.crash_of(Update(order(), 1, stage), "bug") is not None}
    assert crashed == {Stage.DOWNLOADING, Stage.DOWNLOADED, Stage.INSTALLING, Stage.TRIAL}


def test_every_stage_but_the_last_has_work_and_every_work_an_event_that_ends_it() -> None:
    for stage in Stage:
        met = {kind for known, kind in firmware.TRANSITIONS if known is stage}
        assert bool(met) is (stage is not Stage.ENDED)
        assert (work_of(Update(order(), 1, stage)) is not None) is (stage is not Stage.ENDED)


EVENTS: dict[type, Event] = {
    kind: kind(*("x" for _ in kind.__struct_fields__ if _ in ("reason", "version")))
    for kind in {kind for _stage, kind in firmware.TRANSITIONS}
}


@given(
    st.data(),
    st.booleans(),
    st.integers(min_value=0, max_value=3),
    st.sampled_from([None, NOW - HOUR, NOW + HOUR]),
    st.sampled_from([NOW - HOUR, NOW + HOUR]),
)
def test_any_course_of_events_tells_a_legal_sequence_and_ends(
    data: st.DataObject, is_signed: bool, retries: int, install_at: datetime | None, retrieve_at: datetime
) -> None:
    make = signed if is_signed else order
    current = begin(make(retries=retries, install_at=install_at, retrieve_at=retrieve_at), 1, NOW)
    facts = list(current.facts)
    was_busy = False
    for _ in range(100):
        stage = current.update.stage
        if stage is Stage.ENDED:
            break
        assert work_of(current.update) is not None
        kinds = sorted(
            (kind for known, kind in firmware.TRANSITIONS if known is stage), key=lambda k: k.__name__
        )
        kind = data.draw(st.sampled_from(kinds))
        was_busy = was_busy or kind is firmware.StationBusy
        current = step(current.update, EVENTS[kind], NOW)
        facts += current.facts
    assert current.update.stage is Stage.ENDED, "an update that never ends"
    statuses = [fact.status for fact in facts if isinstance(fact, FirmwareStatusChanged)]
    assert statuses[-1].is_end
    assert not any(status.is_end for status in statuses[:-1])
    assert {f.request_id for f in facts if isinstance(f, FirmwareStatusChanged)} == {7 if is_signed else None}
    if S.INSTALLING in statuses and statuses.count(S.INSTALLING) == 1:
        assert S.DOWNLOADED in statuses
        assert (S.SIGNATURE_VERIFIED in statuses) is is_signed
        is_dated = install_at is not None and install_at > NOW
        assert statuses.count(S.INSTALL_SCHEDULED) == (is_dated or was_busy)
    assert (statuses[-1] is S.INVALID_SIGNATURE) is any(
        isinstance(f, SecurityEventRaised) and f.type is SecurityEventType.INVALID_FIRMWARE_SIGNATURE
        for f in facts
    )
