"""The bridge at brokers that are there, away, hung, old, strict or mad. Real sockets; the broker is Mosquitto."""

import asyncio
import base64
import hashlib
import signal
from pathlib import Path
from typing import Any

import pytest
import trustme

from agent.charging.profiles import ChargingSchedule, LimitOrigin, RateUnit, SchedulePeriod
from agent.charging.requests import (
    Answer,
    ChangeAvailability,
    LiftExternalLimit,
    LimitExternally,
    RequestStop,
    Verdict,
)
from agent.mqtt import bridge as bridge_module
from agent.mqtt import broker as broker_module
from agent.mqtt.desk import COMMANDS_PER_MINUTE
from tests.helpers import snapshots
from tests.helpers.mosquitto import Mosquitto
from tests.mqtt.conftest import BridgeBench

pytestmark = pytest.mark.real_time

ROOT = "evse-agent/CP001"
STATE = f"{ROOT}/evse/1/state"
COMMANDS = ("enable", "current_limit", "stop", "meter.read")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge_module, "FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(bridge_module, "LONGEST_PAUSE_S", 0.2)
    monkeypatch.setattr(broker_module, "WAIT_S", 1.0)


async def test_a_whole_life_with_a_broker(bench: BridgeBench, tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker, bench.running(broker.url, commands=COMMANDS):
        watcher = await broker.watch()
        assert (await watcher.json_until(STATE))["state"] == "available"
        await watcher.until(lambda seen: seen.topic == f"{ROOT}/availability" and seen.payload == b"online")
        document = await watcher.json_until("homeassistant/device/evse_CP001/config")
        assert document["components"]["1_enable"]["command_topic"] == f"{ROOT}/evse/1/command/enable"

        bench.station.show(snapshots.charging(1))
        assert (await watcher.json_until(STATE, lambda state: state["is_plugged"]))["session_started_at"]
        late = await broker.watch(STATE)
        retained = await late.until(lambda seen: seen.is_retained)
        assert retained.json["is_plugged"] is True

        for topic, payload, outcome in (
            ("evse/1/command/enable", "OFF", "ok"),
            ("evse/1/command/current_limit", "10", "ok"),
            ("evse/1/command/current_limit", '{"current_a": 8, "duration_s": 60}', "ok"),
            ("evse/1/command/current_limit", "none", "ok"),
            ("evse/1/command/stop", "PRESS", "ok"),
            ("evse/1/command/meter.read", "", "ok"),
            ("evse/1/command/enable", "perhaps", "bad_payload"),
            ("evse/7/command/enable", "ON", "unknown_evse"),
            ("command/board.reboot", "", "forbidden"),
        ):
            before = len(watcher.seen)
            await watcher.send(f"{ROOT}/{topic}", payload)
            result = await watcher.json_until(f"{ROOT}/result", after=before)
            assert result["outcome"] == outcome, result
            assert result["is_ok"] is (outcome == "ok")
        steady = ChargingSchedule(RateUnit.AMPERE, (SchedulePeriod(0, 10.0),), 3600)
        shorter = ChargingSchedule(RateUnit.AMPERE, (SchedulePeriod(0, 8.0),), 60)
        assert bench.station.asked == [
            ChangeAvailability(1, 0, False),
            LimitExternally(LimitOrigin.OTHER, steady, None, 1),
            LimitExternally(LimitOrigin.OTHER, shorter, None, 1),
            LiftExternalLimit(LimitOrigin.OTHER, 1),
            RequestStop("t-1", is_local=True),
        ]
        assert bench.actions.runs == [("meter.read", {"evse_id": 1}, "mqtt")]
        rows = [(row.source, row.action, row.outcome) for row in bench.audit.rows]
        assert rows == [
            ("mqtt", "enable", "ok"),
            ("mqtt", "current_limit", "ok"),
            ("mqtt", "current_limit", "ok"),
            ("mqtt", "current_limit", "ok"),
            ("mqtt", "stop", "ok"),
            ("mqtt", "enable", "bad_payload"),
            ("mqtt", "enable", "unknown_evse"),
            ("mqtt", "board.reboot", "forbidden"),
        ]

        bench.station.answer = Answer(Verdict.SCHEDULED)
        before = len(watcher.seen)
        await watcher.send(f"{ROOT}/evse/1/command/enable", "OFF")
        assert (await watcher.json_until(f"{ROOT}/result", after=before))["outcome"] == "scheduled"
        bench.station.answer = Answer(Verdict.REJECTED, "external limits are switched off")
        before = len(watcher.seen)
        await watcher.send(f"{ROOT}/evse/1/command/current_limit", "6")
        refused = await watcher.json_until(f"{ROOT}/result", after=before)
        assert (refused["outcome"], "switched off" in refused["detail"]) == ("rejected", True)
        bench.station.failure = RuntimeError("a bug")
        before = len(watcher.seen)
        await watcher.send(f"{ROOT}/evse/1/command/enable", "ON")
        assert (await watcher.json_until(f"{ROOT}/result", after=before))["outcome"] == "failed"


async def test_a_retained_command_is_not_obeyed(bench: BridgeBench, tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker:
        watcher = await broker.watch()
        await watcher.send(f"{ROOT}/evse/1/command/enable", "OFF", retain=True)
        async with bench.running(broker.url, commands=COMMANDS):
            assert (await watcher.json_until(f"{ROOT}/result"))["outcome"] == "stale"
            before = len(watcher.seen)  # nor while we are here: it would be a surprise at the next start
            await watcher.send(f"{ROOT}/evse/1/command/enable", "ON", retain=True)
            assert (await watcher.json_until(f"{ROOT}/result", after=before))["outcome"] == "stale"
        assert bench.station.asked == []


async def test_without_commands_nobody_listens(bench: BridgeBench, tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker, bench.running(broker.url, discovery_prefix=""):
        watcher = await broker.watch()
        await watcher.json_until(STATE)
        await watcher.send(f"{ROOT}/evse/1/command/enable", "OFF")
        bench.station.show(snapshots.plugged(1))
        await watcher.json_until(STATE, lambda state: state["is_plugged"])
        assert bench.station.asked == []
        assert not bench.bridge.commands
        assert not [seen for seen in watcher.seen if seen.topic.startswith("homeassistant/")]


async def test_a_meant_end_says_offline(bench: BridgeBench, tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker:
        watcher = await broker.watch(f"{ROOT}/availability")
        async with bench.running(broker.url):
            await watcher.until(lambda seen: seen.payload == b"online")
        await watcher.until(lambda seen: seen.payload == b"offline", timeout_s=3)


async def test_a_broker_that_was_away_hears_what_is_and_not_what_was(
    bench: BridgeBench, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Mosquitto(tmp_path) as broker, bench.running(broker.url, publish_interval_s=1.0):
        await bench.connected()
        await broker.kill()
        for _ in range(50):
            bench.station.show(snapshots.plugged(1))
            bench.station.show(snapshots.evse(1))
        bench.station.show(snapshots.plugged(1))
        await asyncio.sleep(0.3)
        assert not bench.bridge.is_connected
        assert "the connection was lost" in caplog.text
        assert "Unspecified" not in caplog.text
        assert bench.bridge.waiting <= 5
        await broker.start()
        await bench.connected(2)
        async with broker.watching() as watcher:
            assert (await watcher.json_until(STATE))["is_plugged"] is True
            await watcher.until(lambda seen: seen.payload == b"online")
            assert len([seen for seen in watcher.seen if seen.topic == STATE]) <= 2


async def test_a_broker_that_hangs_is_left_and_found_again(bench: BridgeBench, tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker, bench.running(broker.url):
        await bench.connected()
        await asyncio.sleep(0.2)
        broker.pause(signal.SIGSTOP)
        bench.station.show(snapshots.plugged(1))
        async with asyncio.timeout(10):
            while bench.bridge.is_connected:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        broker.pause(signal.SIGCONT)
        await bench.connected(2)
        async with broker.watching() as watcher:
            assert (await watcher.json_until(STATE))["is_plugged"] is True


async def test_a_command_is_carried_out_to_its_end_though_the_broker_goes(
    bench: BridgeBench, tmp_path: Path
) -> None:
    async with Mosquitto(tmp_path) as broker, bench.running(broker.url, commands=COMMANDS):
        watcher = await broker.watch(STATE)
        await watcher.json_until(STATE)
        bench.station.may_go_on.clear()
        await watcher.send(f"{ROOT}/evse/1/command/enable", "OFF")
        async with asyncio.timeout(10):
            while not bench.station.asked:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await broker.kill()
            bench.station.show(snapshots.plugged(1))
            while bench.bridge.is_connected:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            bench.station.may_go_on.set()
            while not bench.audit.rows:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert bench.station.done == [ChangeAvailability(1, 0, False)]


async def test_something_that_accepts_and_never_answers_costs_a_line_and_nothing_else(
    bench: BridgeBench, caplog: pytest.LogCaptureFixture
) -> None:
    greetings: list[bytes] = []

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        greetings.append(await reader.read(100))
        await reader.read()
        writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, bench.running(f"mqtt://127.0.0.1:{port}"):
        async with asyncio.timeout(15):
            while len(greetings) < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    assert {greeting[8] for greeting in greetings} == {4, 5}  # both versions are tried
    assert len([record for record in caplog.records if "timed out" in record.message]) == 1
    assert bench.bridge.connects == 0


async def test_a_broker_that_knows_only_mqtt_3_is_spoken_to_in_it(bench: BridgeBench) -> None:
    versions: list[int] = []

    async def old_broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        greeting = await reader.read(200)
        versions.append(greeting[8])
        if greeting[8] != 4:
            writer.write(bytes((0x20, 2, 0, 1)))  # unacceptable protocol version
        else:
            writer.write(bytes((0x20, 2, 0, 0)))
            await writer.drain()
            while octets := await reader.read(100_000):
                del octets
        writer.close()

    server = await asyncio.start_server(old_broker, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, bench.running(f"mqtt://127.0.0.1:{port}"):
        await bench.connected()
    assert versions[:2] == [5, 4]


async def test_a_wrong_password_is_said_once_and_a_right_one_works_over_tls(
    bench: BridgeBench, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    server = authority.issue_cert("127.0.0.1")
    server.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    server.private_key_pem.write_to_path(tmp_path / "key.pem")
    salt = b"salt" * 3
    digest = hashlib.pbkdf2_hmac("sha512", b"secret", salt, 101)
    # as mosquitto_passwd writes it
    line = f"$7$101${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"
    passwords = tmp_path / "passwords"
    passwords.write_text(f"charger:{line}\n")
    given = tmp_path / "mqtt.password"
    given.write_text("wrong\n")
    keys: dict[str, Any] = {"username": "charger", "password_file": str(given)}
    extra = "\n".join(
        (
            f"password_file {passwords}",
            "user root",
            f"cafile {tmp_path}/ca.pem",
            f"certfile {tmp_path}/cert.pem",
            f"keyfile {tmp_path}/key.pem",
        )
    )
    async with Mosquitto(tmp_path, extra) as broker:
        url = broker.url.replace("mqtt://", "mqtts://")
        async with bench.running(url, ca_file=str(tmp_path / "ca.pem"), **keys):
            async with asyncio.timeout(10):
                while "Not authorized" not in caplog.text:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            await asyncio.sleep(0.5)
            assert caplog.text.count("Not authorized") == 1
            assert "wrong" not in caplog.text
            given.write_text("secret\n")
            await bench.connected()


async def test_a_flood_of_commands_ends_at_the_limit_and_writes_no_more_rows(
    bench: BridgeBench, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Mosquitto(tmp_path) as broker, bench.running(broker.url, commands=COMMANDS):
        watcher = await broker.watch(STATE)
        await watcher.json_until(STATE)
        for _ in range(4 * COMMANDS_PER_MINUTE):
            await watcher.client.publish(f"{ROOT}/evse/1/command/enable", "ON", qos=0)
        await watcher.send(f"{ROOT}/evse/1/command/enable", "ON")
        await asyncio.sleep(0.3)
        bench.station.show(snapshots.plugged(1))
        await watcher.json_until(STATE, lambda state: state["is_plugged"])
        assert len(bench.audit.rows) <= COMMANDS_PER_MINUTE
        assert caplog.text.count("too many commands") <= 1


@pytest.mark.parametrize("turns", range(6))
async def test_an_end_in_the_very_moment_of_a_confirmation_is_an_end(turns: int) -> None:
    """asyncio.wait_for of Python 3.11 loses a cancellation that comes together with what it waits for."""
    confirmed = asyncio.Event()

    async def publish_for_ever() -> None:
        while True:
            await broker_module._through(asyncio.wait_for(confirmed.wait(), 10))
            confirmed.clear()

    task = asyncio.create_task(publish_for_ever())
    await asyncio.sleep(0.01)
    confirmed.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=1)
    task.cancel()
    assert done
