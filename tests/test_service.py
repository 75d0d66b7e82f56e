"""What the service manager hears, over a real datagram socket, and when the watchdog goes hungry."""

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from agent.errors import StoreCorrupt
from agent.service import BOARD_LOST_S, BoardWatch, Notifier, Service, Signs
from hal.ports import ContactorState, EvseState, PilotState
from tests.helpers.bench import Bench

STATE = EvseState(
    at_time=100.0,
    pilot=PilotState.A,
    pilot_high_mv=12_000,
    pilot_low_mv=12_000,
    duty_percent=100.0,
    contactor=ContactorState.OPEN,
    locked=None,
    cable_a=None,
    residual_current_a=0.0,
    temperature_c=None,
)
LOST = replace(STATE, link_ok=False)


class Ear:
    """The service manager's end of the socket."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        """Everything since the last time, a line each."""
        lines = []
        while True:
            try:
                lines += self._socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return lines

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[Ear]:
    ear = Ear(str(tmp_path / "notify"))
    yield ear
    ear.close()


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": str(tmp_path / "notify"), **more}


# --- the protocol ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["", "relative", "vsock:2:1"])
def test_without_a_service_manager_nobody_is_told(address: str) -> None:
    assert Notifier.from_environment({"NOTIFY_SOCKET": address}, 1) is None


@pytest.mark.parametrize(
    ("variables", "watchdog_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_ours_only_if_it_names_us(
    tmp_path: Path, variables: dict[str, str], watchdog_s: float | None
) -> None:
    notifier = Notifier.from_environment(environment(tmp_path, **variables), 7)
    assert notifier is not None
    assert notifier.watchdog_s == watchdog_s
    notifier.close()


def test_every_word_is_one_datagram_and_a_status_is_told_once(tmp_path: Path, ear: Ear) -> None:
    notifier = Notifier(str(tmp_path / "notify"))
    notifier.ready()
    notifier.status("two\nlines")
    notifier.status("two\nlines")
    notifier.feed()
    notifier.stopping()
    assert ear.heard() == ["READY=1", "STATUS=two lines", "WATCHDOG=1", "STOPPING=1", "STATUS=stopping"]
    notifier.close()


def test_an_abstract_socket_is_reached_by_its_name(tmp_path: Path) -> None:
    name = f"evse-agent-test-{tmp_path.name}-{id(tmp_path)}"
    ear = Ear("\0" + name)
    notifier = Notifier("@" + name)
    notifier.ready()
    assert ear.heard() == ["READY=1"]
    notifier.close()
    ear.close()


def test_a_service_manager_that_is_gone_disturbs_nobody(tmp_path: Path) -> None:
    notifier = Notifier(str(tmp_path / "nobody"))
    notifier.ready()
    notifier.close()


# --- the board ---------------------------------------------------------------------------------------------


def test_a_link_that_calls_itself_good_and_says_nothing_hangs() -> None:
    watch = BoardWatch()
    assert watch.complaint([STATE], False, 105.0) is None
    assert watch.complaint([STATE], False, 111.0) == "the board link hangs: its last word is 11 s old"


def test_a_board_that_is_away_is_a_fault_and_no_reason_to_restart_at_first() -> None:
    watch = BoardWatch()
    assert watch.complaint([LOST], False, 1000.0) is None
    assert watch.complaint([LOST], False, 1000.0 + BOARD_LOST_S - 1) is None
    assert watch.complaint([LOST], False, 1000.0 + BOARD_LOST_S) is not None


def test_while_somebody_charges_a_silent_board_restarts_nothing() -> None:
    watch = BoardWatch()
    charging = replace(STATE, at_time=5000.0)
    assert watch.complaint([LOST, charging], True, 1000.0) is None
    assert watch.complaint([LOST, charging], True, 5000.0) is None


def test_a_board_that_came_back_gets_its_whole_time_again() -> None:
    watch = BoardWatch()
    assert watch.complaint([LOST], False, 0.0) is None
    assert watch.complaint([replace(STATE, at_time=500.0)], False, 500.0) is None
    assert watch.complaint([LOST], False, BOARD_LOST_S) is None


# --- the service -------------------------------------------------------------------------------------------


@dataclass
class Patient:
    """Something that can be made ill in every way that counts."""

    socket_path: Path
    is_up: bool = True
    is_store_hung: bool = False
    store_error: Exception | None = None
    states: list[EvseState] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)

    async def probe_store(self) -> None:
        if self.is_store_hung:
            await asyncio.get_running_loop().create_future()
        if self.store_error is not None:
            raise self.store_error

    def signs(self) -> Signs:
        return Signs(
            boards=lambda: self.states,
            is_charging=lambda: False,
            probe_store=self.probe_store,
            stuck_tasks=lambda: self.stuck,
            is_station_up=lambda: self.is_up,
            status=lambda: "as ever",
            socket_path=self.socket_path,
        )


async def complaint_of(tmp_path: Path, patient: Patient) -> str | None:
    service = Service(Notifier(str(tmp_path / "notify")), patient.signs())
    try:
        return await service.complaint()
    finally:
        service.close()


async def test_a_healthy_agent_has_no_complaint(tmp_path: Path) -> None:
    assert await complaint_of(tmp_path, Patient(tmp_path / "api")) is None


async def test_a_store_that_does_not_answer_is_not_alive(tmp_path: Path) -> None:
    patient = Patient(tmp_path / "api", is_store_hung=True)
    assert await complaint_of(tmp_path, patient) == "the store does not answer within 5 s"


async def test_a_damaged_store_is_not_alive(tmp_path: Path) -> None:
    patient = Patient(tmp_path / "api", store_error=StoreCorrupt("the store is damaged"))
    assert await complaint_of(tmp_path, patient) == "the store is damaged"


async def test_a_task_that_cannot_be_ended_needs_a_new_process(tmp_path: Path) -> None:
    patient = Patient(tmp_path / "api", stuck=["link"])
    assert await complaint_of(tmp_path, patient) == "link hangs for good"


async def test_the_watchdog_is_fed_three_times_in_its_limit_and_goes_hungry_with_the_store(
    tmp_path: Path, ear: Ear, caplog: pytest.LogCaptureFixture
) -> None:
    patient = Patient(tmp_path / "api", is_up=False)
    service = Service(Notifier(str(tmp_path / "notify"), watchdog_s=30.0), patient.signs())
    task = asyncio.create_task(service.run())
    service._is_ready = True
    await asyncio.sleep(61)
    assert ear.heard().count("WATCHDOG=1") in (6, 7)
    patient.is_store_hung = True
    await asyncio.sleep(60)
    assert "WATCHDOG=1" not in ear.heard()
    assert caplog.text.count("the watchdog is not fed: the store does not answer within 5 s") == 1
    patient.is_store_hung = False
    await asyncio.sleep(30)
    assert "WATCHDOG=1" in ear.heard()
    task.cancel()
    await asyncio.wait([task])
    service.close()


async def test_not_ready_before_the_local_api_answers(tmp_path: Path, ear: Ear) -> None:
    service = Service(Notifier(str(tmp_path / "notify")), Patient(tmp_path / "nobody-listens").signs())
    task = asyncio.create_task(service.run())
    await asyncio.sleep(60)
    assert "READY=1" not in ear.heard()
    task.cancel()
    await asyncio.wait([task])
    service.close()


async def test_the_agent_says_ready_once_station_and_api_are_up_and_stopping_at_its_end(
    tmp_path: Path, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(tmp_path, WATCHDOG_USEC="30000000").items():
        monkeypatch.setenv(name, value)
    async with Bench(tmp_path) as bench:
        heard: list[str] = []

        def is_ready() -> bool:
            heard.extend(ear.heard())
            return "READY=1" in heard

        await bench.until(is_ready)
        assert bench.agent.config.socket_path.is_socket()
        assert heard.index("READY=1") > 0
        bench.plug_in()
        bench.tap("TAG1")
        await bench.run_for(minutes=1)
        lines = ear.heard()
        assert "WATCHDOG=1" in lines
        assert "STATUS=CSMS connected; 1 EVSEs, 1 charging, 0 faulted" in lines
    assert "STOPPING=1" in ear.heard()
