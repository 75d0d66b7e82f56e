"""A CSMS that refuses, hangs up, dawdles or goes dead: the whole station on virtual time, with a bill at the end.

Every story counts the dials, so that none becomes a storm, and ends with a transaction that has to be complete.
"""

import asyncio
import struct
import zlib
from pathlib import Path

import pytest
from aiohttp import WSMsgType

from tests.fuzz.stages import resident_kb
from tests.helpers.bench import Bench, friendly
from tests.helpers.csms import Csms, write_now
from tests.helpers.hostile import assert_billed_once, begin, charge_for, end, no_crash, online
from tests.helpers.tcp_wire import Wire

OFFLINE = "[settings]\nAllowOfflineTxForUnknownId = true\n"
TWO_HOURS = 2 * 60
MOST_DIALS = 60
"""In two hours: waits of 5 minutes, jittered down to a quarter of that, make 38 on average."""


# --- refused and hung up -------------------------------------------------------------------------------------


@pytest.mark.req("R16-005", "R16-006", "R16-135", "R16-144", "TOLERATE-10", "FIELD-12")
@pytest.mark.parametrize("status", [401, 403, 404, 500])
async def test_hours_of_refused_upgrades_are_no_storm_and_lose_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    async with Csms() as csms, Bench(tmp_path, OFFLINE, friendly(csms)) as bench:
        await online(bench)
        csms.refuse_status = status
        csms.drop()
        with no_crash(caplog):
            await charge_for(bench, minutes=5)
            await bench.run_for(minutes=TWO_HOURS)
            assert 15 < len(csms.handshakes) < MOST_DIALS
            told = [record for record in caplog.records if "no connection" in record.getMessage()]
            assert len([record for record in told if record.levelname == "WARNING"]) == 1
            csms.refuse_status = None
            await online(bench)
            stop = await assert_billed_once(bench)
    assert stop["transactionId"] == 1


@pytest.mark.req("R16-006", "TOLERATE-10", "FIELD-10", "FIELD-12")
@pytest.mark.parametrize("code", [1000, 1008, 1011])
async def test_hours_of_upgrades_that_are_closed_at_once_are_no_storm(tmp_path: Path, code: int) -> None:
    async with Csms() as csms, Bench(tmp_path, OFFLINE, friendly(csms)) as bench:
        await online(bench)
        csms.close_at_once = code
        csms.drop()
        await charge_for(bench, minutes=5)
        await bench.run_for(minutes=TWO_HOURS)
        assert 15 < len(csms.handshakes) < MOST_DIALS
        csms.close_at_once = None
        await online(bench)
        await assert_billed_once(bench)
        assert csms.most_open == 1


@pytest.mark.req("R16-006", "R16-142", "TOLERATE-10", "FIELD-10")
async def test_a_csms_that_hangs_up_after_every_answer_gets_everything_in_the_end(tmp_path: Path) -> None:
    async with Csms() as csms, Bench(tmp_path, OFFLINE, friendly(csms)) as bench:
        hang_up = asyncio.get_running_loop().call_later

        def answer_and_hang_up(text: str) -> bool:
            if text.startswith("[2,"):
                hang_up(0.01, csms.drop)
            return False

        csms.first_look = answer_and_hang_up
        await charge_for(bench, minutes=5)
        await bench.run_for(minutes=TWO_HOURS)
        assert len(csms.handshakes) < TWO_HOURS
        csms.first_look = None
        await online(bench)
        await assert_billed_once(bench, may_repeat=True)


@pytest.mark.req("R16-004", "TOLERATE-3", "FIELD-1")
async def test_a_server_that_selects_nothing_is_left_alone_and_tried_again_slowly(tmp_path: Path) -> None:
    async with Csms() as csms, Bench(tmp_path, OFFLINE, friendly(csms)) as bench:
        await online(bench)
        csms.subprotocols = ()
        csms.received.clear()
        csms.drop()
        await charge_for(bench, minutes=5)
        await bench.run_for(minutes=TWO_HOURS)
        assert 15 < len(csms.handshakes) < MOST_DIALS
        assert csms.received == []
        assert all(each.headers["Sec-WebSocket-Protocol"] == "ocpp1.6" for each in csms.handshakes)
        csms.subprotocols = ("ocpp1.6",)
        await online(bench)
        await assert_billed_once(bench)


@pytest.mark.req("TOLERATE-3")
async def test_a_server_without_subprotocols_is_spoken_to_when_the_file_says_so(tmp_path: Path) -> None:
    key = "accept_missing_subprotocol = true"
    async with Csms(subprotocols=()) as csms, Bench(tmp_path, "", friendly(csms), csms_keys=key) as bench:
        await online(bench)
        await begin(bench)
        await end(bench)
        await assert_billed_once(bench)
        assert len(csms.handshakes) == 1


# --- slow, dead and half-open --------------------------------------------------------------------------------


