"""The uploads are imported and begun when there is something to upload, also when a restart came in between."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent.charging.requests import UploadAnswer, UploadVerdict
from agent.diagnostics.building import Diagnostics

ACCEPTED = UploadAnswer(UploadVerdict.ACCEPTED)


class Uploads:
    """Notes whether it runs."""

    def __init__(self) -> None:
        self.is_running = False

    async def run(self) -> None:
        self.is_running = True
        await asyncio.Event().wait()

    async def order(self, _request: object) -> UploadAnswer:
        return ACCEPTED


async def at_once() -> None:
    pass


async def started(diagnostics: Diagnostics) -> asyncio.Task[None]:
    running = asyncio.create_task(diagnostics.run(at_once))
    await asyncio.sleep(1)
    return running


def built(folder: Path) -> tuple[Diagnostics, Uploads]:
    unused: Any = None
    diagnostics, uploads = Diagnostics(unused, unused, unused, folder=folder), Uploads()
    vars(diagnostics)["_uploads"] = uploads
    return diagnostics, uploads


@pytest.mark.parametrize("is_there", [False, True])
async def test_the_uploads_begin_with_the_first_order(tmp_path: Path, is_there: bool) -> None:
    folder = tmp_path / "diagnostics"
    if is_there:
        folder.mkdir()
    diagnostics, uploads = built(folder)
    running = await started(diagnostics)
    assert not uploads.is_running
    order: Any = object()
    assert await diagnostics.order(order) == ACCEPTED
    await asyncio.sleep(1)
    assert uploads.is_running
    running.cancel()
    await asyncio.wait([running])


async def test_the_uploads_begin_at_once_when_a_restart_left_something(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text("{}")
    diagnostics, uploads = built(tmp_path)
    running = await started(diagnostics)
    assert uploads.is_running
    running.cancel()
    await asyncio.wait([running])
