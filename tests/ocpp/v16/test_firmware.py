"""The words of OCPP 1.6 for firmware updates: orders in, answers and statuses out."""

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from agent.charging.facts import FirmwareStatusChanged
from agent.charging.ids import FirmwareStatus
from agent.charging.requests import UpdateAnswer, UpdateFirmware, UpdateVerdict
from agent.ocpp.codec import Category, encode
from agent.ocpp.frontend import Ask, FirmwareNotice, Refuse, Reply
from agent.ocpp.v16 import firmware
from tests.helpers.fake_station import NOW, FakeStation, FixedView
from tests.helpers.talk import Talk

S = FirmwareStatus
SIGNED: dict[str, Any] = {
    "requestId": 7,
    "retries": 2,
    "retryInterval": 30,
    "firmware": {
        "location": "https://host/fw",
        "retrieveDateTime": "2026-01-01T10:00:00+02:00",
        "installDateTime": "2026-01-01T10:00:00",
        "signingCertificate": "PEM",
        "signature": "c2ln",
    },
}


def view_after(status: FirmwareStatus | None, request_id: int | None = None) -> FixedView:
    last = None if status is None else FirmwareStatusChanged(NOW, status, request_id)
    view = FixedView()
    view.picture = replace(view.picture, firmware=last)
    return view


def text_of(call: Any) -> tuple[str, str] | None:
    return None if call is None else (call.action, encode(call.payload))


# --- orders ------------------------------------------------------------------------------------------------


@pytest.mark.req("R16-292", "R16-304")
async def test_a_plain_order_is_passed_on_and_its_answer_says_nothing() -> None:
    station = FakeStation()
    station.answers[UpdateFirmware] = UpdateAnswer(UpdateVerdict.REJECTED, "busy")
    async with Talk(station) as talk:
        talk.boot()
        answer = await talk.ask(
            "UpdateFirmware",
            {"location": "ftp://u:p@host/fw", "retrieveDate": "2026-01-01T10:00:00Z", "retries": 0},
        )
        assert answer == {}
    assert station.executed == [
        UpdateFirmware("ftp://u:p@host/fw", datetime(2026, 1, 1, 10, tzinfo=UTC), retries=0)
    ]


@pytest.mark.req("R16-362")
async def test_a_plain_order_that_is_not_offered_is_not_supported() -> None:
    response = firmware.update_firmware(
        firmware.UpdateFirmwareRequest(location="http://x/y", retrieve_date=NOW), FixedView()
    )
    assert isinstance(response, Ask)
    refused = response.reply(UpdateAnswer(UpdateVerdict.NOT_OFFERED, "only signed updates are taken"))
    assert refused == Refuse(Category.NOT_SUPPORTED, "only signed updates are taken")


@pytest.mark.req("R16-363", "R16-367", "R16-370")
@pytest.mark.parametrize(
    ("verdict", "status"),
    [
        (UpdateVerdict.ACCEPTED, "Accepted"),
        (UpdateVerdict.ACCEPTED_CANCELED, "AcceptedCanceled"),
        (UpdateVerdict.REJECTED, "Rejected"),
        (UpdateVerdict.NOT_OFFERED, "Rejected"),
        (UpdateVerdict.INVALID_CERTIFICATE, "InvalidCertificate"),
        (UpdateVerdict.REVOKED_CERTIFICATE, "RevokedCertificate"),
    ],
)
async def test_a_signed_order_is_passed_on_and_judged(verdict: UpdateVerdict, status: str) -> None:
    station = FakeStation()
    station.answers[UpdateFirmware] = UpdateAnswer(verdict)
    async with Talk(station) as talk:
        talk.boot()
        assert await talk.ask("SignedUpdateFirmware", SIGNED) == {"status": status}
    at_eight, at_ten = (datetime(2026, 1, 1, hour, tzinfo=UTC) for hour in (8, 10))
    assert station.executed == [
        UpdateFirmware("https://host/fw", at_eight, at_ten, 2, 30, 7, "PEM", "c2ln"),
    ]