@pytest.mark.req("R16-012", "R16-142", "TOLERATE-16", "FIELD-11", "FIELD-14")
async def test_a_half_open_connection_is_noticed_and_replaced(tmp_path: Path) -> None:
    async with (
        Csms() as csms,
        Wire(csms.port) as wire,
        Bench(tmp_path, OFFLINE, friendly(csms), url=wire.url) as bench,
    ):
        await online(bench)
        await begin(bench)
        wire.is_dead = True
        await bench.run_for(minutes=30)
        assert not bench.agent.conversation.is_online
        assert len(wire.dials) < 30
        await end(bench)
        await bench.run_for(minutes=5)
        assert bench.sent("StopTransaction") == []
        wire.is_dead = False
        await online(bench)
        await assert_billed_once(bench)


@pytest.mark.req("TOLERATE-10")
async def test_an_upgrade_that_trickles_in_has_its_time_and_no_more(tmp_path: Path) -> None:
    async with (
        Csms() as csms,
        Wire(csms.port) as wire,
        Bench(tmp_path, OFFLINE, friendly(csms), url=wire.url) as bench,
    ):
        await online(bench)
        wire.byte_s = 1.0
        csms.received.clear()
        csms.drop()
        await charge_for(bench, minutes=5)
        await bench.run_for(minutes=TWO_HOURS)
        assert csms.received == []
        assert 12 < len(wire.dials) < MOST_DIALS
        wire.byte_s = 0.05
        await online(bench)
        await assert_billed_once(bench)


@pytest.mark.req("R16-017", "R16-018", "TOLERATE-12")
async def test_everything_works_byte_by_byte(tmp_path: Path) -> None:
    async with (
        Csms() as csms,
        Wire(csms.port, byte_s=0.02) as wire,
        Bench(tmp_path, "", friendly(csms), url=wire.url) as bench,
    ):
        await online(bench)
        await begin(bench)
        answer = await csms.call("GetConfiguration", {"key": ["HeartbeatInterval"] * 20})
        assert answer.error is None
        await bench.run_for(minutes=10)
        await end(bench)
        await assert_billed_once(bench)
        assert len(wire.dials) == 1


@pytest.mark.req("R16-012")
async def test_a_frame_that_never_ends_is_no_sign_of_life(tmp_path: Path) -> None:
    async with Csms() as csms, Bench(tmp_path, "", friendly(csms)) as bench:
        await online(bench)
        await begin(bench)
        transport = csms.transports[-1]
        transport.write(
            bytes((0x81, 126)) + struct.pack("!H", 60_000) + b'[2,"1",'
        )  # pongs end up in it as well
        for _ in range(6):
            await bench.run_for(seconds=15)
            transport.write(b" ")
        assert len(csms.handshakes) == 2
        await online(bench)
        await end(bench)
        await assert_billed_once(bench)


@pytest.mark.req("TOLERATE-10")
async def test_a_server_that_never_stops_its_headers_is_given_up(tmp_path: Path) -> None:
    served = []

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(0)
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\n")
        try:
            while True:
                writer.write(b"X-Filler: " + b"x" * 4000 + b"\r\n")
                await writer.drain()
                served[-1] += 4000
                await asyncio.sleep(0.001)
        except OSError:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server, Bench(tmp_path, OFFLINE, url=url) as bench:
        await bench.run_for(minutes=60)
        assert bench.evse().transaction is None
        assert 5 < len(served) < 60
        assert max(served) < 16_000_000


# --- frames beyond reason ------------------------------------------------------------------------------------


@pytest.mark.req("FIELD-15")
async def test_a_huge_frame_is_refused_and_the_next_one_served(tmp_path: Path) -> None:
    async with Csms() as csms, Bench(tmp_path, "", friendly(csms)) as bench:
        await online(bench)
        await begin(bench)
        for _ in range(3):
            answer = await csms.call("DataTransfer", {"vendorId": "v", "data": "x" * 4_000_000})
            assert answer.error == "FormationViolation"
        assert (await csms.call("ClearCache")).error is None
        await end(bench)
        await assert_billed_once(bench)
        assert len(csms.handshakes) == 1


async def test_a_frame_beyond_all_memory_ends_the_connection_with_1009(tmp_path: Path) -> None:
    async with Csms() as csms, Bench(tmp_path, "", friendly(csms)) as bench:
        await online(bench)
        await begin(bench)
        csms.transports[-1].write(bytes((0x81, 127)) + struct.pack("!Q", 2**40) + b"[2,")
        await csms.connected(False)
        assert csms.close_code == 1009
        await online(bench)
        await end(bench)
        await assert_billed_once(bench)


