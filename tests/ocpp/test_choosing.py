"""Which front end is used, and that only that one is imported."""

import subprocess
import sys

import pytest

from agent.charging.conventions import Conventions
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
