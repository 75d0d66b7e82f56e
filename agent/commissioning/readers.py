"""The room of the card readers: a PN532 can be asked, an RDM6300 only speaks when a card lies on it."""

from collections.abc import Awaitable, Callable, Iterator

from agent.charging.fault_advice import words_of
from agent.commissioning.agent_word import AgentWord
from agent.commissioning.findings import Finding, failure, ok, warning
from agent.config import Config
from agent.config_hal import ReaderConfig
from hal.errors import HalError
from hal.ports import FaultCode

FindPn532 = Callable[..., Awaitable[str | None]]
ON_THE_BOARD = "board:"
SILENT = "check its supply and RX and TX (crossed); both interface switches of a PN532 stand off for HSU"


async def check_readers(
    config: Config, word: AgentWord | None, find_pn532: FindPn532, unusable: frozenset[str] = frozenset()
) -> list[Finding]:
    """`find_pn532` is `hal.commissioning.find_pn532`, used when no agent runs; not on ports that are `unusable`."""
    if word is not None:
        return list(_told(config, word))
    return [await _check(reader, find_pn532) for reader in config.hal.readers if reader.port not in unusable]


def _told(config: Config, word: AgentWord) -> Iterator[Finding]:
    failing = {
        fault["detail"]
        for evse in word.report["evses"]
        for fault in evse["faults"]
        if fault["code"] == FaultCode.READER_FAILURE
    }
    for detail in sorted(failing):
        words = words_of(FaultCode.READER_FAILURE)
        yield warning("card reader", f"{words.meaning} ({detail})", words.advice)
    if config.hal.readers and not failing:
        models = ", ".join(f"{reader.model} on {reader.port}" for reader in config.hal.readers)
        yield ok("card reader", f"{models}: no complaint; hold a card to it and look: evse-agent status")


async def _check(reader: ReaderConfig, find_pn532: FindPn532) -> Finding:
    subject = "card reader"
    if reader.port.startswith(ON_THE_BOARD):
        return ok(
            subject,
            f"{reader.model} on {reader.port}: the board's own port, through which the running agent speaks to it",
        )
    if reader.model != "pn532":
        return ok(
            subject,
            f"{reader.model} on {reader.port}: it cannot be asked; hold a card to it when the agent runs",
        )
    try:
        version = await (
            find_pn532(reader.port, reader.baud_rate) if reader.baud_rate else find_pn532(reader.port)
        )
    except HalError as error:
        return failure(subject, str(error), SILENT)
    if version is None:
        return failure(subject, f"no PN532 answers on {reader.port}", SILENT)
    return ok(subject, f"PN532 on {reader.port}, firmware {version}")
