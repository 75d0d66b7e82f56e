"""Whose time the station follows."""

from datetime import timedelta

import pytest

from tests.helpers.fake_station import FakeStation
from tests.helpers.talk import Talk


@pytest.mark.req("B01.FR.06", "R16-046")
@pytest.mark.parametrize(
    ("sources", "is_followed"),
    [
        ("Heartbeat", True),
        ("Heartbeat,NTP", True),
        ("NTP,Heartbeat", False),
        ("RealTimeClock", False),
    ],
)
async def test_the_time_of_the_csms_is_used_when_it_is_the_best_source(
    sources: str, is_followed: bool
) -> None:
    station = FakeStation(**{"ClockCtrlr.TimeSource": sources})
    async with Talk(station) as talk:
        talk.open()
        talk.take("BootNotification")
        told = talk.clock.now() + timedelta(hours=1)
        talk.reply_to_boot("Accepted", current_time=told.isoformat())
        assert (abs(talk.clock.now() - told) < timedelta(minutes=1)) is is_followed
        assert (station.clock_changes > 0) is is_followed


async def test_a_clock_that_is_clearly_unset_takes_any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    station = FakeStation(**{"ClockCtrlr.TimeSource": "NTP,Heartbeat"})
    async with Talk(station) as talk:
        monkeypatch.setattr(type(talk.clock), "is_trusted", False)
        talk.open()
        talk.take("BootNotification")
        told = talk.clock.now() + timedelta(hours=1)
        talk.reply_to_boot("Accepted", current_time=told.isoformat())
        assert abs(talk.clock.now() - told) < timedelta(minutes=1)
