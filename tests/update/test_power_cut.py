"""The power goes at every durable step of an update; it goes on, every status is told in order, none is left out."""

import os
import shutil
from itertools import groupby
from pathlib import Path

import pytest

from agent.app import Agent
from tests.helpers.bench import Bench
from tests.helpers.disk import PowerCut, power_cuts
from tests.helpers.update_yard import Yard

PLAIN = ["Downloading", "Downloaded", "Installing", "FirmwareUpdated", "Installed"]
SIGNED = ["Downloading", "Downloaded", "SignatureVerified", "Installing", "FirmwareUpdated", "Installed"]


async def _ordered_and_cut(yard: Yard, cut: PowerCut, *, is_signed: bool) -> None:
    file = yard.release()
    yard.trust(cut.before)

    async def scenario(bench: Bench) -> None:
        await yard.online(bench)
        if is_signed:
            await yard.order_signed(bench, file)
        else:
            await yard.order(bench, yard.files.serve(file))
        await bench.until((yard.root / "trial").exists)

    async with yard.bench(cut.before) as bench:
        cut.watch(bench.agent.database)
        await cut.during(scenario(bench))
        yard.csms.drop()
        bench.agent.link.disconnect()
    if (cut.before / "firmware").is_dir():
        shutil.copytree(cut.before / "firmware", cut.after / "firmware")
    yard.trust(cut.after)


async def _brought_to_its_end(yard: Yard, cut: PowerCut) -> list[str]:
    """Start the station again until no update restarts it; what the CSMS was told, repetitions left out."""
    for _ in range(4):
        async with yard.bench(cut.after) as bench:
            if not await _ends_or_restarts(bench):
                break
    words = [word for word in yard.told(bench) if word != "boot"]
    return [word for word, _group in groupby(words)]


async def _ends_or_restarts(bench: Bench) -> bool:
    """Let the update go on; True: the station restarts for it."""
    for _ in range(120):
        if bench.has_ended:
            return True
        await bench.run_for(seconds=1)
    await bench.agent.conversation.flush(60)
    return False


@pytest.mark.req("R16-293", "R16-297", "R16-364", "TC_044_1_CS", "TC_080_CS")
@pytest.mark.parametrize("is_signed", [False, True])
async def test_an_update_goes_on_wherever_the_power_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_signed: bool
) -> None:
    cuts = 0
    for cut in power_cuts(tmp_path / "cuts"):
        folder = tmp_path / f"yard{cut.step}"
        folder.mkdir()
        async with Yard(folder, monkeypatch) as yard:
            with monkeypatch.context() as first_life:
                # The uncut run ends here, before the store is closed.
                first_life.setattr(Agent, "_restart_for_update", lambda _agent: None)
                await _ordered_and_cut(yard, cut, is_signed=is_signed)
            told = await _brought_to_its_end(yard, cut)
            if not told:
                # The power went before the order was on the disk, and the CSMS never got an answer to it.
                assert os.readlink(yard.root / "current") == "releases/1.0", cut.step
            else:
                assert told == (SIGNED if is_signed else PLAIN), cut.step
                assert os.readlink(yard.root / "current") == "releases/1.1", cut.step
                assert not (yard.root / "trial").exists(), cut.step
        shutil.rmtree(folder)
        cuts += 1
    assert cuts > 6, "an update has more durable steps than that"
