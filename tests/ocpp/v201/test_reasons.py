"""Why something is refused, in the reason codes of appendix 5."""

from pathlib import Path
from typing import get_args

import pytest

from agent.charging import reasons
from agent.ocpp.v201.datatypes import ReasonCode, StatusInfo, because, why

NAMES = {name: text for name, text in vars(reasons).items() if name.isupper()}


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("a firmware update is being installed", "FwUpdateInProgress"),
        ("switched off: the authorization cache", "NotEnabled"),
        ("a transaction runs", "TxInProgress"),
        ("not stored: disk full", "InternalError"),
        ("charging profile 7: not stored", "InternalError"),
        ("too many entries: 12; one update may have 10", "TooManyElements"),
        ("the moon is full", "Unspecified"),
    ],
)
def test_what_the_appendix_has_a_code_for_is_told_by_it(reason: str, code: ReasonCode) -> None:
    assert because(reason) == why(code, reason)


@pytest.mark.parametrize("name", NAMES)
def test_every_reason_that_has_a_name_has_a_code(name: str) -> None:
    told = because(NAMES[name])
    assert isinstance(told, StatusInfo)
    assert told.reason_code in get_args(ReasonCode)
    assert told.reason_code != "Unspecified"


def test_the_names_are_used_where_things_are_refused() -> None:
    """A text that is spelled out again would lose its code when one of the two changes."""
    agent = Path(reasons.__file__).parents[1]
    source = "".join(path.read_text() for path in agent.rglob("*.py") if path.name != "reasons.py")
    spelled = [text for text in NAMES.values() if f'"{text}"' in source]
    assert spelled == []
