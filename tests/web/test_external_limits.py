"""/api/v1/external-limits: what an energy management system of the site says, and what it hears."""

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from agent.charging.profiles import (
    ChargingSchedule,
    LimitOrigin,
    Purpose,
    RateUnit,
    SchedulePeriod,
)
from agent.charging.requests import Answer, LiftExternalLimit, LimitExternally, Verdict
from agent.charging.tariff import Text
from agent.cli_output import status_text
from tests.charging.test_profiles import installed
from tests.helpers.snapshots import evse, station
from tests.web.conftest import WebBench

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
PATH = "/api/v1/external-limits"


def limited(*periods: SchedulePeriod, unit: RateUnit = RateUnit.AMPERE, **given: Any) -> ChargingSchedule:
    return ChargingSchedule(unit, periods, schedule_id=1, **given)


@pytest.mark.req("K11.FR.01", "K12.FR.01")
@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("EMS", {"limit": 16}, LimitExternally(LimitOrigin.EMS, limited(SchedulePeriod(0, 16.0)))),
        (
            "EMS",
            {"limit": 16, "evse_id": 1},
            LimitExternally(LimitOrigin.EMS, limited(SchedulePeriod(0, 16.0)), evse_id=1),
        ),
        (
            "so",
            {"unit": "W", "limit": 0, "duration_s": 900, "is_grid_critical": True},
            LimitExternally(
                LimitOrigin.SYSTEM_OPERATOR,
                limited(SchedulePeriod(0, 0.0), unit=RateUnit.WATT, duration_s=900),
                is_grid_critical=True,
            ),
        ),
        (
            "other",
            {
                "periods": [{"limit": 16}, {"start_s": 60, "limit": 8, "phases": 1}],
                "starts_at": "2026-01-01T12:00:00",
            },
            LimitExternally(
                LimitOrigin.OTHER,
                limited(SchedulePeriod(0, 16.0), SchedulePeriod(60, 8.0, 1), starts_at=AT),
            ),
        ),
    ],
)
async def test_a_limit_is_handed_to_the_station(bench: WebBench, path: str, body: Any, expected: Any) -> None:
    code, answer = await bench.ask("PUT", f"{PATH}/{path}", body)
    assert (code, answer) == (200, {"external_limits": []})
    assert bench.station.asked == [expected]


@pytest.mark.req("K11.FR.05")
@pytest.mark.parametrize(
    ("path", "body", "code", "field"),
    [
        ("CSO", {"limit": 16}, 404, "origin"),
        ("EMS", {}, 400, "limit"),
        ("EMS", {"limit": 16, "periods": [{"limit": 8}]}, 400, "limit"),
        ("EMS", {"limit": -1}, 400, "limit"),
        ("EMS", {"limit": 16, "unit": "kW"}, 400, "unit"),
        ("EMS", {"periods": []}, 400, "periods"),
        ("EMS", {"limit": 16, "duration_s": 0}, 400, "duration_s"),
        ("EMS", {"limit": 16, "evse_id": -1}, 400, "evse_id"),
        ("EMS", {"limit": 16, "connector_id": 1}, 400, "connector_id"),
    ],
)
async def test_what_is_no_limit_is_refused_with_the_field(
    bench: WebBench, path: str, body: Any, code: int, field: str
) -> None:
    status, answer = await bench.ask("PUT", f"{PATH}/{path}", body)
    assert (status, answer["field"], bench.station.asked) == (code, field, [])


async def test_a_no_of_the_station_is_a_conflict(bench: WebBench) -> None:
    bench.station.answer = Answer(Verdict.REJECTED, "external limits are switched off")
    code, answer = await bench.ask("PUT", f"{PATH}/EMS", {"limit": 16})
    assert (code, answer["error"]) == (409, "external limits are switched off")


@pytest.mark.req("K13.FR.01")
async def test_a_limit_is_lifted_and_one_that_is_not_there_is_not_found(bench: WebBench) -> None:
    code, _answer = await bench.ask("DELETE", f"{PATH}/EMS")
    assert (code, bench.station.asked) == (200, [LiftExternalLimit(LimitOrigin.EMS)])
    await bench.ask("DELETE", f"{PATH}/EMS?evse_id=1")
    assert bench.station.asked[1:] == [LiftExternalLimit(LimitOrigin.EMS, 1)]
    code, answer = await bench.ask("DELETE", f"{PATH}/EMS?evse_id=one")
    assert (code, answer["field"], len(bench.station.asked)) == (400, "evse_id", 2)
    bench.station.answer = Answer(Verdict.UNKNOWN, "EMS has set no limit")
    assert (await bench.ask("DELETE", f"{PATH}/EMS"))[0] == 404


async def test_what_limits_the_station_and_what_its_displays_show_is_in_the_status(bench: WebBench) -> None:
    of_csms = installed(5)
    external = replace(
        installed(
            -1,
            Purpose.EXTERNAL,
            unit=RateUnit.WATT,
            periods=(SchedulePeriod(0, 11000.0), SchedulePeriod(60, 0.0)),
        ),
        origin=LimitOrigin.EMS,
    )
    picture = station(
        evse(1, display=Text("Grüezi\n\x1b[2J", "de-CH")),
        evse(2),
        profiles=(of_csms, external, replace(external, evse_id=2, origin=LimitOrigin.OTHER)),
        has_display=True,
    )
    bench.station.picture = picture
    _code, status = await bench.ask("GET", "/api/v1/status")
    limit, of_evse = status["external_limits"]
    assert (limit["origin"], limit["evse_id"], limit["profile_id"], limit["unit"]) == ("EMS", 0, -1, "W")
    assert (of_evse["origin"], of_evse["evse_id"]) == ("Other", 2)
    assert limit["periods"] == [
        {"start_s": 0, "limit": 11000.0, "phases": 3},
        {"start_s": 60, "limit": 0.0, "phases": 3},
    ]
    assert (await bench.ask("GET", PATH))[1] == {"external_limits": [limit, of_evse]}
    first, second = status["evses"]
    assert first["display"] == {"content": "Grüezi\n\x1b[2J", "language": "de-CH", "format": "UTF8"}
    assert second["display"] is None
    lines = status_text(status).splitlines()
    first_limit, second_limit = (line for line in lines if line.startswith("Limit"))
    assert first_limit.startswith("Limit    11000 W and 1 more periods by EMS")
    assert second_limit.startswith("Limit    EVSE 2 11000 W and 1 more periods by Other")
    assert "EVSE 1 display: Grüezi \\x1b[2J" in lines
    assert not [line for line in lines if line.startswith("EVSE 2 display")]
