"""`evse-agent demo`: the main job, told as it happens, on simulated hardware with a CSMS on this machine.

This process is the CSMS, the driver with the car, and the narrator; the agent is a child process, run exactly
as in the field, so that its power can be cut. Needs no network. Called by `cli.py`.
"""

import asyncio
import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.demo_csms import DemoCsms, Heard
from agent.exit_codes import ExitCode
from agent.web.client import ApiClient, ApiError, NoAgent

Json = dict[str, Any]
TOKEN = "04A1B2C3"
METER_START_WH = 1_234_500
WAIT_S = 20.0
PAGE_PORT = 8088
"""Where the live page is, unless something else is there."""

HEAD = "# Written by `evse-agent demo`.\n"
CONFIG = (
    HEAD
    + """
[station]
identity = "DEMO1"
vendor = "Example"
model = "Wallbox 22"
serial_number = "0001"

[csms]
url = "ws://127.0.0.1:{port}/ocpp"
backoff_first_s = 0.5

[agent]
state_dir = {state_dir}

[web]
listen = "127.0.0.1:{page_port}"

[hal.sim]
evses = 1
meter_start_wh = {register_wh}

[[hal.meters]]
evse = 1
model = "sdm630"
port = "sim"

[settings]
MeterValueSampleInterval = 2
MeterValuesSampledData = "Energy.Active.Import.Register,Power.Active.Import"

[vendor]
enabled = ["example"]
safe_while_charging = ["fan"]

[[vendor.commands]]
vendor_id = "com.example.site"
message_id = "SetFan"
action = "output.set"
fixed = {{ output = "fan" }}
parameters = {{ on = "on" }}
"""
)


def run(*, once: bool = False, state_dir: Path | None = None) -> int:
    """Tell the story, then stay until Ctrl-C (or end, with `once`). Returns an exit code."""
    place = state_dir or Path(tempfile.gettempdir()) / f"evse-agent-demo-{os.getuid()}"
    try:
        return asyncio.run(_Demo(place.absolute()).run(once))
    except KeyboardInterrupt:
        return ExitCode.OK


class _StoryBroken(Exception):
    """A step did not happen."""


