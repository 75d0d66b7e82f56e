"""A station with four charging points: all of them at a glance, each with its card, on a desk and on a phone."""

import pytest
from playwright.async_api import Browser, expect

from tests.page.stage import Stage, Station

pytestmark = [
    pytest.mark.system,
    pytest.mark.real_time,
    pytest.mark.xdist_group("page"),
    pytest.mark.asyncio(loop_scope="session"),
]


async def test_four_charging_points_are_seen_at_a_glance_and_found(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with Station(tmp_path_factory.mktemp("four"), evses=4) as station:
        stage = Stage(browser, station)
        page = await stage.open(reduced_motion="reduce")
        phone = await stage.open(phone=True, reduced_motion="reduce", color_scheme="dark", locale="de-DE")
        await page.get_by_label("Where").select_option("2")
        await page.get_by_role("button", name="Plug in", exact=True).click()
        await expect(page.locator("#evse-2 .state-title")).to_have_text("Plugged in")
        await page.get_by_role("button", name="Tap card", exact=True).click()
        await page.get_by_label("Where").select_option("3")
        await page.locator("#simulation").get_by_label("Fault", exact=True).select_option("rcd_dc")
        await page.get_by_role("button", name="Make it happen").click()
        await page.locator("#simulation").get_by_label("Fault", exact=True).select_option("door_open")
        await page.get_by_role("button", name="Make it happen").click()
        for seen in (page, phone):
            lines = seen.get_by_role("navigation", name="Charging points").get_by_role("button")
            await expect(lines).to_have_count(4)
            await expect(lines.nth(0)).to_have_text("Charging point 1 Ready")
            await expect(lines.nth(1)).to_contain_text("Charging 11.04 kW", timeout=15_000)
            await expect(lines.nth(2)).to_contain_text("Fault")
            await expect(seen.locator("#evse-3 .fault-box")).to_have_count(2)
            await expect(seen.locator("#evse-1 .fault-box")).to_have_count(0)
            await expect(seen).to_have_title("Ready, Charging, Fault · CP001")
            wide, window = await seen.evaluate("[document.documentElement.scrollWidth, innerWidth]")
            assert wide <= window
            await lines.nth(3).click()
            assert await seen.evaluate("document.activeElement.textContent") == "Charging point 4"
            top = await seen.evaluate("document.querySelector('#evse-4').getBoundingClientRect().top")
            header = await seen.evaluate("document.querySelector('.top').getBoundingClientRect().bottom")
            assert header <= top < await seen.evaluate("innerHeight")
        assert await stage.violations(phone) == []
        for seen, name in ((page, "four"), (phone, "four-phone-dark")):
            await seen.evaluate("scrollTo(0, 0)")
            await stage.shot(seen, name)
        await stage.close()
        assert stage.complaints == []
