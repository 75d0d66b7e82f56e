"""Fixtures of the witness of 2.0.1; guards and `parts` are those of the folder above."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.witness.v201.rig import Rig, built


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def file_rig(tmp_path_factory: pytest.TempPathFactory, parts: dict[str, Any]) -> AsyncIterator[Rig]:
    async with built(tmp_path_factory.mktemp("w"), **parts) as rig:
        yield rig


@pytest_asyncio.fixture(loop_scope="module")
async def rig(file_rig: Rig) -> AsyncIterator[Rig]:
    """Idle at the start; at the end every frame that the station sent was right, and no number was left out."""
    await file_rig.idle()
    yield file_rig
    assert not file_rig.central.violations
    file_rig.check_numbers()
