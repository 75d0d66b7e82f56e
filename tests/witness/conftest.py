"""Fixtures of the witness: one rig per file, idle before each case, and no violation after it.

The guards against leaked sockets and tasks look at whole files here, because a rig keeps its connection over the cases.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from tests.witness.rig import Rig, built


@pytest.fixture(scope="module", autouse=True)
def _no_leaked_descriptor() -> Iterator[None]:
    def sockets() -> int:
        return sum(os.readlink(f"/proc/self/fd/{name}").startswith("socket:") for name in _descriptors())

    before = sockets()
    yield
    assert sockets() <= before, "sockets left open"


def _descriptors() -> list[str]:
    return [name for name in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{name}")]


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def _no_leaked_task() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    await asyncio.sleep(0)
    left = {task for task in asyncio.all_tasks() - before if not task.done()} - {asyncio.current_task()}
    assert not left, f"tasks left running: {left}"


@pytest.fixture(scope="module")
def parts() -> dict[str, Any]:
    """Lines for the configuration of this file's station; a file overrides it."""
    return {}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def file_rig(tmp_path_factory: pytest.TempPathFactory, parts: dict[str, Any]) -> AsyncIterator[Rig]:
    async with built(tmp_path_factory.mktemp("w"), **parts) as rig:
        yield rig


@pytest_asyncio.fixture(loop_scope="module")
async def rig(file_rig: Rig) -> AsyncIterator[Rig]:
    """Idle at the start; at the end every frame that the station sent was right."""
    await file_rig.idle()
    yield file_rig
    assert not file_rig.central.violations
