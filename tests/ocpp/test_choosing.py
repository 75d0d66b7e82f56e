"""Which front end is used, and that only that one is imported."""

import subprocess
import sys
from typing import get_args

import pytest

from agent.charging.conventions import Conventions
from agent.charging.facts import DurableFact
from agent.ocpp.choosing import CONVENTIONS, FrontEnds, LastVersion
from tests.helpers.fake_stores import FakeSettingStore

LOADED = """
import sys
from agent.charging.conventions import Conventions
from agent.ocpp.choosing import CONVENTIONS, FrontEnds, LastVersion
from tests.helpers.fake_stores import FakeSettingStore
offered = FrontEnds(["ocpp2.0.1", "ocpp1.6"])
assert list(offered) == ["ocpp2.0.1", "ocpp1.6"] and len(offered) == 2 and "ocpp1.6" in set(offered)
assert offered[{chosen!r}] is offered[{chosen!r}]
print(*sorted(name for name in ("agent.ocpp.v16", "agent.ocpp.v201") if name in sys.modules))
"""

WHOLE = """
import asyncio, sys, tempfile
from pathlib import Path
from tests.helpers.bench import Bench, friendly
from tests.helpers.csms import Csms
from tests.helpers.virtual_time import VirtualTimeLoop

async def one_charge():
    async with Csms(subprotocols=({chosen!r},)) as csms:
        keys = 'subprotocols = ["ocpp2.0.1", "ocpp1.6"]'
        with tempfile.TemporaryDirectory() as folder:
            async with Bench(Path(folder), "", friendly(csms), csms_keys=keys) as bench:
                await bench.until(lambda: bench.sent("StatusNotification"))
                bench.plug_in()
                bench.tap("TAG1")
                await bench.run_for(minutes=2)
                bench.tap("TAG1")
                await bench.run_for(minutes=1)

with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
    runner.run(one_charge())
packages = ("agent.ocpp.v16", "agent.ocpp.v201")
print(*sorted({{name.split(".")[2] for name in sys.modules if name.startswith(packages)}}))
"""


@pytest.mark.real_time
@pytest.mark.parametrize(
    ("chosen", "loaded"), [("ocpp1.6", "agent.ocpp.v16"), ("ocpp2.0.1", "agent.ocpp.v201")]
)
def test_only_the_version_in_use_is_imported(chosen: str, loaded: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(chosen=chosen)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [loaded]


def test_a_version_that_was_not_offered_is_unknown() -> None:
    with pytest.raises(KeyError):
        FrontEnds(["ocpp1.6"])["ocpp2.0.1"]
    with pytest.raises(KeyError):
        FrontEnds(["ocpp1.5"])["ocpp1.5"]


def test_every_version_has_its_conventions_and_1_6_the_narrowest() -> None:
    assert set(CONVENTIONS) == {"ocpp1.6", "ocpp2.0.1"}
    assert CONVENTIONS["ocpp1.6"] == Conventions()


@pytest.mark.req("R16-109")
async def test_the_version_spoken_last_counts_as_long_as_it_is_offered() -> None:
    store = FakeSettingStore()
    last = LastVersion(store, ["ocpp2.0.1", "ocpp1.6"])
    assert await last.load() == "ocpp2.0.1", "the best of those offered"
    assert last.is_news("ocpp1.6")
    await last.note("ocpp1.6")
    assert not last.is_news("ocpp1.6")
    assert await LastVersion(store, ["ocpp2.0.1", "ocpp1.6"]).load() == "ocpp1.6"
    assert await LastVersion(store, ["ocpp2.0.1"]).load() == "ocpp2.0.1"


async def test_a_station_of_one_version_notes_nothing() -> None:
    store = FakeSettingStore()
    last = LastVersion(store, ["ocpp1.6"])
    assert await last.load() == "ocpp1.6"
    assert not last.is_news("ocpp1.6")


@pytest.mark.real_time
@pytest.mark.parametrize(("chosen", "loaded"), [("ocpp1.6", "v16"), ("ocpp2.0.1", "v201")])
def test_a_whole_station_that_offers_both_loads_the_one_that_was_chosen(chosen: str, loaded: str) -> None:
    """Nothing on the way from cable to answer may reach for the other version."""
    done = subprocess.run(
        [sys.executable, "-c", WHOLE.format(chosen=chosen)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [loaded]


def test_what_is_kept_for_the_csms_can_be_told_in_every_version() -> None:
    """A row that one version cannot tell would stop the queue of a station that moved to it."""
    for subprotocol in CONVENTIONS:
        encoders = FrontEnds([subprotocol])[subprotocol].encoders
        assert set(get_args(DurableFact)) <= set(encoders), subprotocol
