"""Settings and hardware actions over the local API: shown with their rules, changed and run by those rules."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from agent.action_desk import ActionDesk
from agent.charging.requests import Answer, ChangeSetting, Verdict
from agent.charging.settings import SETTINGS, Mutability, Settings
from agent.config import VendorConfig, VendorRoles
from agent.vendor.actions import ACTIONS, HardwareActions
from agent.web.server import LocalApi
from hal.ports import Hardware
from tests.helpers.fake_clock import FakeClock
from tests.helpers.fake_stores import FakeAuditLog, FakeSettingStore
from tests.web.conftest import WebBench


class Fan:
    is_on = False

    async def set(self, on: bool) -> None:
        self.is_on = on

    async def pulse(self, duration_s: float) -> None: ...


class OperatedBench(WebBench):
    settings: Settings
    audit: FakeAuditLog
    fan: Fan


@pytest.fixture
async def operated(tmp_path: Path) -> AsyncIterator[OperatedBench]:
    """Settings and actions; [vendor.roles] gives no service role to "local"."""
    bench = OperatedBench(tmp_path)
    bench.settings = Settings({"heartbeat_interval_s": "30"}, FakeSettingStore())
    bench.audit = FakeAuditLog()
    bench.fan = Fan()
    hardware = Hardware(evses={}, outputs={"fan": bench.fan})
    actions = HardwareActions(
        hardware, bench.station.snapshot, bench.audit, FakeClock(), safe_while_charging=frozenset({"fan"})
    )
    desk = ActionDesk(actions, VendorConfig(roles=VendorRoles(local=("operator",))), hardware)
    api = LocalApi(bench.ports(settings=bench.settings, actions=desk), bench.socket_path)
    await api.start()
    bench.http = aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(bench.socket_path)))
    yield bench
    await bench.http.close()
    await api.close()
    bench.world.close()


async def test_every_setting_is_shown_with_its_documentation(operated: OperatedBench) -> None:
    code, answer = await operated.ask("GET", "/api/v1/settings")
    assert code == 200
    shown = {each["name"]: each for each in answer["settings"]}
    assert shown.keys() == SETTINGS.keys()
    assert all(each["doc"] for each in shown.values())
    heartbeat = shown["heartbeat_interval_s"]
    assert (heartbeat["value"], heartbeat["is_default"]) == ("30", False)
    assert (heartbeat["key16"], heartbeat["unit"], heartbeat["mutability"]) == (
        "HeartbeatInterval",
        "s",
        "RW",
    )


async def test_what_may_only_be_written_is_never_shown(operated: OperatedBench) -> None:
    _code, answer = await operated.ask("GET", "/api/v1/settings")
    secret = [each for each in answer["settings"] if each["mutability"] == Mutability.WRITE_ONLY]
    assert secret
    assert all(each["value"] is None for each in secret)


async def test_a_change_takes_the_way_of_the_station(operated: OperatedBench) -> None:
    operated.station.results[ChangeSetting] = Answer(Verdict.ACCEPTED)
    code, answer = await operated.ask("PUT", "/api/v1/settings/heartbeat_interval_s", {"value": "60"})
    assert (code, answer["needs_reboot"]) == (200, False)
    assert answer["setting"]["name"] == "heartbeat_interval_s"
    assert operated.station.asked == [ChangeSetting("heartbeat_interval_s", "60")]
    operated.station.results[ChangeSetting] = Answer(Verdict.REBOOT_REQUIRED)
    code, answer = await operated.ask("PUT", "/api/v1/settings/heartbeat_interval_s", {"value": "60"})
    assert (code, answer["needs_reboot"]) == (200, True)


async def test_a_refused_change_says_why(operated: OperatedBench) -> None:
    operated.station.results[ChangeSetting] = Answer(Verdict.REJECTED, "must be a whole number")
    code, answer = await operated.ask("PUT", "/api/v1/settings/heartbeat_interval_s", {"value": "x"})
    assert (code, answer["error"], answer["field"]) == (400, "must be a whole number", "value")
    read_only = next(row.name for row in SETTINGS.values() if row.mutability is Mutability.READ_ONLY)
    assert (await operated.ask("PUT", f"/api/v1/settings/{read_only}", {"value": "1"}))[0] == 409
    code, answer = await operated.ask("PUT", "/api/v1/settings/nonsense", {"value": "1"})
    assert (code, answer["field"]) == (404, "name")
    code, answer = await operated.ask("PUT", "/api/v1/settings/heartbeat_interval_s", {"value": 60})
    assert (code, answer["field"]) == (400, "value")


async def test_the_catalogue_is_shown_with_its_rules(operated: OperatedBench) -> None:
    code, answer = await operated.ask("GET", "/api/v1/actions")
    assert code == 200
    shown = {each["name"]: each for each in answer["actions"]}
    assert shown.keys() == ACTIONS.keys()
    switch = shown["output.set"]
    assert [(each["name"], each["kind"]) for each in switch["parameters"]] == [
        ("output", "text"),
        ("on", "boolean"),
    ]
    assert switch["parameters"][0]["choices"] == ["fan"]
    assert (switch["role"], switch["situations"]) == ("operator", None)
    assert shown["rcd.self_test"]["role"] == "installer"
    assert shown["rcd.self_test"]["situations"] == ["idle"]
    assert shown["ev.wake_up"]["with_fault"] is False
    pulse = shown["output.pulse"]["parameters"][1]
    assert (pulse["least"], pulse["most"], pulse["rule"]) == (0.05, 5.0, "0.05 to 5")


async def test_an_action_runs_and_leaves_one_row_that_says_who(operated: OperatedBench) -> None:
    body = {"parameters": {"output": "fan", "on": True}}
    code, answer = await operated.ask("POST", "/api/v1/actions/output.set", body)
    assert (code, answer["result"], answer["values"]) == (200, "ok", {"output": "fan", "on": True})
    assert operated.fan.is_on
    (row,) = operated.audit.rows
    assert (row.action, row.outcome) == ("output.set", "ok")
    assert row.source.startswith("installer")


async def test_a_refused_action_says_why_and_leaves_its_row_too(operated: OperatedBench) -> None:
    code, answer = await operated.ask(
        "POST", "/api/v1/actions/output.set", {"parameters": {"output": "pump"}}
    )
    assert (code, answer["result"]) == (200, "bad_args")
    code, answer = await operated.ask("POST", "/api/v1/actions/board.reboot", {})
    assert (code, answer["result"]) == (200, "not_allowed")  # [vendor.roles] does not give it to "local"
    assert "role" in answer["detail"]
    assert [row.outcome for row in operated.audit.rows] == ["bad_args", "not_allowed"]
    code, answer = await operated.ask("POST", "/api/v1/actions/nonsense", {})
    assert (code, answer["field"]) == (404, "name")


async def test_a_station_without_them_says_so(bench: WebBench) -> None:
    assert (await bench.ask("GET", "/api/v1/settings"))[0] == 404
    assert (await bench.ask("GET", "/api/v1/actions"))[0] == 404