class _Demo:
    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._log_path = state_dir / "agent.log"
        self._config_path = state_dir / "config.toml"
        self._api = ApiClient(state_dir / "api.sock")
        self._csms = DemoCsms(self._tell_call, self._tell_answer)
        self._port = 0
        self._page_port = 0
        self._agent: asyncio.subprocess.Process | None = None
        self._started = time.monotonic()

    async def run(self, once: bool) -> int:
        if await self._is_alive():
            print(f"A demo runs already in {self._state_dir}: end it first, or choose another --state-dir.")
            return ExitCode.ALREADY_RUNNING
        if not self._clear_state():
            print(f"{self._state_dir} holds something else than a former demo: choose another --state-dir.")
            return ExitCode.FAILED
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        story = asyncio.create_task(self._tell())
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([story, stopped], return_when=asyncio.FIRST_COMPLETED)
            if story.done():
                story.result()
                if not once:
                    self._tell_hints()
                    await stopped
            return ExitCode.OK
        except (_StoryBroken, TimeoutError, ConnectionError, ApiError, NoAgent) as error:
            print(f"\nThe story broke here: {error or 'something took too long'}")
            print(f"The agent's log ({self._log_path}) ends with:\n{self._end_of_log()}")
            return ExitCode.FAILED
        finally:
            for task in (story, stopped):
                task.cancel()
            await asyncio.gather(story, stopped, return_exceptions=True)
            await self._stop_agent()
            await self._csms.close()

    def _clear_state(self) -> bool:
        """Make an empty state directory of a missing one, an empty one or that of a former demo; of no other."""
        if self._config_path.exists() and self._config_path.read_text(encoding="utf-8").startswith(HEAD):
            shutil.rmtree(self._state_dir)
        self._state_dir.mkdir(parents=True, exist_ok=True)
        return not any(self._state_dir.iterdir())

    # ---- the story ---------------------------------------------------------------------------------------

    async def _tell(self) -> None:
        self._port = await self._csms.start()
        self._page_port = _free_port(PAGE_PORT)
        self._say(f"The live page of the station: {self._page_url} (open it, and watch)")
        self._say(f"A CSMS listens on ws://127.0.0.1:{self._port}/ocpp.")
        self._say("The agent starts: real firmware on simulated electricity, an SDM630 meter over Modbus.")
        await self._start_agent(METER_START_WH)
        await self._csms.expect("StatusNotification", where=lambda payload: payload["connectorId"] == 1)
        transaction_id = await self._charge()
        await self._trigger_meter_values()
        await self._switch_fan()
        await self._cut_the_power(transaction_id)

    async def _charge(self) -> int:
        self._say("\nA car is plugged in.")
        await self._post("/sim/v1/evse/1/plug", {"draw_after_s": 0.5, "current_a": 16})
        await self._csms.expect("StatusNotification", where=lambda payload: payload["status"] == "Preparing")
        self._say("\nThe driver holds a card to the reader.")
        await self._post("/sim/v1/tap", {"id_token": TOKEN})
        start = await self._csms.expect("StartTransaction")
        transaction_id: int = start.answer["transactionId"]
        evse = await self._evse_where(lambda evse: evse["contactor"] == "closed")
        self._say(
            f"\nThe board closed the contactor: pilot {evse['pilot']}, {evse['offered_current_a']:g} A offered."
        )
        first = await self._csms.expect("MeterValues", where=lambda payload: _power_w(payload) > 0)
        await self._csms.expect("MeterValues", after=self._csms.heard.index(first) + 1)
        return transaction_id

    async def _trigger_meter_values(self) -> None:
        self._say("\nThe CSMS wants to know now: TriggerMessage.")
        so_far = len(self._csms.heard)
        asked = time.monotonic()
        answer = await self._call("TriggerMessage", {"requestedMessage": "MeterValues", "connectorId": 1})
        if answer.get("status") != "Accepted":
            raise _StoryBroken(f"TriggerMessage was answered with {answer}")
        await self._csms.expect(
            "MeterValues", after=so_far, where=lambda payload: _context(payload) == "Trigger"
        )
        took_ms = (time.monotonic() - asked) * 1000
        self._say(f"A fresh reading, taken after the request, was here {took_ms:.0f} ms after it.")

    async def _switch_fan(self) -> None:
        self._say("\nThe CSMS switches a relay of the station with a vendor command: DataTransfer.")
        content = json.dumps({"on": True})
        answer = await self._call(
            "DataTransfer", {"vendorId": "com.example.site", "messageId": "SetFan", "data": content}
        )
        if answer.get("status") != "Accepted":
            raise _StoryBroken(f"DataTransfer was answered with {answer}")
        self._say(
            'The relay "fan" is on. Six lines of configuration made this command (docs/vendor-commands.md).'
        )

    async def _cut_the_power(self, transaction_id: int) -> None:
        last = [heard for heard in self._csms.heard if heard.action == "MeterValues"][-1]
        register_wh = _register_wh(last.payload)
        self._say(
            f"\nPower cut: SIGKILL in the middle of transaction {transaction_id}, at {register_wh / 1000:.3f} kWh."
        )
        assert self._agent is not None
        self._agent.kill()
        await self._agent.wait()
        so_far = len(self._csms.heard)
        self._say("\nThe power is back.")
        await self._start_agent(int(register_wh) + 1)  # the meter goes on counting where it was
        stop = await self._csms.expect("StopTransaction", after=so_far)
        if stop.payload["transactionId"] != transaction_id or stop.payload.get("reason") != "PowerLoss":
            raise _StoryBroken(f"unexpected: {stop.payload}")
        starts = [heard for heard in self._csms.heard if heard.action == "StartTransaction"]
        delivered_wh = stop.payload["meterStop"] - starts[-1].payload["meterStart"]
        status = await self._status_where(lambda status: status["outbox_depth"] == 0)
        self._say(
            f"\n{len(starts)} transaction started, 1 stopped with its reason, {delivered_wh} Wh billed, "
            f"{status['outbox_depth']} messages waiting: nothing was lost."
        )

    @property
    def _page_url(self) -> str:
        return f"http://127.0.0.1:{self._page_port}/"

    def _tell_hints(self) -> None:
        program = _program()
        print(
            f"""
The station and its CSMS go on running. Open the live page, plug in the simulated car, tap a card and watch it charge:

  {self._page_url}

Or in another terminal:

  export EVSE_AGENT_STATE_DIR={self._state_dir}
  {program} status
  {program} messages --follow
  {program} sim plug
  {program} sim tap {TOKEN}
  {program} sim fault rcd_dc
  {program} sim clear-fault rcd_dc
  {program} data-transfer --local org.example.evse ReadMeter
  {program} data-transfer com.example.site Hello '{{"from": "the station"}}'

Configuration {self._config_path}, log {self._log_path}. Ctrl-C ends it all.""",
            flush=True,
        )

    # ---- telling -----------------------------------------------------------------------------------------

    def _say(self, text: str) -> None:
        gap = "\n" if text.startswith("\n") else ""
        print(f"{gap}{time.monotonic() - self._started:6.1f} s  {text.removeprefix(gap)}", flush=True)

    def _tell_call(self, heard: Heard) -> None:
        """One line for each call of the station."""
        self._say(f"    station -> {heard.action:<18} {_gist(heard)}".rstrip())

    async def _call(self, action: str, payload: Json) -> Json:
        shown = ", ".join(str(value) for value in payload.values())
        self._say(f"    CSMS    -> {action:<18} {shown}")
        return await self._csms.call(action, payload)

    def _tell_answer(self, answer: Json) -> None:
        content = f" {answer['data']}" if "data" in answer else ""
        self._say(f"    station    {'answers':<18} {answer.get('status')}{content}")

    # ---- the agent ---------------------------------------------------------------------------------------

    async def _start_agent(self, register_wh: int) -> None:
        """Start it and wait until it was accepted and answers on its socket."""
        so_far = len(self._csms.heard)
        state_dir = json.dumps(str(self._state_dir))
        text = CONFIG.format(
            port=self._port, page_port=self._page_port, state_dir=state_dir, register_wh=register_wh
        )
        self._config_path.write_text(text, encoding="utf-8")
        with self._log_path.open("ab") as log:
            self._agent = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "agent", "run", str(self._config_path), stdout=log, stderr=log
            )
        ended = asyncio.create_task(self._agent.wait())
        booted = asyncio.create_task(self._csms.expect("BootNotification", after=so_far))
        try:
            await asyncio.wait([ended, booted], return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                raise _StoryBroken(f"the agent ended with code {ended.result()}")
            await booted
        finally:
            ended.cancel()
            booted.cancel()
        await self._status_where(lambda _status: True)

    async def _stop_agent(self) -> None:
        """In order, as systemd would: SIGTERM, and SIGKILL if that is not heard."""
        if self._agent is None or self._agent.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._agent.terminate()
        try:
            await asyncio.wait_for(self._agent.wait(), 10)
        except TimeoutError:
            self._agent.kill()
            await self._agent.wait()

    async def _is_alive(self) -> bool:
        try:
            await asyncio.to_thread(self._api.get, "/api/v1/status")
        except (NoAgent, ApiError):
            return False
        return True

    async def _post(self, path: str, body: Json) -> None:
        await asyncio.to_thread(self._api.post, path, body)

    async def _status_where(self, is_wanted: Callable[[Json], bool]) -> Json:
        """The status as soon as it is as wanted. Raises _StoryBroken."""
        deadline = time.monotonic() + WAIT_S
        status: Json | None = None
        while time.monotonic() < deadline:
            with contextlib.suppress(NoAgent):
                status = await asyncio.to_thread(self._api.get, "/api/v1/status")
                if status is not None and is_wanted(status):
                    return status
            await asyncio.sleep(0.05)
        raise _StoryBroken(
            "the local API does not answer" if status is None else f"the status stays {status}"
        )

    async def _evse_where(self, is_wanted: Callable[[Json], bool]) -> Json:
        evse: Json = (await self._status_where(lambda status: is_wanted(status["evses"][0])))["evses"][0]
        return evse

    def _end_of_log(self) -> str:
        try:
            lines = self._log_path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return "(no log)"
        return "\n".join(lines[-15:])


def _free_port(wanted: int) -> int:
    """`wanted`, or another one of 127.0.0.1 when that is taken."""
    for port in (wanted, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise _StoryBroken("no port of 127.0.0.1 is free")


def _program() -> str:
    """How this program was called, so that a hint can be typed as it stands."""
    called = Path(sys.argv[0])
    if called.name != "evse-agent":
        return f"{shlex.quote(sys.executable)} -m agent"
    return "evse-agent" if shutil.which("evse-agent") == str(called) else shlex.quote(str(called))


def _gist(heard: Heard) -> str:
    """What a reader wants to know of a call."""
    payload, answer = heard.payload, heard.answer
    match heard.action:
        case "BootNotification":
            model = f"{payload['chargePointVendor']} {payload['chargePointModel']}"
            return f"{model}: {answer['status']}"
        case "StatusNotification":
            code = payload["errorCode"]
            where = f"connector {payload['connectorId']}" if payload["connectorId"] else "station"
            return f"{where} {payload['status']}" + ("" if code == "NoError" else f" ({code})")
        case "Authorize":
            return f"{payload['idTag']}: {answer['idTagInfo']['status']}"
        case "StartTransaction":
            return f"{payload['idTag']} at {payload['meterStart']} Wh: transaction {answer['transactionId']}"
        case "StopTransaction":
            reason = payload.get("reason", "Local")
            return f"transaction {payload['transactionId']} at {payload['meterStop']} Wh: {reason}"
        case "MeterValues":
            context = _context(payload)
            shown = f" ({context})" if context != "Sample.Periodic" else ""
            return f"{_register_wh(payload):.0f} Wh, {_power_w(payload) / 1000:.1f} kW{shown}"
        case "DataTransfer":
            return f"{payload['vendorId']} {payload.get('messageId', '')} {payload.get('data', '')}"
        case _:
            return ""


def _sampled(payload: Json) -> list[Json]:
    values: list[Json] = payload["meterValue"][0]["sampledValue"]
    return values


def _value(payload: Json, measurand: str) -> float:
    default = "Energy.Active.Import.Register"
    for sampled in _sampled(payload):
        if sampled.get("measurand", default) == measurand and "phase" not in sampled:
            scale = 1000 if sampled.get("unit", "Wh").startswith("k") else 1
            return float(sampled["value"]) * scale
    return 0.0


def _register_wh(payload: Json) -> float:
    return _value(payload, "Energy.Active.Import.Register")


def _power_w(payload: Json) -> float:
    return _value(payload, "Power.Active.Import")


def _context(payload: Json) -> str:
    context: str = _sampled(payload)[0].get("context", "Sample.Periodic")
    return context
