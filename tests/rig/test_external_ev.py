"""The cars outside: the EV box over a pty, and a person at a terminal."""

import asyncio
import io
import os
from collections.abc import AsyncIterator, Iterator

import pytest

from hal.errors import DeviceProtocolError, DeviceTimeout
from tests.rig import external_ev
from tests.rig.box_on_pty import BoxOnPty
from tests.rig.external_ev import BoxEv, ManualEv


class Relays:
    """What the box has switched, and the duty that it is shown."""

    def __init__(self) -> None:
        self.levels: dict[str, int] = {}
        self.duty = 10000

    async def move(self, levels: dict[str, int]) -> int:
        self.levels = levels
        return self.duty

    @property
    def closed(self) -> set[str]:
        return {name for name, level in self.levels.items() if level}


@pytest.fixture
def relays() -> Relays:
    return Relays()


@pytest.fixture
async def box(relays: Relays) -> AsyncIterator[BoxOnPty]:
    box = BoxOnPty(relays.move)
    yield box
    await box.close()


@pytest.mark.real_time
async def test_a_box_is_switched_measures_and_is_left_unplugged(relays: Relays, box: BoxOnPty) -> None:
    ev = BoxEv(box.port)
    await ev.start(lambda: None)
    assert relays.closed == {"pp32"}
    await ev.car("C")
    await ev.set(diode=False, cable=20)
    assert relays.closed == {"plug", "s2", "no_diode", "pp20"}
    relays.duty = 2666
    seen = await ev.seen_pilot()
    assert seen is not None
    assert (seen.duty_percent, seen.frequency_hz) == (26.7, 1000.0), "a Pico counts whole microseconds"
    await ev.stop()
    assert "plug" not in relays.closed


@pytest.mark.real_time
async def test_a_box_without_a_wire_to_the_pilot_measures_nothing(relays: Relays, box: BoxOnPty) -> None:
    relays.duty = 0
    ev = BoxEv(box.port)
    await ev.start(lambda: None)
    assert await ev.seen_pilot() is None
    await ev.stop()


@pytest.mark.real_time
async def test_a_box_that_refuses_is_an_error_with_its_words(box: BoxOnPty) -> None:
    ev = BoxEv(box.port)
    await ev.start(lambda: None)
    with pytest.raises(DeviceProtocolError, match="what is: pp 17"):
        await ev.set(cable=17)
    await ev.stop()


@pytest.mark.real_time
async def test_a_silent_box_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external_ev, "ANSWER_S", 0.05)
    master, slave = os.openpty()
    ev = BoxEv(os.ttyname(slave))
    with pytest.raises(DeviceTimeout, match="does not answer 'who'"):
        await ev.start(lambda: None)
    await ev.stop()
    os.close(master)
    os.close(slave)


# ---- a person ----------------------------------------------------------------------------------------------


class Person:
    """A terminal: what stands on it, and what is typed."""

    def __init__(self) -> None:
        self.screen = io.StringIO()
        self.enter, self._typing = os.pipe()
        self.sees = "A"
        self.ev = ManualEv(self.screen, self.enter)

    def types(self, text: str) -> None:
        os.write(self._typing, text.encode())

    def leave(self) -> None:
        os.close(self._typing)

    def close(self) -> None:
        os.close(self.enter)


@pytest.fixture
def person() -> Iterator[Person]:
    person = Person()
    yield person
    person.close()


async def test_a_person_is_asked_and_the_board_notices_without_enter(person: Person) -> None:
    await person.ev.start(lambda: person.sees)
    turning = asyncio.create_task(person.ev.car("C"))
    await asyncio.sleep(3.3)
    assert not turning.done()
    person.sees = "C"
    await turning
    person.leave()
    shown = person.screen.getvalue()
    assert "turn the switch to C" in shown
    assert "(120 s" in shown
    assert "(117 s" in shown


async def test_a_switch_that_stands_there_already_is_not_asked_for(person: Person) -> None:
    await person.ev.start(lambda: "A")
    await person.ev.car("A")
    await person.ev.set(diode=True, cable=32)
    person.leave()
    assert person.screen.getvalue() == ""


async def test_what_no_status_shows_needs_enter(person: Person) -> None:
    await person.ev.start(lambda: "A")
    asking = asyncio.create_task(person.ev.set(diode=False))
    await asyncio.sleep(5)
    assert not asking.done()
    person.types("\n")
    await asyncio.wait_for(asking, 1)
    person.leave()


async def test_enter_that_the_board_does_not_see_goes_on_after_a_while(person: Person) -> None:
    await person.ev.start(lambda: "A")
    person.types("\n")
    await asyncio.wait_for(person.ev.car("B"), external_ev.ENTER_GRACE_S + 1)
    person.leave()


async def test_s_skips(person: Person) -> None:
    await person.ev.start(lambda: "A")
    person.types("s\n")
    with pytest.raises(pytest.skip.Exception, match="skipped at the terminal"):
        await person.ev.car("B")
    person.leave()


async def test_a_person_who_does_nothing_fails_the_test_even_without_a_terminal(person: Person) -> None:
    await person.ev.start(lambda: "A")
    person.leave()
    with pytest.raises(AssertionError, match="nobody did it within 120 s: turn the switch to B"):
        await person.ev.car("B")
