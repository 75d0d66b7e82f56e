"""`evse-agent sessions`, `session` and `progress` against the real local API, and on the store of a stopped agent."""

import asyncio
import csv
import io
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result

from agent.charging.recording import Batch, SessionQuery
from agent.exit_codes import ExitCode
from agent.progress import Progress, ProgressFeed, Report
from agent.store.db import Database
from agent.store.journal import SqlJournal
from agent.store.sessions import SqlSessions
from agent.web.server import LocalApi
from tests.helpers.recorded_sessions import SAMPLE, SESSION, Recorder
from tests.helpers.snapshots import T0
from tests.store.example_facts import started, stopped
from tests.test_cli import invoke
from tests.web.conftest import WebBench


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times are shown where the user is."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def feed() -> ProgressFeed:
    return ProgressFeed()


@pytest.fixture
async def bench(tmp_path: Path, recorder: Recorder, feed: ProgressFeed) -> AsyncIterator[WebBench]:
    bench = WebBench(tmp_path)
    api = LocalApi(bench.ports(sessions=recorder, progress=feed), bench.socket_path)
    await api.start()
    yield bench
    await api.close()
    bench.world.close()


async def call(bench: WebBench, *arguments: str) -> Result:
    return await asyncio.to_thread(invoke, *arguments, "--state-dir", str(bench.socket_path.parent))


async def test_sessions_are_a_table_in_local_time_with_a_sum(bench: WebBench) -> None:
    result = await call(bench, "sessions")
    assert result.exit_code == ExitCode.OK
    head, row, _blank, total = result.output.splitlines()
    assert head.split() == [
        "Began",
        "Lasted",
        "EVSE",
        "Token",
        "Energy",
        "Max",
        "Paused",
        "Cost",
        "Ended",
        "Id",
    ]
    shown = "2026-01-01 01:00:00 1 h 00 min 1 04A1B2C3D4 11.00 kWh 11.0 kW 1 min 30 s 3.30 Local 8b54349c"
    assert " ".join(row.split()) == shown
    assert total == "1 session, 11.00 kWh"


async def test_sessions_are_asked_for_in_local_time_or_by_age(bench: WebBench, recorder: Recorder) -> None:
    await call(bench, "sessions", "--since", "2026-01-01T01:00", "--evse", "2", "-n", "3")
    assert recorder.asked == [SessionQuery(since=T0, evse_id=2, limit=3)]
    await call(bench, "sessions", "--since", "7d")
    (since, until) = (recorder.asked[1].since, recorder.asked[1].until)
    assert since is not None
    assert until is None
    assert abs(time.time() - since.timestamp() - 7 * 86_400) < 60
    await call(bench, "sessions", "--since", "2026-01-01", "--until", "2026-01-31")
    (since, until) = (recorder.asked[2].since, recorder.asked[2].until)
    assert since == T0 - timedelta(hours=1)
    assert until == datetime(2026, 1, 31, 22, 59, 59, 999999, UTC), "a day without a time is the whole day"
    await call(bench, "sessions", "--until", "2026-10-25")  # an hour longer than others
    assert recorder.asked[3].until == datetime(2026, 10, 25, 22, 59, 59, 999999, UTC)
    for text in ("soon", "d", "9999999999d", "9999-12-31"):
        result = await call(bench, "sessions", "--until", text)
        assert (result.exit_code, "no time like" in result.output) == (ExitCode.USAGE, True)


async def test_an_export_has_every_column_and_no_formula(
    bench: WebBench, recorder: Recorder, tmp_path: Path
) -> None:
    recorder.given["id_token"] = "=cmd()"
    result = await call(bench, "sessions", "--csv", "-")
    (row,) = csv.DictReader(io.StringIO(result.output))
    assert (row["energy_wh"], row["reference"], row["suspended_ev_s"]) == ("11000.0", "42", "60.0")
    assert row["started_at"] == "2026-01-01T00:00:00Z"
    assert row["id_token"] == "'=cmd()"
    for token in (" =cmd()", "\x1b=cmd()", "＝cmd()", "+1", "\x9b31m"):
        recorder.given["id_token"] = token
        (row,) = csv.DictReader(io.StringIO((await call(bench, "sessions", "--csv", "-")).output))
        assert row["id_token"].isprintable()
        assert row["id_token"].strip()[:1] not in "=+＝"
    assert recorder.asked[-1].limit == 10_000
    file = tmp_path / "sessions.csv"
    result = await call(bench, "sessions", "--csv", str(file))
    assert result.output == f"{file}: 1 session\n"
    assert len(file.read_text().splitlines()) == 2
    result = await call(bench, "sessions", "--csv", str(tmp_path / "no" / "folder.csv"))
    assert (result.exit_code, "cannot be written" in result.output) == (ExitCode.FAILED, True)
    assert json.loads((await call(bench, "sessions", "--json")).output)[0]["session_id"] == SESSION.session_id


