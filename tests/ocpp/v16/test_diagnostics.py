"""The words of OCPP 1.6 for uploads: orders in, answers and statuses out."""

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from agent.charging.facts import LogUploadChanged
from agent.charging.ids import LogKind, UploadStatus
from agent.charging.requests import UploadAnswer, UploadLog, UploadVerdict
from agent.ocpp.frontend import DiagnosticsNotice
from agent.ocpp.v16 import diagnostics
from tests.helpers.fake_station import NOW, FakeStation, FixedView
from tests.helpers.talk import Talk

S = UploadStatus
GET_LOG: dict[str, Any] = {
    "logType": "SecurityLog",
    "requestId": 7,
    "retries": 2,
    "retryInterval": 30,
    "log": {
        "remoteLocation": "ftp://cs:pw@host/in/",
        "oldestTimestamp": "2026-01-01T10:00:00+02:00",
        "latestTimestamp": "2026-01-01T10:00:00",
    },
}


def view_after(status: UploadStatus | None, request_id: int | None = None) -> FixedView:
    last = None if status is None else LogUploadChanged(NOW, status, request_id)
    view = FixedView()
    view.picture = replace(view.picture, log_upload=last)
    return view


def said(fact: LogUploadChanged) -> tuple[str, Any] | None:
    call = diagnostics.log_upload_changed(fact, FixedView(), None)
    return None if call is None else (call.action, call.payload)


async def answer_to(action: str, payload: Any, answer: UploadAnswer) -> tuple[Any, list[Any]]:
    """What the CSMS gets, and what the station was asked."""
    station = FakeStation()
    station.answers[UploadLog] = answer
    async with Talk(station) as talk:
        talk.boot()
        return await talk.ask(action, payload), list(station.executed)


# --- orders ------------------------------------------------------------------------------------------------


@pytest.mark.req("R16-300", "R16-302")
async def test_get_diagnostics_is_asked_of_the_station_with_all_that_it_says() -> None:
    payload = {
        "location": "ftp://cs:pw@host/",
        "retries": 0,
        "retryInterval": 5,
        "startTime": "2026-01-01T00:00:00Z",
        "stopTime": "2026-01-01T01:00:00+01:00",
    }
    answer, asked = await answer_to(
        "GetDiagnostics", payload, UploadAnswer(UploadVerdict.ACCEPTED, "CP001.tar.gz")
    )
    assert answer == {"fileName": "CP001.tar.gz"}
    midnight = datetime(2026, 1, 1, tzinfo=UTC)
    assert asked == [UploadLog(LogKind.DIAGNOSTICS, "ftp://cs:pw@host/", midnight, midnight, 0, 5, None)]


@pytest.mark.req("R16-300")
async def test_without_anything_to_send_no_file_is_named() -> None:
    payload = {"location": "ftp://host/"}
    answer, asked = await answer_to("GetDiagnostics", payload, UploadAnswer(UploadVerdict.REJECTED))
    assert answer == {}
    assert asked == [UploadLog(LogKind.DIAGNOSTICS, "ftp://host/")]


@pytest.mark.req("R16-026")
async def test_without_the_profile_get_diagnostics_is_not_supported() -> None:
    async with Talk(FakeStation(SupportedFeatureProfiles="Core")) as talk:
        talk.boot()
        assert await talk.ask("GetDiagnostics", {"location": "ftp://host/"}) == "NotSupported"
        assert talk.station.executed == []