@pytest.mark.req("R16-032", "R16-366")
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"requestId": "7"}, "TypeConstraintViolation"),
        ({"firmware": None}, "TypeConstraintViolation"),
        ({"extra": 1}, "FormationViolation"),
        ({"firmware": {**SIGNED["firmware"], "signature": "x" * 801}}, "PropertyConstraintViolation"),
        ({"firmware": {**SIGNED["firmware"], "location": "x" * 513}}, "PropertyConstraintViolation"),
        (
            {"firmware": {k: v for k, v in SIGNED["firmware"].items() if k != "signature"}},
            "ProtocolError",
        ),
        ({"firmware": {**SIGNED["firmware"], "retrieveDateTime": "soon"}}, "PropertyConstraintViolation"),
    ],
)
async def test_an_order_that_is_not_as_the_schema_says_reaches_nobody(
    change: dict[str, Any], code: str
) -> None:
    station = FakeStation()
    async with Talk(station) as talk:
        talk.boot()
        assert await talk.ask("SignedUpdateFirmware", {**SIGNED, **change}) == code
    assert not station.executed


# --- what is told ------------------------------------------------------------------------------------------


@pytest.mark.req("R16-293", "R16-299", "R16-364")
@pytest.mark.parametrize("status", sorted(set(FirmwareStatus) - {S.IDLE}))
def test_every_status_of_a_signed_order_is_told_with_its_id(status: FirmwareStatus) -> None:
    fact = FirmwareStatusChanged(NOW, status, 7)
    told = text_of(firmware.firmware_status_changed(fact, FixedView(), None))
    assert told == ("SignedFirmwareStatusNotification", f'{{"status":"{status}","requestId":7}}')


@pytest.mark.req("R16-293", "R16-299")
@pytest.mark.parametrize(
    ("status", "word"),
    [
        (S.DOWNLOADING, "Downloading"),
        (S.DOWNLOADED, "Downloaded"),
        (S.DOWNLOAD_FAILED, "DownloadFailed"),
        (S.INSTALLING, "Installing"),
        (S.INSTALLED, "Installed"),
        (S.INSTALLATION_FAILED, "InstallationFailed"),
        (S.INSTALL_VERIFICATION_FAILED, "InstallationFailed"),
        (S.DOWNLOAD_SCHEDULED, None),
        (S.DOWNLOAD_PAUSED, None),
        (S.INSTALL_SCHEDULED, None),
    ],
)
def test_of_a_plain_order_the_seven_words_of_1_6_are_told(status: FirmwareStatus, word: str | None) -> None:
    told = text_of(firmware.firmware_status_changed(FirmwareStatusChanged(NOW, status), FixedView(), None))
    assert told == (None if word is None else ("FirmwareStatusNotification", f'{{"status":"{word}"}}'))


@pytest.mark.req("R16-289", "R16-299")
@pytest.mark.parametrize("status", [None, *FirmwareStatus])
@pytest.mark.parametrize("request_id", [None, 7])
def test_the_plain_trigger_gets_what_goes_on_or_idle(
    status: FirmwareStatus | None, request_id: int | None
) -> None:
    call = firmware.firmware_status_notification(FirmwareNotice(), view_after(status, request_id), None)
    assert call.action == "FirmwareStatusNotification"
    is_idle = status is None or status.is_end or status is S.DOWNLOAD_SCHEDULED
    assert ('"Idle"' in encode(call.payload)) is is_idle


@pytest.mark.req("R16-371")
@pytest.mark.parametrize(
    ("status", "request_id", "text"),
    [
        (None, None, '{"status":"Idle"}'),
        (S.INSTALLED, 7, '{"status":"Idle"}'),
        (S.DOWNLOAD_FAILED, 7, '{"status":"DownloadFailed","requestId":7}'),
        (S.INVALID_SIGNATURE, 7, '{"status":"InvalidSignature","requestId":7}'),
        (S.INSTALL_SCHEDULED, 7, '{"status":"InstallScheduled","requestId":7}'),
        (S.DOWNLOADING, None, '{"status":"Idle"}'),
    ],
)
def test_the_extended_trigger_gets_the_last_signed_status_unless_it_was_installed(
    status: FirmwareStatus | None, request_id: int | None, text: str
) -> None:
    call = firmware.firmware_status_notification(
        FirmwareNotice(is_signed=True), view_after(status, request_id), None
    )
    assert text_of(call) == ("SignedFirmwareStatusNotification", text)


def test_every_verdict_has_an_answer() -> None:
    response = firmware.signed_update_firmware(
        firmware.SignedUpdateFirmwareRequest(
            request_id=1,
            firmware=firmware.Firmware(
                location="x", retrieve_date_time=NOW, signing_certificate="", signature=""
            ),
        ),
        FixedView(),
    )
    for verdict in UpdateVerdict:
        assert isinstance(response.reply(UpdateAnswer(verdict)), Reply)
