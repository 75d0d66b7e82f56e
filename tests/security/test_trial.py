"""New credentials on trial: when they are taken back, and when they are final."""

from typing import Any

import pytest

from agent.charging.requests import Verdict
from agent.charging.settings import Settings
from agent.errors import StoreFull
from agent.security.trial import MOST_FAILURES, Trial
from tests.helpers.fake_stores import FakeSettingStore

OLD, NEW, NEWER = "00" * 16, "11" * 16, "22" * 20


async def opened(store: FakeSettingStore, **given: str) -> tuple[Settings, Trial]:
    settings = await Settings.open(store, given)
    return settings, Trial(settings)


async def change(settings: Settings, name: str, value: str) -> None:
    assert (await settings.change(name, value)).verdict is Verdict.ACCEPTED


@pytest.mark.req("R16-330")
async def test_a_password_is_taken_back_after_refusals_and_only_after_these() -> None:
    settings, trial = await opened(FakeSettingStore(), AuthorizationKey=OLD, SecurityProfile="1")
    assert not any(trial.failed("CREDENTIALS") for _ in range(10))  # nothing is on trial
    await change(settings, "authorization_key", NEW)
    assert not any(trial.failed(kind) for kind in ["UNREACHABLE", "TLS", "CONFIGURATION"] * 5)
    assert [trial.failed("CREDENTIALS") for _ in range(MOST_FAILURES)] == [False, False, True]
    assert await trial.undo() == ["authorization_key"]
    assert settings.raw("authorization_key") == OLD
    assert trial.names == []
    assert not trial.failed("CREDENTIALS")


@pytest.mark.req("R16-334", "R16-335")
async def test_a_profile_is_taken_back_after_any_failures_and_final_once_it_worked() -> None:
    settings, trial = await opened(FakeSettingStore())
    await change(settings, "security_profile", "2")
    assert [trial.failed("UNREACHABLE") for _ in range(MOST_FAILURES)][-1]
    await trial.undo()
    assert settings.integer("security_profile") == 0
    await change(settings, "security_profile", "2")
    assert await trial.settle() == ["security_profile"]
    assert not any(trial.failed("UNREACHABLE") for _ in range(10))
    assert await trial.undo() == []
    assert settings.integer("security_profile") == 2


async def test_both_on_trial_go_back_together_to_what_worked_last() -> None:
    settings, trial = await opened(FakeSettingStore(), AuthorizationKey=OLD)
    for name, value in (("authorization_key", NEW), ("authorization_key", NEWER), ("security_profile", "1")):
        await change(settings, name, value)
    await trial.undo()
    assert (settings.raw("authorization_key"), settings.integer("security_profile")) == (OLD, 0)


async def test_a_password_that_was_not_set_before_is_gone_after_the_undo() -> None:
    settings, trial = await opened(FakeSettingStore(), SecurityProfile="1")
    await change(settings, "authorization_key", NEW)
    assert trial.names == ["authorization_key"]
    await trial.undo()
    assert settings.raw("authorization_key") == ""


async def test_a_password_that_is_not_sent_yet_is_not_judged() -> None:
    settings, trial = await opened(FakeSettingStore(), AuthorizationKey=OLD)
    await change(settings, "authorization_key", NEW)
    assert not any(trial.failed("CREDENTIALS") for _ in range(10))
    await trial.settle()
    await change(settings, "security_profile", "1")
    assert trial.names == ["authorization_key", "security_profile"]


async def test_a_trial_goes_on_after_a_restart_and_so_does_its_end() -> None:
    store = FakeSettingStore()
    settings, _ = await opened(store, AuthorizationKey=OLD, SecurityProfile="1")
    await change(settings, "authorization_key", NEW)
    again, trial = await opened(store)
    assert again.raw("authorization_key") == NEW
    assert trial.names == ["authorization_key"]
    await trial.settle()
    assert (await opened(store))[1].names == []


async def test_a_change_and_its_former_value_are_one_commit() -> None:
    store = FakeSettingStore()
    settings, trial = await opened(store, AuthorizationKey=OLD, SecurityProfile="2")
    saves = store.saves
    await change(settings, "authorization_key", NEW)
    assert store.saves == saves + 1
    await trial.undo()
    assert store.saves == saves + 2


async def test_a_disk_that_takes_nothing_leaves_everything_as_it_was() -> None:
    store = FakeSettingStore()
    settings, trial = await opened(store, AuthorizationKey=OLD, SecurityProfile="2")
    await change(settings, "authorization_key", NEW)
    heard: list[Any] = []
    settings.subscribe(lambda *change: heard.append(change))
    store.failure = StoreFull("no space left")
    for action in (trial.undo, trial.settle):
        with pytest.raises(StoreFull):
            await action()
        assert trial.names
        assert settings.raw("authorization_key") == NEW
    assert heard == []
