"""How a transfer failed and what is in a file, for tests that ask nothing else."""

from collections.abc import Awaitable
from pathlib import Path

from agent.transfer import TransferError, TransferFailure


async def failure_of(transfer: Awaitable[None]) -> TransferFailure | None:
    """None: it did not."""
    try:
        await transfer
    except TransferError as error:
        return error.failure
    return None


def holds(file: Path, content: bytes) -> bool:
    return file.read_bytes() == content


def size_of(file: Path) -> int:
    return file.stat().st_size


def mode_of(file: Path) -> int:
    return file.stat().st_mode & 0o777


def text_of(file: Path) -> str:
    return file.read_text()


def write(file: Path, content: bytes) -> None:
    file.write_bytes(content)