async def test_a_compressed_frame_cannot_fill_the_memory(tmp_path: Path) -> None:
    keys = "compression = true\nmax_frame_bytes = 65536"
    async with (
        Csms(compress=True) as csms,
        Bench(tmp_path, "", friendly(csms), csms_keys=keys) as bench,
    ):
        await online(bench)
        await begin(bench)
        before_kb = resident_kb()
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        bomb = b"".join(packer.compress(b"[" * 1_000_000) for _ in range(400)) + packer.flush(
            zlib.Z_SYNC_FLUSH
        )
        csms.transports[-1].write(bytes((0xC1, 127)) + struct.pack("!Q", len(bomb) - 4) + bomb[:-4])
        await csms.connected(False)
        assert csms.close_code == 1009
        assert resident_kb() - before_kb < 50_000
        await online(bench)
        await end(bench)
        await assert_billed_once(bench)


@pytest.mark.req("R16-009", "TOLERATE-16")
@pytest.mark.parametrize("is_offered", [True, False])
async def test_with_and_without_compression_all_is_the_same(tmp_path: Path, is_offered: bool) -> None:
    keys = "compression = true" if is_offered else ""
    async with (
        Csms(compress=True) as csms,
        Bench(tmp_path, "", friendly(csms), csms_keys=keys) as bench,
    ):
        await online(bench)
        offered = csms.handshakes[0].headers.get("Sec-WebSocket-Extensions", "")
        assert ("permessage-deflate" in offered) is is_offered
        await begin(bench)
        assert len((await csms.call("GetConfiguration")).payload["configurationKey"]) > 40
        await end(bench)
        await assert_billed_once(bench)


BAD_FRAMES = {
    "no UTF-8": bytes((0x81, 4)) + b"[\xff\xfe]",
    "masked by the server": bytes((0x81, 0x82)) + b"abcd[]",
    "a reserved bit": bytes((0xB1, 2)) + b"[]",
    "a reserved opcode": bytes((0x83, 2)) + b"[]",
    "a ping too long": bytes((0x89, 126)) + struct.pack("!H", 200) + b"x" * 200,
    "a ping in pieces": bytes((0x09, 2)) + b"ab",
    "a continuation of nothing": bytes((0x80, 2)) + b"[]",
    "a close code that is none": bytes((0x88, 2)) + struct.pack("!H", 1),
    "no frame at all": b"HTTP/1.1 400 Bad Request\r\n\r\n",
}


@pytest.mark.parametrize("octets", BAD_FRAMES.values(), ids=BAD_FRAMES)
async def test_a_broken_websocket_frame_costs_a_connection_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, octets: bytes
) -> None:
    async with Csms() as csms, Bench(tmp_path, "", friendly(csms)) as bench:
        with no_crash(caplog):
            await online(bench)
            await begin(bench)
            for _ in range(3):
                csms.transports[-1].write(octets)
                await bench.run_for(minutes=5)
                assert bench.agent.conversation.is_online
            assert len(csms.handshakes) <= 4
            await end(bench)
            await assert_billed_once(bench)


# --- pings and pongs -----------------------------------------------------------------------------------------


@pytest.mark.req("R16-011", "TOLERATE-12", "TOLERATE-16", "FIELD-13")
async def test_pongs_too_many_and_pings_by_the_thousand_do_no_harm(tmp_path: Path) -> None:
    async with Csms() as csms, Bench(tmp_path, "", friendly(csms)) as bench:
        await online(bench)
        await begin(bench)
        for number in range(2000):
            csms.ping(str(number).encode())
            write_now(csms.sockets[-1].pong(b"nobody asked"))
        await bench.run_for(minutes=5)
        csms.first_look = lambda _text: bool(write_now(csms.sockets[-1].pong(b"twice")))
        await bench.run_for(minutes=5)
        assert csms.pongs == [str(number).encode() for number in range(2000)]
        await end(bench)
        await assert_billed_once(bench)
        assert len(csms.handshakes) == 1


@pytest.mark.req("R16-012", "TOLERATE-16", "FIELD-13", "FIELD-14")
async def test_an_idle_station_keeps_its_connection_alive(tmp_path: Path) -> None:
    async with Csms() as csms, Bench(tmp_path, "", friendly(csms)) as bench:
        csms.always("BootNotification", interval=86_400)
        await online(bench)
        before = len(csms.ping_times)
        await bench.run_for(minutes=60)
        assert len(csms.ping_times) - before == 3600 // 54
        assert len(csms.handshakes) == 1


@pytest.mark.req("R16-011")
async def test_binary_frames_are_ignored_and_the_connection_stays(tmp_path: Path) -> None:
    async with Csms() as csms, Bench(tmp_path, "", friendly(csms)) as bench:
        await online(bench)
        write_now(csms.sockets[-1].send_frame(b'[2,"1","ClearCache",{}]', WSMsgType.BINARY))
        await bench.run_for(seconds=5)
        assert (await csms.call("ClearCache")).error is None
        assert len(csms.handshakes) == 1