@pytest.mark.req("R16-357", "R16-360")
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (UploadAnswer(UploadVerdict.ACCEPTED, "a.jsonl"), {"status": "Accepted", "filename": "a.jsonl"}),
        (
            UploadAnswer(UploadVerdict.ACCEPTED_CANCELED, "a.jsonl"),
            {"status": "AcceptedCanceled", "filename": "a.jsonl"},
        ),
        (UploadAnswer(UploadVerdict.REJECTED, reason="nothing"), {"status": "Rejected"}),
    ],
)
async def test_get_log_is_answered_as_the_station_judged(answer: UploadAnswer, said: Any) -> None:
    got, asked = await answer_to("GetLog", GET_LOG, answer)
    assert got == said
    ten = datetime(2026, 1, 1, 10, tzinfo=UTC)
    eight = datetime(2026, 1, 1, 8, tzinfo=UTC)
    assert asked == [UploadLog(LogKind.SECURITY, "ftp://cs:pw@host/in/", eight, ten, 2, 30, 7)]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"logType": "Everything"}, "PropertyConstraintViolation"),
        ({"requestId": "7"}, "TypeConstraintViolation"),
        ({"log": {}}, "ProtocolError"),
        ({"log": {"remoteLocation": "x" * 513}}, "PropertyConstraintViolation"),
        ({"log": {"remoteLocation": "x", "oldestTimestamp": "soon"}}, "PropertyConstraintViolation"),
        ({"extra": 1}, "FormationViolation"),
    ],
)
async def test_a_broken_get_log_is_refused_and_nothing_is_ordered(change: Any, code: str) -> None:
    answer, asked = await answer_to(
        "GetLog", {**GET_LOG, **change}, UploadAnswer(UploadVerdict.ACCEPTED, "a")
    )
    assert asked == []
    assert answer == code


# --- what is told ------------------------------------------------------------------------------------------


@pytest.mark.req("R16-301")
@pytest.mark.parametrize(
    ("status", "word"),
    [
        (S.UPLOADING, "Uploading"),
        (S.UPLOADED, "Uploaded"),
        (S.UPLOAD_FAILURE, "UploadFailed"),
        (S.PERMISSION_DENIED, "UploadFailed"),
        (S.BAD_MESSAGE, "UploadFailed"),
        (S.NOT_SUPPORTED_OPERATION, "UploadFailed"),
    ],
)
def test_get_diagnostics_has_one_word_for_every_failure(status: UploadStatus, word: Any) -> None:
    assert said(LogUploadChanged(NOW, status)) == (
        "DiagnosticsStatusNotification",
        diagnostics.DiagnosticsStatusNotificationRequest(status=word),
    )


@pytest.mark.req("R16-358", "R16-359")
@pytest.mark.parametrize(
    "status",
    [
        S.UPLOADING,
        S.UPLOADED,
        S.UPLOAD_FAILURE,
        S.PERMISSION_DENIED,
        S.BAD_MESSAGE,
        S.NOT_SUPPORTED_OPERATION,
    ],
)
def test_get_log_has_a_word_for_each_and_the_id_of_the_order(status: UploadStatus) -> None:
    word: Any = status.value
    assert said(LogUploadChanged(NOW, status, 0)) == (
        "LogStatusNotification",
        diagnostics.LogStatusNotificationRequest(status=word, request_id=0),
    )


@pytest.mark.req("R16-360")
@pytest.mark.parametrize("request_id", [None, 7])
def test_a_cancelled_upload_has_no_status_in_1_6(request_id: int | None) -> None:
    assert said(LogUploadChanged(NOW, S.ACCEPTED_CANCELED, request_id)) is None


@pytest.mark.req("R16-289", "R16-359")
@pytest.mark.parametrize(
    ("last", "request_id", "plain", "log"),
    [
        (None, None, "Idle", ("Idle", None)),
        (S.UPLOADING, None, "Uploading", ("Idle", None)),
        (S.UPLOADING, 7, "Idle", ("Uploading", 7)),
        (S.UPLOADED, None, "Idle", ("Idle", None)),
        (S.UPLOADED, 7, "Idle", ("Idle", None)),
        (S.UPLOAD_FAILURE, 7, "Idle", ("Idle", None)),
        (S.ACCEPTED_CANCELED, 7, "Idle", ("Idle", None)),
    ],
)
def test_a_trigger_tells_what_goes_on(
    last: UploadStatus | None, request_id: int | None, plain: Any, log: tuple[Any, int | None]
) -> None:
    view = view_after(last, request_id)
    told = diagnostics.upload_status_notification(DiagnosticsNotice(), view, None)
    assert told.payload == diagnostics.DiagnosticsStatusNotificationRequest(status=plain)
    told = diagnostics.upload_status_notification(DiagnosticsNotice(is_log=True), view, None)
    assert told.action == "LogStatusNotification"
    assert isinstance(told.payload, diagnostics.LogStatusNotificationRequest)
    assert (told.payload.status, told.payload.request_id or None) == log
