"""May a transaction begin before, or without, the acceptance of a CSMS? And by which time?"""

from datetime import UTC, datetime, timedelta

import pytest

from agent.charging.facts import TokenRefused, TransactionMetered
from agent.charging.ids import AuthorizationStatus, IdToken, IdTokenInfo
from agent.charging.requests import RequestStart, Verdict
from tests.charging.rig import Stores, running
from tests.helpers.fake_hardware import fake_hardware

KNOWN = IdTokenInfo(AuthorizationStatus.ACCEPTED)
REASON = "not accepted by the CSMS yet"


@pytest.mark.req("R16-054", "B03.FR.01")
@pytest.mark.parametrize(
    ("accepted_once", "before", "never", "may_start"),
    [
        ("false", "true", "false", False),
        ("false", "true", "true", True),
        ("false", "false", "true", False),
        ("true", "true", "false", True),
        ("true", "false", "false", False),
    ],
)
async def test_before_the_first_acceptance_the_settings_decide(
    accepted_once: str, before: str, never: str, may_start: bool
) -> None:
    stores = Stores()
    stores.tokens.known["tag1"] = KNOWN
    given = {"AcceptedOnce": accepted_once, "TxBeforeAccepted": before, "TxNeverAccepted": never}
    async with running(stores=stores, given=given, is_online=False) as rig:
        rig.evse().plug()
        await rig.tap()
        assert bool(rig.started) is may_start
        assert [refused.reason for refused in rig.told(TokenRefused)] == ([] if may_start else [REASON])
        answer = await rig.ask(RequestStart(IdToken("TAG2"), 1))
        assert answer.verdict is Verdict.REJECTED


@pytest.mark.req("R16-054")
async def test_an_acceptance_counts_at_once_and_is_remembered() -> None:
    stores = Stores()
    async with running(stores=stores, given={"AcceptedOnce": "false"}, is_online=False) as rig:
        rig.evse().plug()
        await rig.tap()
        assert not rig.started
        rig.station.on_online(True)
        rig.authorizer.is_online = True
        await rig.tap()
        assert rig.started
        rig.station.on_online(False)
        await rig.run_for()
    assert stores.settings.values["accepted_once"] == "true"


@pytest.mark.req("R16-054", "FIELD-31")
async def test_a_transaction_that_goes_on_without_a_clock_is_not_dated_before_its_start() -> None:
    stores = Stores()
    given = {"ResumeTransactionAfterPowerLoss": "true", "MeterValueSampleInterval": "60"}
    hardware = fake_hardware()
    async with running(hardware, stores, given=given) as rig:
        started = await rig.charge()
        await rig.run_for(100)
    async with running(hardware, stores, clock_at=datetime(1970, 1, 1, tzinfo=UTC)) as rig:
        await rig.run_for(130)
        told = rig.told(TransactionMetered)
        assert len(told) == 2
        assert all(fact.at > started.at + timedelta(seconds=60) for fact in told)
        assert not rig.clock.is_trusted
