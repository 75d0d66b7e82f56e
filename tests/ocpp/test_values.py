"""Times as they go over the wire."""

import json
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from agent.ocpp.codec import WireTime, encode
from agent.ocpp.values import timestamp

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Payload(msgspec.Struct):
    at: datetime
    many: list[datetime] = []


@pytest.mark.req("R16-036")
@pytest.mark.parametrize(
    ("at", "text"),
    [
        (NOON, "2026-01-01T12:00:00Z"),
        (NOON.replace(microsecond=999), "2026-01-01T12:00:00.000Z"),
        (NOON.replace(microsecond=123_999), "2026-01-01T12:00:00.123Z"),
        (NOON.replace(microsecond=70_000), "2026-01-01T12:00:00.070Z"),
        (
            NOON.replace(microsecond=1_000).astimezone(timezone(timedelta(hours=2))),
            "2026-01-01T12:00:00.001Z",
        ),
        (datetime(1, 1, 1, 0, 0, 0, 5_000, UTC), "0001-01-01T00:00:00.005Z"),
    ],
)
def test_a_time_is_sent_in_utc_with_three_decimals_or_none(at: datetime, text: str) -> None:
    assert json.loads(encode(Payload(timestamp(at), [timestamp(at)]))) == {"at": text, "many": [text]}


def test_a_time_of_the_wire_is_the_time_itself_cut_to_its_millisecond() -> None:
    assert timestamp(NOON.replace(microsecond=123_999)) == NOON.replace(microsecond=123_000)


def test_another_zone_than_utc_is_named() -> None:
    at = WireTime(2026, 1, 1, 14, 0, 0, 5_000, timezone(timedelta(hours=2)))
    assert encode(at) == '"2026-01-01T14:00:00.005+02:00"'


def test_what_is_no_value_of_json_is_still_refused() -> None:
    with pytest.raises(TypeError, match="complex"):
        encode(Payload(1j))  # type: ignore[arg-type]
