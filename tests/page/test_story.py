"""What a user does with the page: plug in, hold a card to the reader, watch it charge, understand a fault, act."""

import asyncio
import re
from time import monotonic

import pytest
from playwright.async_api import Page, expect

from agent.web.page import page_version
from tests.page.stage import Relay, Stage

pytestmark = [
    pytest.mark.system,
    pytest.mark.real_time,
    pytest.mark.xdist_group("page"),
    pytest.mark.asyncio(loop_scope="session"),
]


async def press(page: Page, name: str) -> None:
    await page.get_by_role("button", name=name, exact=True).click()


async def charge(page: Page, power: str = "11.04") -> None:
    await press(page, "Plug in")
    await expect(page.locator(".state-title")).to_have_text("Plugged in")
    await press(page, "Tap card")
    await expect(page.locator(".state-title")).to_have_text("Charging", timeout=15_000)
    if power:
        await expect(page.locator(".metric-value").first).to_have_text(power, timeout=15_000)


LISTEN = """() => {
    window.spoken = [];
    const live = new Set(["aria-live", "role"].map((name) => [name, name === "role" ? ["status", "alert"] : ["polite"]])
        .flatMap(([name, values]) => values.flatMap((value) => [...document.querySelectorAll(`[${name}=${value}]`)])));
    for (const place of live) {
        new MutationObserver(() => {
            const text = place.textContent.trim();
            if (text && place.getClientRects().length) window.spoken.push(text);
        }).observe(place, { childList: true, characterData: true, subtree: true });
    }
}"""
"""What a screen reader is told: every change of a live region that is there."""


async def spoken(page: Page) -> list[str]:
    texts: list[str] = await page.evaluate("window.spoken.splice(0)")
    return texts


async def test_a_car_is_plugged_in_charged_and_unplugged(stage: Stage) -> None:
    page = await stage.open()
    await page.evaluate(LISTEN)
    phone = await stage.open(phone=True, color_scheme="dark")
    await expect(page.locator(".state-title")).to_have_text("Ready")
    await stage.shot(page, "ready")
    await charge(page)
    for seen in (page, phone):  # what one does, all see
        await expect(seen.locator(".state-title")).to_have_text("Charging")
        await expect(seen.locator(".phases tbody tr").first).to_contain_text("16.0 A")
        await expect(seen.locator("dl.details").first).to_contain_text("Closed, the plug is live")
        await expect(seen.locator(".plot")).to_have_attribute("aria-label", re.compile(r"now 11\.04 kW"))
        await expect(seen.locator(".schedule-words").first).to_have_text(
            "Up to 32 A per phase, the whole day."
        )
    told = await spoken(page)
    assert told[0].startswith("Charging point: Plugged in.")
    assert told[-1] == "Charging point: Charging."
    assert len(told) == len(set(told))  # once each
    await stage.shot(page, "charging")
    await stage.shot(phone, "charging-phone-dark")
    last = await last_moment(page)
    while await last_moment(page) < last + 1500:
        await page.wait_for_timeout(50)
    assert await spoken(page) == []  # numbers go on without a word
    await page.locator(".plot-frame").focus()
    await page.keyboard.press("End")
    await expect(page.locator(".readout")).to_contain_text("offered 32.0 A")
    await press(page, "Stop session")
    await page.get_by_role("dialog").get_by_role("button", name="Stop session").click()
    await expect(page.locator(".toast")).to_contain_text("has ended")
    await expect(page.locator(".state-title")).to_have_text("Finished")
    await expect(page.locator(".session-words")).to_contain_text("at the station")
    focused = await page.evaluate("document.activeElement.textContent")
    assert focused in ("Unlock cable", "Take out of service"), "the button is gone; the focus is beside it"
    await page.locator('.tabs a[data-view="sessions"]').click()
    session = page.locator(".sessions li").first
    await expect(session).to_contain_text("at the station")
    await session.locator("summary").click()
    await expect(session.locator(".plot .power-line")).to_have_count(1)
    await expect(session.locator(".session-body")).to_contain_text("highest power 11.04 kW")
    assert await stage.violations(page) == []
    await stage.shot(page, "sessions")
    await page.locator('.tabs a[data-view="now"]').click()
    reasons = [stop.get("reason", "Local") for stop in stage.calls("StopTransaction")]
    assert reasons == ["Local"]
    await press(page, "Unplug")
    await expect(phone.locator(".state-title")).to_have_text("Ready", timeout=15_000)


async def test_a_fault_is_explained_and_its_end_is_seen(stage: Stage) -> None:
    page = await stage.open()
    await charge(page)
    panel = page.locator("#simulation")
    await panel.get_by_label("Fault", exact=True).select_option("emergency_stop")
    await press(page, "Make it happen")
    await expect(page.locator(".state-title")).to_have_text("Fault")
    box = page.locator(".fault-box")
    await expect(box).to_contain_text("The emergency stop is pressed")
    await expect(box).to_contain_text("What to do: Release the button")
    await expect(page.locator("dl.details").first).to_contain_text("Open, no voltage at the plug")
    await expect(page.locator(".phases tbody tr").first).to_contain_text("0.0 A")
    assert await page.evaluate("document.querySelector('.bar span').getBoundingClientRect().width") == 0
    await stage.shot(page, "fault")
    assert await stage.violations(page) == []
    await press(page, "Repair emergency_stop")
    await expect(page.locator(".toast")).to_contain_text("If the fault stays, do what it says.")
    await press(page, "Unplug")
    await expect(page.locator(".state-title")).to_have_text("Ready", timeout=20_000)
    await expect(box).to_have_count(0)