@pytest.mark.parametrize("session_id", [SESSION.session_id, "8b54", "last"])
async def test_one_session_is_shown_by_its_id_its_beginning_or_as_the_last(
    bench: WebBench, session_id: str
) -> None:
    result = await call(bench, "session", session_id)
    assert result.exit_code == ExitCode.OK
    told = dict(line.split(maxsplit=1) for line in result.output.splitlines() if line[:1] != "A")
    assert told["Session"] == SESSION.session_id
    assert told["Paused"] == "1 min 00 s by the EV, 30 s by the station"
    assert told["Meter"] == "1.000 kWh to 12.000 kWh"
    assert told["Ended"] == "2026-01-01 02:00:00, Local"


async def test_a_session_that_is_not_there_and_a_picture_of_a_wrong_kind(
    bench: WebBench, tmp_path: Path
) -> None:
    result = await call(bench, "session", "nobody")
    assert (result.exit_code, "there is no session nobody" in result.output) == (ExitCode.FAILED, True)
    result = await call(bench, "session", "last", "--plot", str(tmp_path / "a.doc"))
    assert (result.exit_code, ".png" in result.output) == (ExitCode.USAGE, True)


async def test_samples_are_exported_as_csv_and_json(bench: WebBench) -> None:
    result = await call(bench, "session", "last", "--csv", "-")
    head, row, *_ = csv.reader(io.StringIO(result.output))
    assert head == ["at", "power_w", "current_l1_a", "current_l2_a", "current_l3_a", "offered_a", "energy_wh"]
    assert row == ["2026-01-01T00:00:01.500000Z", "11040.0", "16.0", "16.0", "", "16.0", "3.1"]
    assert json.loads((await call(bench, "session", "last", "--json")).output)["pace_s"] == 4


async def test_a_picture_is_drawn(bench: WebBench, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra plot")
    for name, magic in (("a.png", b"\x89PNG"), ("a.svg", b"<?xml")):
        result = await call(bench, "session", "last", "--plot", str(tmp_path / name))
        assert result.exit_code == ExitCode.OK, result.output
        assert (tmp_path / name).read_bytes().startswith(magic)
    result = await call(bench, "session", "last", "--plot", str(tmp_path / "no" / "a.png"))
    assert (result.exit_code, "cannot be written" in result.output) == (ExitCode.FAILED, True)


async def test_without_matplotlib_it_is_told_how_to_get_it(
    bench: WebBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "agent.session_plot", None)
    result = await call(bench, "session", "last", "--plot", str(tmp_path / "a.png"))
    assert (result.exit_code, "pip install 'evse-agent[plot]'" in result.output) == (ExitCode.FAILED, True)


@pytest.fixture
async def store(tmp_path: Path) -> Path:
    """The state directory of an agent that has ended."""
    database = Database.open(tmp_path / "agent.db")
    journal, sessions = SqlJournal(database), SqlSessions(database)
    await journal.record(started("tx1"), stopped("tx1", seq_no=1), started("tx2"))
    await sessions.save([Batch("tx1", (SAMPLE,), 2, SESSION.totals, True)])
    database.close()
    return tmp_path


@pytest.mark.parametrize("given", ["ä" * 36, "../status?" + "x" * 36, "a b" * 12, "x" * 36 + "/../../status"])
async def test_what_is_no_id_asks_for_nothing_else(bench: WebBench, given: str) -> None:
    result = await call(bench, "session", given)
    assert (result.exit_code, "there is no session" in result.output) == (ExitCode.FAILED, True), (
        result.output
    )


async def test_without_an_agent_its_store_is_read(store: Path) -> None:
    where = ("--state-dir", str(store))
    result = invoke("sessions", *where)
    assert result.exit_code == ExitCode.OK, result.output
    assert [line.split()[-1] for line in result.output.splitlines()[1:3]] == ["tx2", "tx1"]
    assert json.loads(invoke("session", "tx1", "--json", *where).output)["samples"][0]["power_w"] == 11_040.0
    assert invoke("session", "tx", *where).output.endswith("2 sessions begin with tx: give more of the id\n")
    assert invoke("session", "tx9", *where).exit_code == ExitCode.FAILED


async def test_a_store_that_cannot_be_read_is_told(store: Path) -> None:
    (store / "agent.db").write_bytes(b"nonsense" * 1000)
    assert invoke("sessions", "--state-dir", str(store)).exit_code == ExitCode.BAD_STORE
    os.unlink(store / "agent.db")
    assert invoke("sessions", "--state-dir", str(store)).exit_code == ExitCode.NO_AGENT


@pytest.mark.real_time
async def test_progress_is_shown_until_nothing_is_under_way(bench: WebBench, feed: ProgressFeed) -> None:
    assert (await call(bench, "progress")).output == "Nothing is under way.\n"
    feed.report(Progress("upload of a.gz", "uploading", 1, 2, "B"))
    is_watched = asyncio.Event()
    subscribe = feed.subscribe

    def noted(listener: Report) -> Callable[[], None]:
        is_watched.set()
        return subscribe(listener)

    feed.subscribe = noted  # type: ignore[method-assign]
    watching = asyncio.create_task(call(bench, "progress"))
    async with asyncio.timeout(10):
        await is_watched.wait()
        feed.report(Progress("upload of a.gz", "uploaded", outcome="done"))
        assert (await watching).output == "upload of a.gz: uploaded\n"
