"""Who charged is personal data: a viewer never sees a whole token, nobody sees a key code, wherever it would appear."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from msgspec.structs import replace

from agent.charging.facts import ReservationMade, TokenPresented, TokenRefused
from agent.charging.ids import IdToken, IdTokenType, Reservation
from agent.config_web import WebConfig
from agent.web.server import LocalApi
from tests.helpers.snapshots import charging, evse, station
from tests.web.conftest import WebBench, read_events

AT = datetime(2026, 1, 1, tzinfo=UTC)
CARD, GROUP, CODE = "04A1B2C3D4", "FLEET-0815", "47110815"


@asynccontextmanager
async def seen_by(role: str, folder: Path) -> AsyncIterator[tuple[WebBench, aiohttp.ClientSession]]:
    web = WebBench(folder)
    reservation = Reservation(7, IdToken(CARD), IdToken(GROUP), AT + timedelta(hours=1))
    running = charging(1)
    assert running.transaction is not None
    running = replace(
        running,
        id_token=IdToken(CARD),
        transaction=replace(running.transaction, id_token=IdToken(CARD)),
    )
    waiting = evse(2, id_token=IdToken(CODE, IdTokenType.KEY_CODE))
    web.station.picture = replace(station(running, waiting), reservations=(reservation,))
    web.journal.record("out", f'[2,"1","Authorize",{{"idTag":"{CARD}"}}]')
    api = LocalApi(web.ports(), web.socket_path, ("127.0.0.1", 0), WebConfig(loopback_role=role))
    await api.start()
    (port,) = [address[1] for address in api.addresses if isinstance(address, tuple)]
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
        yield web, http
    await api.close()
    web.world.close()


async def status_without_link(response: aiohttp.ClientResponse) -> Any:
    while True:
        ((name, content),) = await read_events(response, 1)
        if name == "status" and not content["link"]["is_connected"]:
            return content


async def told(web: WebBench, http: aiohttp.ClientSession) -> str:
    """Everything that a page hears, as one text."""
    async with http.get("/api/v1/events?messages=true") as response:
        heard = await read_events(response, 1)
        web.station.publish(TokenPresented(IdToken(CARD), (), AT))
        web.station.publish(TokenRefused(IdToken(CODE, IdTokenType.KEY_CODE), "unknown", AT))
        web.station.publish(ReservationMade(Reservation(8, IdToken(CARD), IdToken(GROUP), AT), AT))
        while heard[-1][0] != "ReservationMade":
            heard += await read_events(response, 1)
        heard += await read_events(response, 1)
    return json.dumps(heard)


async def test_a_viewer_gets_the_end_of_a_token_in_the_status(tmp_path: Path) -> None:
    async with seen_by("viewer", tmp_path) as (_web, http), http.get("/api/v1/status") as response:
        text = await response.text()
    status = json.loads(text)
    assert CARD not in text
    assert GROUP not in text
    assert CODE not in text
    assert status["evses"][0]["transaction"]["id_token"] == "…C3D4"
    assert status["evses"][0]["id_token"] == "…C3D4"
    assert (status["reservations"][0]["id_token"], status["reservations"][0]["group"]) == ("…C3D4", "…0815")


async def test_an_operator_gets_whole_tokens_and_no_key_code(tmp_path: Path) -> None:
    async with seen_by("operator", tmp_path) as (web, http):
        async with http.get("/api/v1/status") as response:
            status = await response.json()
        assert status["evses"][0]["transaction"]["id_token"] == CARD
        assert status["evses"][1]["id_token"] == "(key code)"
        heard = await told(web, http)
    assert CARD in heard
    assert CODE not in heard
    assert '"Authorize"' in heard


async def test_the_stream_of_a_viewer_holds_no_token_and_no_message(tmp_path: Path) -> None:
    async with seen_by("viewer", tmp_path) as (web, http):
        heard = await told(web, http)
        web.csms.is_connected = False
        async with http.get("/api/v1/events") as response:
            heard += json.dumps(await read_events(response, 1))
    assert "TokenPresented" in heard
    for secret in (CARD, GROUP, CODE, "Authorize"):
        assert secret not in heard


@pytest.mark.parametrize("query", ["", "?follow=true", "?text=04A1"])
async def test_ocpp_messages_are_for_operators_they_are_full_of_tokens(tmp_path: Path, query: str) -> None:
    async with (
        seen_by("viewer", tmp_path) as (_web, http),
        http.get(f"/api/v1/messages{query}") as response,
    ):
        assert response.status == 403


async def test_both_kinds_of_readers_of_one_station_get_their_own_status(tmp_path: Path) -> None:
    async with seen_by("viewer", tmp_path) as (web, http):
        socket = aiohttp.UnixConnector(str(web.socket_path))
        async with (
            aiohttp.ClientSession(connector=socket) as installer,
            http.get("/api/v1/events") as small,
            installer.get("http://localhost/api/v1/events") as full,
        ):
            await read_events(small, 1)
            await read_events(full, 1)
            web.csms.is_connected = False
            seen = await status_without_link(small)
            known = await status_without_link(full)
    assert seen["evses"][0]["id_token"] == "…C3D4"
    assert known["evses"][0]["id_token"] == CARD