async def test_a_lost_csms_and_a_lost_station_are_told_apart(stage: Stage) -> None:
    page = await stage.open()
    pill, live = page.locator("#csms-pill"), page.locator("#live-pill")
    await expect(pill).to_have_text("CSMS connected · OCPP 1.6")
    await press(page, "Cut the network")
    await expect(pill).to_contain_text("CSMS offline")
    await expect(live).to_have_text("Live")
    await stage.shot(page, "csms-offline")
    await press(page, "Restore the network")
    await expect(pill).to_contain_text("CSMS connected", timeout=15_000)
    await stage.agent.kill()
    await expect(live).to_have_text("Not live")
    await expect(page.locator("#not-live")).to_contain_text("What is shown is of")
    assert await page.evaluate("getComputedStyle(document.querySelector('.evse')).filter") == "grayscale(1)"
    await stage.shot(page, "not-live")
    assert await stage.violations(page) == []
    await stage.agent.start()
    await expect(live).to_have_text("Live", timeout=20_000)
    await expect(page.locator("#not-live")).to_be_hidden()
    await expect(page.locator(".state-title")).to_have_text("Ready")


async def test_after_a_closed_lid_the_page_is_current_again_with_its_plot(stage: Stage, relay: Relay) -> None:
    """The connection dies without a word while nobody looks; a minute later the lid is opened."""
    page = await stage.visit(port=relay.port)
    await charge(page, power="")
    await expect(page.locator(".power-line")).to_have_count(1)
    seen = await last_moment(page)
    relay.fall_silent()
    await page.wait_for_timeout(2000)  # charging goes on, and the page does not hear of it
    assert await last_moment(page) - seen < 1500
    await page.evaluate("Date.now = (now => () => now() + 60_000)(Date.now)")
    began = monotonic()
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    while await last_moment(page) - seen < 2000:
        assert monotonic() - began < 10  # the browser may try connections that are dead first
        await page.wait_for_timeout(100)
    await expect(page.locator("#live-pill")).to_have_text("Live")
    await expect(page.locator(".power-line")).to_have_count(1)  # no gap: the station's record fills it
    await expect(page.locator(".state-title")).to_have_text("Charging")
    relay.rewrites = (page_version().encode(), b"0" * 16)
    async with page.expect_event("load", timeout=10_000):
        relay.cut()  # as if the station had been updated: it comes back with other files
    await expect(page.locator(".state-title")).to_have_text("Charging")


async def test_a_connection_that_is_silent_is_not_taken_for_a_quiet_station(
    stage: Stage, relay: Relay
) -> None:
    page = await stage.visit(port=relay.port, has_clock=True)
    await expect(page.locator("#live-pill")).to_have_text("Live")
    relay.fall_silent()
    await page.clock.run_for(13_000)
    await expect(page.locator("#not-live")).to_be_visible()
    await page.clock.run_for(1_000)
    await expect(page.locator("#live-pill")).to_have_text("Live", timeout=10_000)


async def test_words_of_others_are_text_and_never_markup(stage: Stage) -> None:
    page = await stage.open("station")
    evil = "<b id=owned>x</b>"
    reservation = {"connectorId": 1, "expiryDate": "2099-01-01T00:00:00Z", "idTag": evil, "reservationId": 1}
    assert (await stage.csms.call("ReserveNow", reservation)).payload == {"status": "Accepted"}
    await expect(page.locator("#view-station")).to_contain_text(evil)
    message = {"vendorId": evil, "data": "<img src=x onerror='document.body.id=`owned`'>" * 3}
    await stage.csms.call("DataTransfer", message)
    await page.locator('.tabs a[data-view="messages"]').click()
    await expect(page.locator(".messages .gist", has_text="<img").first).to_contain_text(evil)
    await page.locator(".messages li", has_text="<img").first.locator("summary").click()
    await expect(page.locator(".messages pre:visible")).to_contain_text("onerror")
    assert (await stage.csms.call("CancelReservation", {"reservationId": 1})).payload == {
        "status": "Accepted"
    }
    assert await page.locator("#owned").count() == 0


async def test_an_upload_shows_how_far_it_is_and_how_it_ended(stage: Stage) -> None:
    arrived, may_answer = asyncio.Event(), asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        arrived.set()
        await may_answer.wait()
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        while await reader.read(65536):
            pass
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    page = await stage.open()
    port = server.sockets[0].getsockname()[1]
    await stage.csms.call("GetDiagnostics", {"location": f"http://127.0.0.1:{port}/put/"})
    card = page.locator(".progress")
    await expect(card).to_contain_text("pload")
    async with asyncio.timeout(10):
        await arrived.wait()
    await expect(card.get_by_role("progressbar")).to_have_count(1)
    late = await stage.open(phone=True)  # whoever comes later sees it, too
    await expect(late.locator(".progress")).to_have_count(1)
    await stage.shot(page, "progress")
    assert await stage.violations(page) == []
    may_answer.set()
    await expect(page.locator(".toast")).to_contain_text("pload")
    await expect(card).to_have_count(0)
    server.close()
    await server.wait_closed()


async def last_moment(page: Page) -> float:
    """Of the newest sample in the plot, in ms."""
    return float(await page.evaluate("Number(document.querySelector('.plot').dataset.last)"))
