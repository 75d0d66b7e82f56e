"""Every test here runs on asyncio's own loop and on uvloop, which watch a dying descriptor in different ways."""

import asyncio
import os
from collections.abc import Callable, Iterator

import pytest
import uvloop


@pytest.hookimpl(tryfirst=True)
def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]] | None:
    if item.get_closest_marker("gpiosim") is None:
        return None
    return {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True, scope="session")
def _no_news_from_uvloop() -> None:
    """The first loop of uvloop opens a pipe for the whole process."""
    uvloop.new_event_loop().close()


@pytest.fixture(autouse=True)
def _no_leaked_line() -> Iterator[None]:
    """A test lets go of every line and chip that it opened."""
    before = _held()
    yield
    assert _held() == before


def _held() -> list[str]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if "gpio" in target:
            found.append(target)
    return sorted(found)
