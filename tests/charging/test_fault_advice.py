"""The table of faults in words: complete, and each row says what to do."""

import re
from pathlib import Path

import pytest

from agent.charging import fault_advice
from agent.charging.fault_advice import FAULTS, stops_charging, words_of
from hal.ports import FAULT_SEVERITY, FaultCode, Severity


def test_every_fault_has_its_words_once() -> None:
    """Of two rows of the same fault the first would never be seen."""
    assert set(FAULTS) == set(FaultCode)
    rows = re.findall(r"^    FaultCode\.(\w+): ", Path(fault_advice.__file__).read_text(), re.MULTILINE)
    assert len(rows) == len(FAULTS)


@pytest.mark.parametrize("code", list(FaultCode))
def test_the_words_are_sentences_without_codes(code: FaultCode) -> None:
    words = FAULTS[code]
    assert len(words.meaning) > 20
    assert len(words.advice) > 15
    assert code not in words.meaning, "the code stands in front of it"
    assert not words.advice.endswith(".")


def test_a_code_of_a_newer_agent_is_no_crash() -> None:
    assert "hiccup" in words_of("hiccup").meaning
    assert "journalctl" in words_of("hiccup").advice
    assert stops_charging("hiccup"), "what nobody knows is taken seriously"


def test_only_faults_that_stop_charging_are_failures() -> None:
    stopping = {code for code in FaultCode if stops_charging(code)}
    assert stopping == {
        code for code, severity in FAULT_SEVERITY.items() if severity in (Severity.STOP, Severity.LATCHED)
    }
